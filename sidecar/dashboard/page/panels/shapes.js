// Statements, those first of which most was saved or loaded, and behind them those that are not
// cached, unless the head of a column was chosen. Each opens to its details and the rules that can
// be written for it.

import { $, element, replace, setText } from "../dom.js";
import { get } from "../feed.js";
import { bytes, clock, count, perSecond, seconds, share, spoken } from "../format.js";
import { draw, newSVG } from "../svgpainter.js";
import { sum } from "../outcomes.js";
import { words } from "./bypasses.js";

const REREAD_MS = 10000;
const ENDINGS_REREAD_MS = 3000;
const BY = { row: "rows", table: "as a whole", schema: "names, rights or definitions", own: "freshet.touch", reset: "all was thrown away" };

// A column has a name, and what rows are sorted by; text is what its cells say. Only a sidecar
// knows what those with kept set say.
const COLUMNS = [
  { name: "Statement", by: (s) => s.statement },
  { name: "Calls /s", by: (s) => lately(s).calls.at(-1) ?? -1, text: (s) => (lately(s).calls.length ? perSecond(lately(s).calls.at(-1)) : "–") },
  { name: "5 min", title: "Calls per second in the last five minutes", by: (s) => mean(lately(s).calls) },
  { name: "Hits", by: (s) => s.hits / Math.max(1, s.hits + s.loads), text: (s) => share(s.hits, s.hits + s.loads) },
  { name: "Load takes", title: "What Postgres takes for it", by: takes, text: (s) => (takes(s) ? seconds(takes(s)) : "–") },
  { name: "Saved /min", title: "Time of Postgres' that hits have spared it, per minute of the last five", by: (s) => mean(lately(s).saved), text: (s) => (mean(lately(s).saved) > 0.0001 ? spoken(mean(lately(s).saved) * 60) : "–") },
  { name: "Loads", by: (s) => s.loads, text: (s) => count(s.loads) },
  { name: "Kept", kept: true, by: (s) => s.bytes, text: (s) => (s.entries ? `${count(s.entries)} · ${bytes(s.bytes)}` : "–") },
  { name: "Median age", kept: true, title: "Half of the hits were with entries no older than this", by: (s) => s.age_p50_seconds, text: (s) => (s.age_p50_seconds ? seconds(s.age_p50_seconds) : "–") },
];
// takes is what Postgres takes: for a load, or for what passes through where there was none.
function takes(s) {
  return s.loads ? s.loading_seconds / s.loads : (s.passed_seconds ?? 0) / Math.max(1, s.passed ?? 0);
}

const CACHED = "-"; // what the choice of reasons has for none
const COURSE = 2; // the column with the sparkline

let latest = null;
let recent = { statements: {}, length_max: 1 };
let recentAt = 0;
let sorted = null; // the column, and whether the least come first
const rows = new Map(); // by statement: they stay, so that what is open and in focus does

const lately = (s) => recent.statements[s.statement] ?? { calls: [], saved: [], misses: {} };
const mean = (values) => sum(values) / Math.max(1, values.length);

for (const column of COLUMNS) {
  const button = element("button", "sort", column.name);
  button.type = "button";
  button.addEventListener("click", () => sortBy(column));
  column.head = element("th", column.kept ? "kept" : "", button);
  column.head.scope = "col";
  if (column.title) button.title = column.title;
  $("shapes-head").append(column.head);
}

// sortBy puts those first that have most of a column, then those that have least, then those
// again of which most was saved or loaded.
function sortBy(column) {
  const text = column === COLUMNS[0];
  if (sorted?.column !== column) sorted = { column, rising: text };
  else sorted = sorted.rising === text ? { column, rising: !text } : null;
  for (const { head } of COLUMNS) head.removeAttribute("aria-sort");
  if (sorted) column.head.setAttribute("aria-sort", sorted.rising ? "ascending" : "descending");
  if (latest) paint();
}

export function showShapes({ stats }) {
  latest = merged([...stats.shapes, ...stats.shapes_passed]);
  showReasons(stats.shapes_passed);
  $("shapes-card").hidden = !latest.length;
  setText($("shapes-count"), stats.shapes.length < stats.shapes_known ? `the ${stats.shapes.length} of ${count(stats.shapes_known)} of which most was saved or loaded` : "");
  if (Date.now() - recentAt > REREAD_MS) readRecent();
  paint();
}

