// How statements were answered over time, and what happened meanwhile.

import { Chart } from "../chart.js";
import { $, element, replace, setText } from "../dom.js";
import { clock, count, perSecond, seconds, spoken } from "../format.js";
import { NAMES, OUTCOMES, last } from "../outcomes.js";
import { draw, newSVG } from "../svgpainter.js";

const MARKERS_SHOWN = 60;

export function swatch(outcome) {
  const svg = newSVG("swatch");
  draw(svg, "rect", { width: "100%", height: "100%", fill: `url(#fill-${outcome})` });
  return svg;
}

const key = (color, name) => element("li", "", element("i", `dash ${color}`), name);

const traffic = new Chart($("traffic-chart"), {
  label: "Queries per second", stacked: true, format: perSecond, picked: openMarkers,
  lines: OUTCOMES.map((o) => ({ key: o, name: NAMES[o] })),
});
const age = new Chart($("age-chart"), {
  label: "Age of what is known", filled: true, format: (v) => (v ? spoken(v) : "0"), least: 0.1,
  bound: (state) => state.stats.staleness_seconds,
  lines: [{ key: "follower_age", name: "Age", color: "good" }],
});
// Without the cache Postgres would take both.
const SPENT = [{ key: "busy", name: "Taken", fill: "bypass" }, { key: "saved", name: "Saved, estimated", fill: "hit_l1" }];
const spent = new Chart($("spent-chart"), { label: "Postgres' time per second", stacked: true, format: seconds, least: 0.1, lines: SPENT });
$("spent-key").append(...SPENT.map((s) => element("li", "", swatch(s.fill), s.name)));
const WORK = [{ key: "upstream", name: "Statements of clients", color: "bad" }, { key: "changes", name: "Changes received", color: "good" }];
const work = new Chart($("work-chart"), { label: "Postgres' work per second", format: perSecond, lines: WORK });
$("work-key").append(...WORK.map((w) => key(w.color, w.name)));

const rows = Object.fromEntries(
  [...OUTCOMES].reverse().map((outcome) => {
    const row = $("outcomes").tBodies[0].insertRow();
    const head = element("th", "", element("span", "name", swatch(outcome), NAMES[outcome]));
    head.scope = "row";
    row.append(head);
    return [outcome, { now: row.insertCell(), total: row.insertCell() }];
  }),
);

export function showTraffic(state) {
  for (const chart of [traffic, age, spent, work]) chart.update(state);
  for (const outcome of OUTCOMES) {
    setText(rows[outcome].now, perSecond(last(state.history.series[outcome])));
    setText(rows[outcome].total, count(state.stats.queries[outcome]));
  }
  // The chart has the line where ages come near it.
  $("age-key").hidden = !(Math.max(...state.history.series.follower_age) > state.stats.staleness_seconds / 2);
  setText($("age-bound-text"), `The promise: ${spoken(state.stats.staleness_seconds)}`);
  showMarkers(state.markers);
  const none = OUTCOMES.every((o) => !state.stats.queries[o]);
  $("welcome").hidden = !none || !state.stats.listening;
  const [, dir, port] = state.stats.socket.match(/^(.*)\/\.s\.PGSQL\.(\d+)$/) ?? [];
  setText($("connect"), dir ? `psql -h ${dir} -p ${port}` : state.stats.socket);
}

function showMarkers(markers) {
  setText($("marker-count"), String(markers.length));
  const shown = markers.slice(-MARKERS_SHOWN).reverse();
  replace($("markers"), JSON.stringify(shown), () =>
    shown.map((m) => {
      const time = element("time", "", clock(new Date(m.at * 1000)));
      time.dateTime = new Date(m.at * 1000).toISOString();
      const item = element("li", m.kind, time, " ", m.text);
      item.dataset.at = m.at;
      return item;
    }),
  );
}

// openMarkers shows one of what happened in its list.
function openMarkers({ at }) {
  $("markers").parentElement.open = true;
  for (const item of $("markers").children) {
    item.classList.toggle("picked", Number(item.dataset.at) === at);
    if (item.classList.contains("picked")) item.scrollIntoView({ block: "nearest" });
  }
}

$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("connect").textContent);
    setText($("copy"), "Copied");
  } catch {
    getSelection().selectAllChildren($("connect"));
  }
});
