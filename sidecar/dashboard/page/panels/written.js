// Which tables change, and how much of what answers depend on changes with them.

import { $, element, replace, setText } from "../dom.js";
import { count, spoken } from "../format.js";
import { quantile, together } from "../readings.js";
import { bar } from "./bypasses.js";

export function showWritten({ stats }) {
  const { written } = stats;
  const more = stats.tables_written - written.length;
  setText($("written-count"), written.length ? `${count(stats.invalidation_events)} statements of writers received` : "");
  const most = Math.max(1, ...written.map((t) => t.statements));
  replace($("written"), JSON.stringify([written, more]), () => {
    if (!written.length) return [element("p", "empty", "No watched table has changed since the start.")];
    const items = written.map((t) =>
      element("div", "reason",
        element("p", "", t.name, element("span", "count", `${count(t.statements)} statements · ${count(t.entries_ended)} answers ended`)),
        bar(t.statements / most)));
    if (more > 0) items.push(element("p", "empty", `and ${count(more)} more tables`));
    return items;
  });
}

const STEPS = [6, 10, 13, 16, 19]; // the last bucket of each bar but the last, which is of the rest

// showHitAges tells how old answers were when they were served.
export function showHitAges({ stats, library }) {
  const { bounds_seconds: bounds, hit_age: ages } = stats.times;
  const all = together(["memory", "redis"].map((tier) => ages[tier]).filter((r) => r));
  const total = all.count;
  const parts = new Array(STEPS.length + 1).fill(0);
  all.buckets.forEach((n, i) => {
    const step = STEPS.findIndex((last) => i <= last);
    parts[step < 0 ? STEPS.length : step] += n;
  });
  setText($("hit-ages-count"), total ? `of ${count(total)} hits since the start` : "");
  $("hit-ages-card").hidden = library && !total;
  $("memory-card").classList.toggle("wide", $("hit-ages-card").hidden); // nothing is beside it
  const within = (share) => {
    const bound = quantile(all, bounds, share);
    return bound === null ? "" : `${share === 0.5 ? "Half" : "99 of 100"} were at most ${spoken(bound)} old. `;
  };
  setText($("hit-ages-note"), total ? `${within(0.5)}${within(0.99)}On average they were ${spoken(all.sum_seconds / total)} old. Each was proven to lack no commit that was acknowledged more than ${spoken(stats.staleness_seconds)} before.` : "No answer came from the cache yet.");
  const most = Math.max(1, ...parts);
  replace($("hit-ages"), JSON.stringify(parts), () =>
    total ? parts.map((n, i) => element("div", "age", element("span", "", i < STEPS.length ? `up to ${spoken(bounds[STEPS[i]])}` : "older"), bar(n / most), element("span", "count", `${count(n)}`))) : []);
}
