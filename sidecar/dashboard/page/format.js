// Numbers as people read them. Nothing here is rounded to look better than it
// is: 99.96 % is 99.9 %, not 100 %.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const minutes = new Intl.DateTimeFormat([], { hour12: false, hour: "2-digit", minute: "2-digit" });
const moments = new Intl.DateTimeFormat([], { hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit" });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

export function count(n) {
  return n < 1e6 ? whole.format(n) : compact.format(n);
}

export function perSecond(n) {
  if (n === 0) return "0";
  return n < 10 ? tenth.format(n) : n < 1e5 ? whole.format(n) : compact.format(n);
}

// timeOfDay spells a time of a chart's axis, in seconds since 1970; exact: to the second.
export function timeOfDay(time, exact) {
  return (exact ? moments : minutes).format(time * 1000);
}

// clock spells a moment, as the charts do.
export function clock(date) {
  return date.toLocaleTimeString([], { hour12: false });
}

// share returns part / all in percent, rounded down to a tenth.
export function share(part, all) {
  if (all === 0) return "–";
  const percent = Math.floor((part / all) * 1000) / 10;
  if (percent === 0 && part > 0) return "< 0.1%";
  return (percent === 100 || percent === 0 ? whole : tenth).format(percent) + "%";
}

// duration returns a number and its unit, apart, for seconds.
export function duration(seconds) {
  if (seconds < 0.0995) return [String(Math.max(1, Math.round(seconds * 1000))), "ms"];
  if (seconds < 0.9995) return [String(Math.round(seconds * 100) * 10), "ms"];
  if (seconds < 59.95) return [String(Number(seconds.toFixed(1))), "s"];
  if (seconds < 5400) return [String(Math.round(seconds / 60)), "min"];
  if (seconds < 172800) return [String(Math.round(seconds / 3600)), "h"];
  return [String(Math.floor(seconds / 86400)), "days"];
}

// A number and its unit stay on one line.
export function spoken(seconds) {
  return duration(seconds).join("\u00a0");
}

// seconds returns short times too, for axes and readings.
export function seconds(n) {
  if (n === 0) return "0";
  if (n < 0.9995e-3) return `${Number((n * 1e6).toPrecision(2))}\u00a0µs`;
  if (n < 0.9995) return `${Number((n * 1e3).toPrecision(2))}\u00a0ms`;
  return `${Number(n.toPrecision(2))}\u00a0s`;
}

export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) {
    n /= 1024;
    i++;
  }
  return (i > 0 && n < 10 ? tenth.format(n) : whole.format(n)) + "\u00a0" + units[i];
}