// showReasons offers those for which some of the statements are not cached.
function showReasons(passed) {
  const reasons = [...new Set(passed.map((s) => s.reason))].sort();
  const choice = $("shapes-reason");
  choice.parentElement.hidden = !reasons.length;
  const chosen = choice.value;
  replace(choice, JSON.stringify(reasons), () =>
    [["", "All"], [CACHED, "Cached"], ...reasons.map((r) => [r, `Not: ${words(r)}`])].map(([value, name]) => {
      const option = element("option", "", name);
      option.value = value;
      option.selected = value === chosen;
      return option;
    }));
}

// Another panel has the list show the statements that are not cached for a reason.
$("shapes-reason").addEventListener("choose", ({ detail: reason }) => {
  $("shapes-reason").value = reason;
  paint();
  $("shapes-card").scrollIntoView();
  $("shapes-reason").focus({ preventScroll: true });
});

async function readRecent() {
  recentAt = Date.now();
  try {
    recent = await get("api/v1/shapes/recent");
    paint();
  } catch {
    // It is read again with later figures.
  }
}

// merged makes one of statements that have the same text and mean something else for each
// role or search path.
function merged(shapes) {
  const all = new Map();
  for (const s of shapes) {
    const one = all.get(s.statement);
    all.set(s.statement, one ? both(one, s) : s);
  }
  return [...all.values()];
}

function both(a, b) {
  const one = { ...a, out_of_date: a.out_of_date || b.out_of_date, mixed: a.mixed || b.mixed, age_seconds: Math.max(a.age_seconds, b.age_seconds), misses: { ...a.misses }, reason: a.reason || b.reason, detail: a.detail || b.detail };
  for (const name of ["hits", "loads", "saved_seconds", "loading_seconds", "entries", "bytes", "passed", "passed_seconds"]) one[name] = a[name] + b[name];
  for (const list of ["tables", "tags", "watch", "roles"]) one[list] = [...new Set([...a[list], ...b[list]])];
  for (const [cause, n] of Object.entries(b.misses)) one.misses[cause] = (one.misses[cause] ?? 0) + n;
  if (b.hits > a.hits) one.age_p50_seconds = b.age_p50_seconds;
  return one;
}

