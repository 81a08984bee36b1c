// A chart of the history: lines, or areas that are stacked. What it is drawn with is told
// once for all charts: SVG, or a library if it was built in. Cursor, keys, markers and
// what is read out are the same for both.

import { element } from "./dom.js";
import { clock } from "./format.js";
import { SVGPainter } from "./svgpainter.js";

const MARKER_REACH = 8; // pixels beside a marker that count as it

let makePainter = (host, spec) => new SVGPainter(host, spec);
const charts = [];

// drawWith has all charts drawn by another kind of painter.
export function drawWith(make) {
  makePainter = make;
  for (const chart of charts) chart.begin();
}

export class Chart {
  // spec: label; lines, each of key, name and color (a variable of the style sheet);
  // stacked; log; format; low and high, the bounds of a logarithmic axis; bound, a line to
  // stay below, a function of state; picked, called with a marker that was clicked; fill of
  // a line, the pattern of its area if that is not named by its key.
  constructor(host, spec) {
    this.host = host;
    this.spec = spec;
    this.at = null; // index under the pointer or the keyboard cursor
    this.size = null; // of the plot, in pixels: asking for it while others are drawn would lay the page out anew
    this.plot = element("div", "plot");
    this.overlay = element("div", "overlay");
    this.overlay.setAttribute("aria-hidden", "true");
    this.readout = element("div", "readout");
    this.readout.setAttribute("aria-live", "polite");
    this.readout.hidden = true;
    host.tabIndex = 0;
    host.setAttribute("role", "application");
    host.setAttribute("aria-roledescription", "chart");
    host.append(this.plot, this.overlay, this.readout);
    this.begin();
    charts.push(this);
    new ResizeObserver((entries) => this.fit(entries.at(-1).contentRect)).observe(this.plot);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.begin());
    host.addEventListener("pointermove", (e) => this.point(e));
    host.addEventListener("pointerdown", (e) => this.point(e));
    host.addEventListener("pointerleave", () => this.move(null));
    host.addEventListener("blur", () => this.move(null));
    host.addEventListener("click", (e) => this.click(e));
    host.addEventListener("keydown", (e) => this.key(e));
  }

  begin() {
    this.plot.replaceChildren();
    this.painter = makePainter(this.plot, this.spec);
    this.paint();
  }

  update(state) {
    const { history } = state;
    const columns = this.spec.lines.map((line) => history.series[line.key] ?? []);
    const length = columns[0].length;
    const step = history.interval_seconds;
    const times = Array.from({ length }, (_, i) => history.end - (length - 1 - i) * step);
    const from = history.end - span(length, history.length_max) * step;
    this.model = { columns, times, from, to: history.end, step, bound: this.spec.bound?.(state), markers: state.markers.filter((m) => m.at >= from && m.at <= history.end + step) };
    this.model.roofs = this.spec.stacked ? stacked(columns) : columns;
    this.paint();
  }

  fit({ width, height }) {
    this.size = width ? { width: Math.round(width), height: Math.round(height) } : null;
    this.paint();
  }

  paint() {
    if (!this.model || !this.size) return;
    this.painter.paint(this.model, this.size);
    this.host.setAttribute("aria-label", this.summary());
    this.paintOverlay();
  }

  // x returns the place of a time, from the left edge of the host.
  x(time) {
    const { left, width } = this.painter.area;
    const { from, to } = this.model;
    return left + ((time - from) / (to - from)) * width;
  }

  paintOverlay() {
    const { top, height } = this.painter.area;
    const sticks = this.model.markers.map((m) => [`marker ${m.kind}`, m.at]);
    const { times } = this.model;
    const shown = this.at !== null && this.at < times.length;
    if (shown) sticks.push(["cursor", times[this.at]]);
    const lines = this.overlay.children;
    while (lines.length > sticks.length) lines[sticks.length].remove();
    sticks.forEach(([className, time], i) => {
      const line = lines[i] ?? this.overlay.appendChild(element("i", ""));
      if (line.className !== className) line.className = className;
      Object.assign(line.style, { left: `${this.x(time)}px`, top: `${top}px`, height: `${height}px` });
    });
    this.readout.hidden = !shown;
    if (shown) this.read();
  }

  move(index) {
    if (this.at === index) return;
    this.at = index;
    if (this.model) this.paintOverlay();
  }

  point(event) {
    if (!this.model?.times.length) return;
    const { left, width } = this.painter.area;
    const { from, to, times } = this.model;
    const part = (event.clientX - this.host.getBoundingClientRect().left - left) / width;
    const i = times.length - 1 - Math.round((to - (from + part * (to - from))) / this.model.step);
    this.move(i >= 0 && i < times.length ? i : null);
  }

  click(event) {
    if (!this.model || !this.spec.picked) return;
    const at = event.clientX - this.host.getBoundingClientRect().left;
    const away = (m) => Math.abs(this.x(m.at) - at);
    const nearest = [...this.model.markers].sort((a, b) => away(a) - away(b))[0];
    if (nearest && away(nearest) <= MARKER_REACH) this.spec.picked(nearest);
  }

  key(event) {
    const length = this.model?.times.length ?? 0;
    if (!length) return;
    if (event.key === "Escape") return this.move(null);
    const from = this.at ?? length;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, PageUp: from - 10, PageDown: from + 10, Home: 0, End: length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.move(Math.min(length - 1, Math.max(0, to)));
  }

  read() {
    const { columns, times, markers, step } = this.model;
    const { spec, at } = this;
    const table = element("table", "");
    table.createCaption().textContent = clock(new Date(times[at] * 1000));
    const near = markers.filter((m) => Math.abs(m.at - times[at]) <= step);
    [...spec.lines.keys()].reverse().forEach((k) => {
      const v = columns[k][at];
      if (v === null || v === undefined || (spec.stacked && !v)) return;
      const row = table.insertRow();
      const head = element("th", "", spec.lines[k].name);
      head.scope = "row";
      row.append(head);
      row.insertCell().textContent = spec.format(v);
    });
    this.readout.replaceChildren(table, ...near.map((m) => element("p", "", m.text)));
    const x = this.x(times[at]);
    const onLeft = x > this.host.clientWidth / 2;
    Object.assign(this.readout.style, { left: onLeft ? "" : `${x + 10}px`, right: onLeft ? `${this.host.clientWidth - x + 10}px` : "" });
  }

  summary() {
    const { columns, times } = this.model;
    if (!times.length) return `${this.spec.label}: nothing yet`;
    const now = this.spec.lines.map((line, k) => `${line.name} ${columns[k].at(-1) === null ? "unknown" : this.spec.format(columns[k].at(-1) ?? 0)}`);
    return `${this.spec.label}. Now: ${now.join(", ")}. Arrow keys read single moments.`;
  }
}

// span returns how many intervals are shown: of a young history a part, so that it does not
// stand in a corner.
function span(length, most) {
  for (const part of [1 / 7.5, 1 / 3]) if (length <= most * part) return Math.round(most * part) - 1;
  return most - 1;
}

function stacked(columns) {
  let below = new Array(columns[0].length).fill(0);
  return columns.map((column) => (below = column.map((v, i) => (v === null || below[i] === null ? null : below[i] + v))));
}
