// Who is connected, and what they do.

import { $, element, facts, named, replace, setText } from "../dom.js";
import { count, spoken } from "../format.js";
import { sum } from "../outcomes.js";

const COLUMNS = ["Database", "Role", "Clients", "Waiting", "In a transaction", "Idle", "Oldest"];
const REFUSED = {
  refused_for_password: "not whom they said", refused_by_postgres: "by Postgres", refused_unreachable: "without Postgres",
  refused_by_limit: "above the limit", refused_by_files: "for want of files", refused_by_peer: "without a password", refused_by_user: "not on the list of users", refused_at_end: "at the end",
};
const SINGLE = ["Process", "Database", "Role", "Application", "State", "Connected"];
const STATES = { waiting: "waiting", in_transaction: "in a transaction", idle: "idle" };

const heads = (names) => names.map((name) => {
  const head = element("th", "", name);
  head.scope = "col";
  return head;
});
$("clients").tHead.rows[0].append(...heads(COLUMNS));
$("sessions").tHead.rows[0].append(...heads(SINGLE));

let latest = { session_list: [], sessions: 0 };
$("sessions-filter").addEventListener("input", () => showSingle());
$("sessions-details").addEventListener("toggle", () => showSingle());

const of = (g) => g.waiting + g.in_transaction + g.idle;

// own are connections that no client has asked for.
const own = (uses) => sum(Object.entries(uses).filter(([use]) => use !== "client").map(([, n]) => n));

// refused says how many were sent away, and why, the commonest reason first.
function refused(stats) {
  const why = Object.keys(REFUSED).filter((reason) => stats[reason]).sort((a, b) => stats[b] - stats[a]);
  return [`${count(stats.sessions_refused)} refused`, ...why.map((reason) => `${count(stats[reason])} ${REFUSED[reason]}`)].join(", ");
}

export function showClients({ stats }) {
  const groups = stats.clients;
  const all = (name) => sum(groups.map((g) => g[name]));
  latest = stats;
  showSingle();
  setText($("clients-count"), count(stats.sessions));
  facts($("clients-facts"), [
    ["Waiting", count(all("waiting")), "for an answer"],
    ["In a transaction", count(all("in_transaction")), "with nothing to wait for"],
    ["Oldest", groups.length ? spoken(Math.max(...groups.map((g) => g.oldest_seconds))) : "–", "connected"],
    ["To Postgres", count(sum(groups.map(of))), `one for each, and ${count(own(stats.upstream_connections))} of the sidecar's own`],
    ["Ever", count(stats.sessions_total), refused(stats)],
    ["Transactions spared", count(stats.transactions_held - stats.transactions_opened), `of ${count(stats.transactions_held)} held back`],
    ...(stats.warmed ? [["Kept warm", count(stats.warmed), `loads that nobody asked for, ${count(stats.warmed_read)} of them read`]] : []),
  ]);
  $("clients-scroll").hidden = !groups.length;
  // Ages by the second would have the table made anew each time.
  const rows = groups.map((g) => [g.database, g.role, count(of(g)), count(g.waiting), count(g.in_transaction), count(g.idle), g.oldest_seconds < 60 ? "< 1 min" : spoken(g.oldest_seconds)]);
  replace($("clients").tBodies[0], JSON.stringify([rows, stats.client_groups]), () => [
    ...rows.map((cells) => line(cells, COLUMNS)),
    ...(stats.client_groups > groups.length ? [line([`and ${count(stats.client_groups - groups.length)} more`, ...Array(COLUMNS.length - 1).fill("")], COLUMNS)] : []),
  ]);
}

// showSingle lists single clients where somebody has opened the list.
function showSingle() {
  const all = latest.session_list ?? [];
  $("sessions-details").hidden = !all.length;
  setText($("sessions-count"), all.length < latest.sessions ? `the ${count(all.length)} that have been connected for longest` : "");
  if (!$("sessions-details").open) return;
  const wanted = $("sessions-filter").value.toLowerCase();
  const rows = all.map((s) => [String(s.pid), s.database, s.role, s.application, STATES[s.state] ?? s.state, new Date(s.since).toLocaleString()])
    .filter((cells) => cells.join(" ").toLowerCase().includes(wanted));
  replace($("sessions").tBodies[0], JSON.stringify(rows), () => rows.map((cells) => line(cells, SINGLE)));
}

function line([first, ...others], columns) {
  const tr = element("tr", "");
  const head = element("th", "", first);
  head.scope = "row";
  tr.append(head, ...others.map((text) => element("td", "", text)));
  return named(tr, columns);
}