function paint() {
  const wanted = $("shapes-filter").value.toLowerCase();
  const reason = $("shapes-reason").value;
  const chosen = (s) => !reason || (reason === CACHED ? !s.reason : s.reason === reason);
  const shown = latest.filter((s) => chosen(s) && `${s.id} ${s.statement} ${s.reason} ${s.tables.join(" ")}`.toLowerCase().includes(wanted));
  if (sorted) shown.sort(sorted.rising ? compare : (a, b) => compare(b, a));
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

function compare(a, b) {
  const [x, y] = [sorted.column.by(a), sorted.column.by(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

// arrange puts children in order, and moves none that stands where it should. What is in
// focus stays so.
function arrange(parent, children) {
  const focused = document.activeElement;
  const keep = new Set(children);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  children.forEach((child, i) => {
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null);
  });
  if (document.activeElement !== focused && parent.contains(focused)) focused.focus({ preventScroll: true });
}

function newRow(s) {
  const tr = element("tr", "");
  const tables = element("small", "", s.tables.join(", "));
  const details = element("div", "detail");
  const opens = element("details", "", element("summary", "", element("code", "", s.statement), tables), details);
  const head = element("th", "", opens);
  head.scope = "row";
  const cells = COLUMNS.slice(1).map(({ name, kept }) => {
    const cell = element("td", kept ? "kept" : "");
    cell.dataset.name = name; // where it is narrow, cells say what they are of
    return cell;
  });
  tr.append(head, ...cells);
  const row = { tr, tables, details, cells, opens, id: s.id, endings: [], endingsAt: 0 };
  opens.addEventListener("toggle", () => readEndings(row));
  return row;
}

// readEndings reads what has ended the answers of a statement, while somebody looks at it.
async function readEndings(row) {
  if (!row.id || !row.opens.open || Date.now() - row.endingsAt < ENDINGS_REREAD_MS) return;
  row.endingsAt = Date.now();
  try {
    row.endings = (await get(`api/v1/shapes/${row.id}`)).endings ?? [];
    paint();
  } catch {
    // The statement may have left the list.
  }
}

// endings says what has ended answers lately, the newest first.
function endings(list) {
  const items = list.map((e) => {
    const time = element("time", "", clock(new Date(e.at)));
    time.dateTime = e.at;
    return element("li", "", time, ` ${[e.table, BY[e.by] ?? e.by].filter((text) => text).join(", ")}${e.answers > 1 ? `: ${count(e.answers)} answers` : ""}`);
  });
  return element("div", "", element("p", "note", "Answers ended lately, the newest first"), element("ol", "endings", ...items));
}

function fill(row, s) {
  const { tables, details, cells } = row;
  readEndings(row);
  const why = s.reason && `▲ not cached: ${words(s.reason)}${s.detail ? ` (${s.detail})` : ""}`;
  setText(tables, [s.tables.join(", "), why].filter((text) => text).join(" · ") + (s.out_of_date ? ` · by consent out of date: the last answer was ${seconds(s.age_seconds)} old` : ""));
  COLUMNS.forEach(({ text }, i) => text && setText(cells[i - 1], text(s)));
  const { calls } = lately(s);
  replace(cells[COURSE - 1], calls.join(), () => (calls.length > 1 ? [sparkline(calls), element("span", "unseen", `at most ${perSecond(Math.max(...calls))}`)] : ["–"]));
  const misses = Object.entries(s.misses).sort((a, b) => b[1] - a[1]).map(([cause, n]) => `${words(cause)} ${count(n)}`);
  const ever = [];
  if (!s.reason || s.loads) ever.push(`saved ${s.saved_seconds ? spoken(s.saved_seconds) : "nothing"} by ${count(s.hits)} hits`, `loaded for ${s.loading_seconds ? spoken(s.loading_seconds) : "no time"}`);
  if (s.mixed) ever.push("counted together with another statement, as there are many");
  if (s.passed) ever.push(`${count(s.passed)} passed through, which took Postgres ${spoken(s.passed_seconds)}`);
  const courses = Object.entries(lately(s).misses).sort(([a], [b]) => (a < b ? -1 : 1));
  replace(details, JSON.stringify([s.id, s.tags, s.watch, s.roles, misses, ever, courses, row.endings]), () => [
    part("Since the start", [ever.join(" · ")]),
    ...(misses.length ? [part("Missed, by cause", [misses.join(" · ")])] : []),
    ...(courses.length ? [missed(courses)] : []),
    ...(s.roles.length ? [part("Roles that have sent it", [s.roles.join(", ")])] : []),
    // A library's statements have no id, and it does not tell what ends their answers.
    ...(s.id && !s.reason ? [part("Ended by changes of", s.tags.length ? s.tags : ["nothing but the schema"])] : []),
    ...(row.endings.length ? [endings(row.endings)] : []),
    ...(s.watch.length ? [part("Ended less often after", s.watch)] : []),
    ...(s.id ? [part("Rules for it, under shapes: in the configuration, then freshet reload", [`- {id: ${s.id}, cache: no}`, `- {id: ${s.id}, ttl: 30s}`])] : []),
  ]);
}

// missed shows when misses were, by cause.
function missed(courses) {
  const rows = courses.map(([cause, values]) => element("li", "", element("span", "", words(cause)), sparkline(values), element("span", "", `${count(Math.round(sum(values) * recent.interval_seconds))}`)));
  return element("div", "", element("p", "note", "Missed in the last five minutes"), element("ul", "courses", ...rows));
}

// sparkline draws the newest values at the right end.
function sparkline(values) {
  const width = recent.length_max - 1;
  const most = Math.max(...values) || 1;
  const svg = newSVG("spark");
  svg.setAttribute("viewBox", `0 0 ${width} 20`);
  svg.setAttribute("preserveAspectRatio", "none");
  const points = values.map((v, i) => `${width - values.length + 1 + i} ${(19 - (v / most) * 18).toFixed(1)}`);
  draw(svg, "path", { d: `M${width - values.length + 1} 20L${points.join("L")}L${width} 20Z`, class: "area good" });
  draw(svg, "path", { d: `M${points.join("L")}`, class: "line good" });
  return svg;
}

function part(title, texts) {
  return element("div", "", element("p", "note", title), ...texts.map((text) => element("code", "example", text)));
}

$("shapes-reason").addEventListener("change", () => latest && paint());
$("shapes-filter").addEventListener("input", () => latest && paint());
