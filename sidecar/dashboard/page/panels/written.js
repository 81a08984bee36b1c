// Which tables change, and how much of what answers depend on changes with them.

import { $, element, replace, setText } from "../dom.js";
import { count, perSecond, spoken } from "../format.js";
import { quantile, together } from "../readings.js";
import { bar } from "./bypasses.js";

export function showWritten({ stats }) {
  const { written, written_rest: rest } = stats;
  const more = stats.tables_written - written.length;
  setText($("written-count"), written.length ? `${count(stats.invalidation_events)} statements of writers received` : "");
  const most = Math.max(1, ...written.map((t) => t.statements));
  replace($("written"), JSON.stringify([written, rest, more]), () => {
    if (!written.length) return [element("p", "empty", "No watched table has changed since the start.")];
    const items = written.map((t) =>
      element("div", "reason",
        element("p", "", t.name, element("span", "count", ended(t))),
        bar(t.statements / most),
        element("p", "advice", pace(t))));
    if (more > 0) items.push(element("div", "reason", element("p", "", `${count(more)} more together`, element("span", "count", ended(rest))), element("p", "advice", pace(rest))));
    return items;
  });
}

const ended = (t) => `${count(t.statements)} statements · ${count(t.entries_ended)} answers ended`;
const pace = (t) => `${perSecond(t.statements_per_second)} statements/s, ${perSecond(t.invalidations_per_second)} invalidations/s of the last 10 s`;

const STEPS = [3, 6, 9, 12, 15, 19]; // the last bucket of each bar but the last, which is of the rest

// showHitAges tells how old answers were when they were served.
export function showHitAges({ stats, library }) {
  const { hit_age_bounds_seconds: bounds, hit_age: ages } = stats.times;
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
    const whom = { 0.5: "Half were", 0.99: "99 of 100 were", 1: "The oldest was" }[share];
    return bound === null ? `${whom} more than ${spoken(bounds.at(-1))} old. ` : `${whom} at most ${spoken(bound)} old. `;
  };
  setText($("hit-ages-note"), total ? `${within(0.5)}${within(0.99)}${within(1)}On average they were ${spoken(all.sum_seconds / total)} old. Each was proven to lack no commit that was acknowledged more than ${spoken(stats.staleness_seconds)} before.` : "No answer came from the cache yet.");
  const most = Math.max(1, ...parts);
  replace($("hit-ages"), JSON.stringify(parts), () =>
    total ? parts.map((n, i) => element("div", "age", element("span", "", i < STEPS.length ? `up to ${spoken(bounds[STEPS[i]])}` : "older"), bar(n / most), element("span", "count", `${count(n)}`))) : []);
}
