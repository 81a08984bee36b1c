// Draws the curves of each run with uPlot, in the colours of the style sheet.
(() => {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const axis = () => ({ stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false } });
  const micros = (us) => (us >= 1e6 ? us / 1e6 + " s" : us >= 1e3 ? us / 1e3 + " ms" : us + " µs");
  const rounded = (x) => (x == null ? "" : Number(x.toPrecision(3)));

  // A percentile's place is the number of nines in it: as far apart are 90, 99 and 99.9 %.
  const nines = (quantile) => -Math.log10(1 - quantile);
  const percent = (place) => Number((100 * (1 - 10 ** -place)).toFixed(Math.max(0, Math.ceil(place) - 1))) + " %";

  const line = (l, value) => ({ label: l.name, stroke: color("--c" + l.color), width: 2, value, spanGaps: true, points: { show: false } });

  function latency(place, lines) {
    const all = [...new Set(lines.flatMap((l) => (l.read || []).map((p) => p.quantile)))].sort((a, b) => a - b);
    if (all.length === 0) return;
    const data = [all.map(nines), ...lines.map((l) => {
      const of = new Map((l.read || []).map((p) => [p.quantile, Math.max(p.us, 0.1)]));
      return all.map((q) => of.get(q) ?? null);
    })];
    new uPlot({
      width: place.clientWidth, height: 240,
      scales: { x: { time: false }, y: { distr: 3 } },
      axes: [{ ...axis(), splits: () => [0, 0.30103, 1, 2, 3, 4].filter((n) => n <= data[0].at(-1) + 0.01), values: (_, at) => at.map((n) => (n ? percent(n) : "0")) },
        { ...axis(), size: 64, values: (_, at) => at.map((us) => (us == null ? null : micros(rounded(us)))) }],
      series: [{ label: "percentile", value: (_, x) => (x == null ? "" : percent(x)) }, ...lines.map((l) => line(l, (_, us) => (us == null ? "" : micros(rounded(us)))))],
    }, data, place);
  }

  function course(place, lines) {
    const length = Math.max(...lines.map((l) => (l.steps || []).length));
    if (length < 2) return;
    const data = [Array.from({ length }, (_, i) => i), ...lines.map((l) => Array.from({ length }, (_, i) => (l.steps || [])[i] ?? null))];
    new uPlot({
      width: place.clientWidth, height: 240,
      scales: { x: { time: false }, y: { range: (_, low, high) => [0, high * 1.05] } },
      axes: [{ ...axis(), values: () => [] }, { ...axis(), size: 64 }],
      series: [{ label: "step" }, ...lines.map((l) => line(l, (_, x) => (x == null ? "" : Math.round(x) + "/s")))],
    }, data, place);
  }

  for (const figures of document.querySelectorAll(".curves")) {
    const lines = JSON.parse(document.getElementById("run" + figures.dataset.run).textContent);
    latency(figures.querySelector(".latency"), lines);
    course(figures.querySelector(".course"), lines);
  }
})();
