// What was counted by duration, in buckets.

// quantile is the bound of the bucket that a share of all is in or below; null is longer than
// any bound.
export function quantile({ buckets, count }, bounds, share) {
  let below = 0;
  return bounds[buckets.findIndex((n) => (below += n) >= share * count)] ?? null;
}

// together sums readings.
export function together(readings) {
  const all = { buckets: [], count: 0, sum_seconds: 0 };
  for (const { buckets, count, sum_seconds: seconds } of readings) {
    buckets.forEach((n, i) => (all.buckets[i] = (all.buckets[i] ?? 0) + n));
    all.count += count;
    all.sum_seconds += seconds;
  }
  return all;
}
