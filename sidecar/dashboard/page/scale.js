// The vertical axis, the same for both kinds of painters.

// ceiling is the next round number above n, so that the scale seldom changes.
export function ceiling(n, least) {
  if (n <= least) return least;
  const power = 10 ** Math.floor(Math.log10(n));
  for (const step of [1, 1.5, 2, 3, 4, 5, 6, 8, 10]) if (n <= step * power) return step * power;
  return n;
}

// topOf returns the upper end of the axis for what is to be shown.
export function topOf(model, spec) {
  let most = 0;
  for (const roof of model.roofs) for (const v of roof) if (v > most) most = v;
  // A bound is drawn when values come near it; else they would be a line at the bottom.
  if (model.bound && most > model.bound / 2) most = Math.max(most, model.bound * 1.1);
  return ceiling(most, spec.least ?? 4);
}
