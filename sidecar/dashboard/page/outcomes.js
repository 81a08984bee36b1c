// How statements are answered, and what is counted of that.

// In the order in which they are stacked, from the bottom.
export const NAMES = {
  hit_l1: "Memory",
  hit_l2: "Redis",
  coalesced: "Shared load",
  miss: "Miss",
  bypass: "Passed through",
  error: "Error",
};
export const OUTCOMES = Object.keys(NAMES);
export const HITS = ["hit_l1", "hit_l2", "coalesced"];
export const CACHEABLE = [...HITS, "miss"];

export const sum = (list) => list.reduce((a, b) => a + b, 0);

// last returns the newest value of a column that is known.
export function last(column) {
  for (let i = column.length - 1; i >= 0; i--) if (column[i] !== null) return column[i];
  return 0;
}

// over sums what columns counted in the newest seconds of a history.
export function over(history, seconds) {
  const n = Math.max(1, Math.round(seconds / history.interval_seconds));
  const total = (name) => sum((history.series[name] ?? []).slice(-n).map((v) => v ?? 0)) * history.interval_seconds;
  return counted(total);
}

// ever sums what was counted since the start.
export function ever(stats, natural) {
  const byNature = sum(natural.map((reason) => stats.bypasses[reason] ?? 0));
  return counted((name) => (name === "by_nature" ? byNature : (stats.queries[name] ?? 0)));
}

function counted(total) {
  const hits = sum(HITS.map(total));
  const cacheable = hits + total("miss");
  return { hits, cacheable, reads: cacheable + Math.max(0, total("bypass") - total("by_nature")) };
}
