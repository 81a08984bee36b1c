// All tables that are watched or should be, of which only those in sight are in the
// document. Those with which something is wrong come first.

import { $, element, replace, setText } from "../dom.js";
import { get } from "../feed.js";
import { clock, count, perSecond, spoken } from "../format.js";

const ROW = 30; // pixels, as in the style sheet
const PROBLEMS_MAX = 8;
const REREAD_MS = 10000;
const TYPING_MS = 150;

const list = $("tables");
const space = element("div", "space");
list.append(space);
let tables = null; // those that match the filter; null until they are read
let known = null; // for what the list was read
let readAt = 0;
let timer;

export function showTables({ stats }) {
  setText($("watch-count"), count(stats.watched_tables));
  const problems = stats.problems.slice(0, PROBLEMS_MAX);
  replace($("problems"), JSON.stringify([problems, stats.watch_problems]), () => {
    const items = problems.map((p) => element("li", "", element("b", "", "▲ "), p));
    if (stats.watch_problems > items.length) items.push(element("li", "", `and ${stats.watch_problems - items.length} more problems in stats`));
    return items;
  });
  const of = `${stats.watched_tables} ${stats.incarnation} ${stats.version}`;
  if (of !== known || Date.now() - readAt > REREAD_MS) {
    known = of;
    read();
  }
}

async function read() {
  readAt = Date.now();
  try {
    const answer = await get(`api/v1/tables?q=${encodeURIComponent($("tables-filter").value)}`);
    tables = answer.tables;
    paint(answer.found > tables.length ? `, the first ${count(tables.length)} shown` : "");
  } catch {
    known = null; // it is read again with the next figures
  }
}

function paint() {
  if (!tables) return;
  space.style.height = `${tables.length * ROW}px`;
  list.classList.toggle("short", tables.length < 12);
  if (!tables.length) {
    const text = $("tables-filter").value ? "None matches." : "None, so every read goes to Postgres. Watch some: freshet install --watch 'public.*'";
    space.replaceChildren(element("p", "empty", text));
    space.style.height = "";
    return;
  }
  const from = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
  const to = Math.min(tables.length, from + Math.ceil(list.clientHeight / ROW) + 10);
  space.replaceChildren(
    ...tables.slice(from, to).map((t, i) => {
      const row = element("p", "table", element("b", "", t.name), state(t), element("span", t.why ? "what why" : "what", t.why || t.columns.join(", ")), ...written(t));
      row.title = t.why ?? "";
      row.style.top = `${(from + i) * ROW}px`;
      return row;
    }),
  );
}

function state(t) {
  if (t.state === "doubtful") return element("span", "warn", t.since ? `▲ doubtful since ${clock(new Date(t.since))}` : "▲ doubtful");
  return t.state === "unwatched" ? element("span", "", "not watched") : element("span", "state", "watched");
}

// some says how many there are of what has a plural like most.
const some = (n, what) => `${count(n)} ${what}${n === 1 ? "" : "s"}`;

// written says what is kept of a table, and how often it is written.
function written(t) {
  const kept = t.entries ? [element("span", "count", some(t.entries, "answer"))] : [];
  if (!t.statements) return kept;
  const ago = spoken(Math.max(1, Math.round((Date.now() - new Date(t.at)) / 1000)));
  const pace = t.statements_per_second ? `, ${perSecond(t.statements_per_second)}/s` : "";
  return [...kept, element("span", "count", some(t.statements, "write"), element("span", "ago", `${pace}, ${some(t.invalidations, "tag")}, last ${ago} ago`))];
}

list.addEventListener("scroll", paint);
new ResizeObserver(paint).observe(list);
$("tables-filter").addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => {
    list.scrollTop = 0;
    read();
  }, TYPING_MS);
});
