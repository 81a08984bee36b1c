// Which tables change, and how much of what answers depend on changes with them.

import { $, element, replace, setText } from "../dom.js";
import { count, spoken } from "../format.js";
import { bar } from "./bypasses.js";

export function showWritten({ stats }) {
  const { written } = stats;
  const more = stats.tables_written - written.length;
  setText($("written-count"), written.length ? `${count(stats.invalidation_events)} statements of writers received` : "");
  const most = Math.max(1, ...written.map((t) => t.invalidations));
  replace($("written"), JSON.stringify([written, more]), () => {
    if (!written.length) return [element("p", "empty", "No watched table has changed since the start.")];
    const items = written.map((t) =>
      element("div", "reason",
        element("p", "", t.name, element("span", "count", `${count(t.statements)} statements · ${count(t.entries_ended)} answers ended`)),
        bar(t.invalidations / most),
        element("p", "advice", `the last at ${new Date(t.at).toLocaleTimeString()}`)));
    if (more > 0) items.push(element("p", "empty", `and ${count(more)} more tables`));
    return items;
  });
}

const TIERS = { memory: "hit_l1", redis: "hit_l2" };
const STEPS = [0.001, 0.02, 0.2, 1, 9]; // seconds, rounded up to buckets
const NAMES = ["1 ms", "20 ms", "200 ms", "1 s", "9 s"];

// showHitAges tells how old answers were when they were served.
export function showHitAges({ stats }) {
  const { bounds_seconds: bounds, hit_age: ages } = stats.times;
  const counted = Object.keys(TIERS).map((tier) => ages[tier]).filter((r) => r?.count);
  const total = counted.reduce((all, r) => all + r.count, 0);
  const parts = new Array(STEPS.length + 1).fill(0);
  for (const reading of counted) {
    reading.buckets.forEach((n, i) => {
      const step = STEPS.findIndex((s) => bounds[i] <= s);
      parts[step < 0 ? STEPS.length : step] += n;
    });
  }
  setText($("hit-ages-count"), total ? `of ${count(total)} hits since the start` : "");
  const mean = counted.reduce((all, r) => all + r.sum_seconds, 0) / Math.max(1, total);
  setText($("hit-ages-note"), total ? `On average answers were ${spoken(mean)} old, and proven to lack no commit that was acknowledged more than ${spoken(stats.staleness_seconds)} before.` : "No answer came from the cache yet.");
  const most = Math.max(1, ...parts);
  replace($("hit-ages"), JSON.stringify(parts), () =>
    total ? parts.map((n, i) => element("div", "age", element("span", "", i < NAMES.length ? `up to ${NAMES[i]}` : "older"), bar(n / most), element("span", "count", `${count(n)}`))) : []);
}
