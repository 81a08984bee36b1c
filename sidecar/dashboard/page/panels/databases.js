// The databases of this sidecar, each with a page of its own.

import { $, element, named, replace, setText } from "../dom.js";
import { count, spoken } from "../format.js";

const COLUMNS = ["Database", "State", "Hits", "Reads", "Knows", "Clients", "Watched tables"];

$("databases").tHead.rows[0].append(...COLUMNS.map((name) => {
  const head = element("th", "", name);
  head.scope = "col";
  return head;
}));

export function showDatabases({ stats }) {
  const { databases, database } = stats;
  $("databases-card").hidden = !databases.length;
  if (!databases.length) return;
  const ready = databases.filter((d) => !d.not_ready).length;
  setText($("databases-count"), `${count(ready)} of ${count(databases.length)} ready; this page is of ${database}`);
  replace($("databases").tBodies[0], JSON.stringify([databases, database]), () => databases.map((d) => row(d, databases[0].name, database)));
}

// address is where the page of a database is, seen from the page of another one.
function address(name, first, here) {
  if (name === first) return here === first ? "./" : "../../";
  return `${here === first ? "databases/" : "../"}${encodeURIComponent(name)}/`;
}

function row(d, first, here) {
  const tr = element("tr", "");
  const link = element("a", "", d.name);
  link.href = address(d.name, first, here);
  if (d.name === here) link.setAttribute("aria-current", "page");
  const head = element("th", "", link);
  head.scope = "row";
  const state = element("td", d.not_ready ? "warn" : "", d.not_ready ? "▲ not ready" : "ready");
  if (d.not_ready) state.title = d.not_ready;
  const cells = [
    d.reads ? `${Math.floor((d.hits / d.reads) * 1000) / 10}%` : "–",
    count(d.reads),
    d.follower_age_seconds === null ? "nothing yet" : `${spoken(d.follower_age_seconds)} ago`,
    count(d.sessions),
    count(d.watched_tables),
  ].map((text) => element("td", "", text));
  tr.append(head, state, ...cells);
  return named(tr, COLUMNS);
}
