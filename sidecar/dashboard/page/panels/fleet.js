// The sidecars of this database that share Redis. What others say of themselves came
// through Redis: it is text, and never a link.

import { $, element, named, replace, setText } from "../dom.js";
import { count, perSecond, seconds, spoken } from "../format.js";

const COLUMNS = ["Sidecar", "State", "Hits", "Queries /s", "Saved /s", "Knows", "Clients", "Version", "Page"];

$("fleet").tHead.rows[0].append(...COLUMNS.map((name) => {
  const head = element("th", "", name);
  head.scope = "col";
  return head;
}));

export function showFleet({ stats }) {
  const { fleet } = stats;
  $("fleet-card").hidden = !fleet.length;
  if (!fleet.length) return;
  const unseen = stats.redis.state === "down" || stats.redis.state === "refusing";
  setText($("fleet-count"), unseen ? "Redis does not tell of the others" : `${count(fleet.length)} by Redis, rates of the last minute`);
  const differing = fleet.filter((m) => differences(m, fleet[0]).length).length;
  setText($("fleet-note"), differing ? `▲ ${count(differing)} of them ${differing === 1 ? "is" : "are"} of another version, promise or database than this one.` : "");
  const rows = fleet.length > 1 ? [...fleet, total(fleet)] : fleet;
  replace($("fleet").tBodies[0], JSON.stringify(rows), () => rows.map((m) => row(m, fleet[0])));
}

// differences are what sidecars of one fleet should have in common and these do not.
function differences(m, self) {
  if (m.self) return [];
  return [
    m.version !== self.version && "another version",
    m.staleness_seconds !== self.staleness_seconds && `promises ${spoken(m.staleness_seconds)}`,
    m.incarnation && self.incarnation && m.incarnation !== self.incarnation && "another database",
  ].filter((text) => text);
}

const sumOf = (fleet, name) => fleet.reduce((all, m) => all + m[name], 0);

function total(fleet) {
  return { total: true, queries_per_second: sumOf(fleet, "queries_per_second"), saved_per_second: sumOf(fleet, "saved_per_second"), sessions: sumOf(fleet, "sessions"), ready: fleet.filter((m) => !m.not_ready).length, of: fleet.length };
}

function row(m, self) {
  const tr = element("tr", m.total ? "total" : "");
  const name = m.total ? "Together" : `${m.host}${m.self ? ", this one" : ""}`;
  const head = element("th", "", name, ...(m.total ? [] : [element("small", "", m.socket)]));
  head.scope = "row";
  const different = m.total ? [] : differences(m, self);
  const state = m.total ? `${m.ready} of ${m.of} ready` : m.not_ready ? "▲ not ready" : different.length ? `▲ ${different.join(", ")}` : "ready";
  const age = m.follower_age_seconds;
  const cells = [
    element("td", state.startsWith("▲") ? "warn" : "", state),
    m.hit_ratio === null || m.total ? "–" : `${Math.floor(m.hit_ratio * 1000) / 10}%`,
    perSecond(m.queries_per_second),
    m.saved_per_second ? seconds(m.saved_per_second) : "0",
    m.total ? "" : age === null ? "nothing yet" : `${spoken(age)} ago`,
    count(m.sessions),
    m.version ?? "",
    m.total ? "" : m.page || "none",
  ].map((cell) => (cell instanceof Node ? cell : element("td", "", cell)));
  if (m.not_ready) cells[0].title = m.not_ready;
  tr.append(head, ...cells);
  return named(tr, COLUMNS);
}
