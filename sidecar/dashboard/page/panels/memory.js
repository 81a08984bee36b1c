// What misses came from, and what this process keeps.

import { $, element, facts, replace, setText } from "../dom.js";
import { bytes, count, share } from "../format.js";
import { sum } from "../outcomes.js";
import { draw } from "../svgpainter.js";
import { bar, words } from "./bypasses.js";

export function showMemory({ stats }) {
  showMisses(stats);
  const { l1 } = stats;
  setText($("memory-text"), `${bytes(l1.bytes)} of ${bytes(l1.limit_bytes)}, ${count(l1.items)} entries`);
  const part = l1.limit_bytes ? Math.min(1, l1.bytes / l1.limit_bytes) : 0;
  $("memory-bar").replaceChildren();
  draw($("memory-bar"), "rect", { width: `${part * 100}%`, height: "100%" });
  showCurve(l1);
  facts($("memory-facts"), [
    ["Had to go", count(l1.evictions_of.capacity ?? 0), "good ones, for others"],
    ["Had ended and went", count((l1.evictions_of.invalidated ?? 0) + (l1.evictions_of.expired ?? 0)), `${count(l1.evictions_of.invalidated ?? 0)} by changes, ${count(l1.evictions_of.expired ?? 0)} by age`],
    ["Ended by changes", count(sum(Object.values(stats.invalidated_entries))), "of what was kept"],
    ["Not taken in", count(l1.rejections), "asked for less often"],
    ["Too large", count(l1.too_large), "above the limit"],
    ["Overtaken", count(l1.overtaken), "by a change while loading"],
    ["Loads shared", count(stats.leases.won), `${count(stats.leases.waited)} waited, ${count(stats.leases.vain)} in vain`],
    stats.resident_bytes && ["Resident", bytes(stats.resident_bytes), "the whole process"],
  ]);
}

// showCurve says what memory of other sizes would miss.
function showCurve({ miss_ratios: ratios }) {
  $("curve-title").hidden = !ratios.length;
  replace($("curve"), JSON.stringify(ratios), () =>
    ratios.map((r) => element("div", "age", element("span", "", `${bytes(r.limit_bytes)}${r.factor === 1 ? " now" : ""}`), bar(r.estimate), element("span", "count", share(r.estimate, 1)))));
}

function showMisses(stats) {
  const causes = Object.entries(stats.misses ?? {}).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  const total = sum(causes.map(([, n]) => n)) || stats.queries.miss;
  replace($("misses"), JSON.stringify([causes, total]), () =>
    causes.length
      ? causes.map(([cause, n]) => element("div", "reason", element("p", "", words(cause), element("span", "count", `${count(n)} · ${share(n, total)}`)), bar(n / total)))
      : [element("p", "empty", `${count(total)} loads since the start`)],
  );
}
