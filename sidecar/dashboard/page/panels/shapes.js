// Statements, those first of which most was saved or loaded. Each opens to its details and
// the rules that can be written for it.

import { $, element, replace, setText } from "../dom.js";
import { bytes, count, perSecond, seconds, share, spoken } from "../format.js";
import { words } from "./bypasses.js";

const COLUMNS = ["Statement", "Calls /s", "Hits", "Load takes", "Saved", "Loads", "Kept", "Age"];

$("shapes-head").append(...COLUMNS.map((name) => {
  const head = element("th", "", name);
  head.scope = "col";
  return head;
}));

let latest = null;
let before = null; // to tell how often statements are asked now
let rates = {};
const rows = new Map(); // by statement: they stay, so that what is open and in focus does

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
  const shown = latest.filter((s) => `${s.id} ${s.statement} ${s.tables.join(" ")}`.toLowerCase().includes(wanted));
  const known = new Set(latest.map((s) => s.statement));
  for (const statement of rows.keys()) if (!known.has(statement)) rows.delete(statement);
  const wantedRows = shown.map((s) => {
    if (!rows.has(s.statement)) rows.set(s.statement, newRow(s));
    const row = rows.get(s.statement);
    fill(row, s);
    return row.tr;
  });
  arrange($("shapes").tBodies[0], wantedRows);
}

// arrange puts children in order, and moves none that stands where it should.
function arrange(parent, children) {
  const keep = new Set(children);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  children.forEach((child, i) => {
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null);
  });
}

function newRow(s) {
  const tr = element("tr", "");
  const tables = element("small", "", s.tables.join(", "));
  const details = element("div", "detail");
  const opens = element("details", "", element("summary", "", element("code", "", s.statement), tables), details);
  const head = element("th", "", opens);
  head.scope = "row";
  const cells = COLUMNS.slice(1).map(() => element("td", ""));
  tr.append(head, ...cells);
  return { tr, tables, details, cells };
}

function fill({ tables, details, cells }, s) {
  setText(tables, s.tables.join(", ") + (s.out_of_date ? ` · by consent out of date: the last answer was ${seconds(s.age_seconds)} old` : ""));
  [
    rates[s.statement] === undefined ? "–" : perSecond(rates[s.statement]),
    share(s.hits, s.hits + s.loads),
    s.loads ? seconds(s.loading_seconds / s.loads) : "–",
    s.saved_seconds ? spoken(s.saved_seconds) : "–",
    count(s.loads),
    s.entries ? `${count(s.entries)}, ${bytes(s.bytes)}` : "–",
    s.age_p50_seconds ? seconds(s.age_p50_seconds) : "–",
  ].forEach((text, i) => setText(cells[i], text));
  const misses = Object.entries(s.misses).sort((a, b) => b[1] - a[1]).map(([cause, n]) => `${words(cause)} ${count(n)}`);
  replace(details, JSON.stringify([s.id, s.tags, s.watch, misses]), () => [
    ...(misses.length ? [part("Missed, by cause", misses)] : []),
    part("Ended by changes of", s.tags.length ? s.tags : ["nothing but the schema"]),
    ...(s.watch.length ? [part("Ended less often after", s.watch)] : []),
    part("Rules for it, under shapes: in the configuration, then freshet reload", [`- {id: ${s.id}, cache: no}`, `- {id: ${s.id}, ttl: 30s}`]),
  ]);
}

function part(title, texts) {
  return element("div", "", element("p", "note", title), ...texts.map((text) => element("code", "example", text)));
}

$("shapes-filter").addEventListener("input", () => latest && paint());
