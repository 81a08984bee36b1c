// What statements took, by how they were answered, and what of that was not Postgres'.

import { Chart } from "../chart.js";
import { $, element } from "../dom.js";
import { seconds } from "../format.js";

const PATHS = [
  ["latency_hit_l1", "Memory", "hit_l1"],
  ["latency_hit_l2", "Redis", "hit_l2"],
  ["latency_coalesced", "Shared load", "ink"],
  ["latency_miss", "Miss", "miss-mark"],
  ["latency_bypass", "Passed through", "soft"],
  ["overhead", "Our part of what Postgres answers", "bad"],
];

const chart = new Chart($("latency-chart"), {
  label: "Latency", log: true, low: 5e-6, high: 10, ticks: [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10], format: seconds,
  lines: PATHS.flatMap(([key, name, color]) => [
    { key: `${key}_p50`, name: `${name}, half`, color },
    { key: `${key}_p99`, name: `${name}, 99 %`, color, dash: [4, 3], thin: true },
  ]),
});
$("latency-key").append(...PATHS.map(([, name, color]) => element("li", "", element("i", `dash ${color}`), name)));

export function showLatency(state) {
  // There is nothing to see before the first statement was measured.
  $("latency-card").hidden = !PATHS.some(([key]) => state.history.series[`${key}_p50`]?.some((v) => v !== null));
  chart.update(state);
}
