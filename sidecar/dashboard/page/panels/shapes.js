// Statements, those first of which most was saved or loaded.

import { $, element, replace, setText } from "../dom.js";
import { count, perSecond, seconds, share, spoken } from "../format.js";

const COLUMNS = ["Statement", "Calls /s", "Hits", "Load takes", "Saved", "Loads"];

$("shapes-head").append(...COLUMNS.map((name) => {
  const head = element("th", "", name);
  head.scope = "col";
  return head;
}));

let latest = null;
let before = null; // to tell how often statements are asked now
let rates = {};

export function showShapes({ stats }) {
  latest = stats.shapes;
  $("shapes-card").hidden = !latest.length;
  setText($("shapes-count"), latest.length < stats.shapes_known ? `the first ${latest.length} of ${count(stats.shapes_known)}` : "");
  const now = Date.now();
  const calls = Object.fromEntries(latest.map((s) => [s.statement, s.hits + s.loads]));
  if (!before) before = { at: now, calls };
  else if (now - before.at >= 5000) {
    rates = Object.fromEntries(latest.map((s) => [s.statement, Math.max(0, calls[s.statement] - (before.calls[s.statement] ?? 0)) / ((now - before.at) / 1000)]));
    before = { at: now, calls };
  }
  paint();
}

function paint() {
  const wanted = $("shapes-filter").value.toLowerCase();
  const shown = latest.filter((s) => `${s.statement} ${s.tables.join(" ")}`.toLowerCase().includes(wanted));
  replace($("shapes").tBodies[0], JSON.stringify([shown, rates]), () => shown.map(row));
}

function row(s) {
  const tr = element("tr", "");
  const head = element("th", "", element("code", "", s.statement), element("small", "", s.tables.join(", ")));
  head.scope = "row";
  const cells = [
    rates[s.statement] === undefined ? "–" : perSecond(rates[s.statement]),
    share(s.hits, s.hits + s.loads),
    s.loads ? seconds(s.loading_seconds / s.loads) : "–",
    s.saved_seconds ? spoken(s.saved_seconds) : "–",
    count(s.loads),
  ];
  tr.append(head, ...cells.map((text) => element("td", "", text)));
  return tr;
}

$("shapes-filter").addEventListener("input", () => latest && paint());
