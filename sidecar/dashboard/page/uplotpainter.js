// Draws a chart with uPlot, which is built in where the page was built before the program.

import { timeOfDay } from "./format.js";
import { topOf } from "./scale.js";

// LABEL_REACH is half of what a label of the horizontal axis is wide at most, in pixels, so far
// as the margins of the plot have no room for it.
const LABEL_REACH = 26;

// fits reports whether the label of a time neither meets the lowest one of the vertical axis
// nor is cut off.
function fits(plot, time) {
  const at = plot.valToPos(time, "x");
  return at >= LABEL_REACH && at <= plot.bbox.width / devicePixelRatio - LABEL_REACH + 8;
}

// load returns a maker of painters.
export async function load() {
  const sheet = document.createElement("link");
  sheet.rel = "stylesheet";
  sheet.href = "built/uPlot.css";
  document.head.append(sheet);
  const { default: UPlot } = await import("./built/uPlot.js");
  return (host, spec) => new UPlotPainter(UPlot, host, spec);
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

class UPlotPainter {
  constructor(UPlot, host, spec) {
    this.UPlot = UPlot;
    this.host = host;
    this.spec = spec;
  }

  paint(model, size) {
    this.model = model;
    const { host } = this;
    // From the uppermost on, each area covers the one above.
    const data = [model.times, ...[...model.roofs].reverse()];
    if (!this.plot) {
      this.plot = new this.UPlot({ ...this.options(), ...size }, data, host);
      this.size = size;
    } else {
      if (size.width !== this.size.width || size.height !== this.size.height) this.plot.setSize((this.size = size));
      this.plot.setData(data);
    }
    const ratio = devicePixelRatio;
    const { left, top, width, height } = this.plot.bbox;
    this.area = { left: left / ratio, top: top / ratio, width: width / ratio, height: height / ratio };
  }

  options() {
    const { spec } = this;
    const font = "12px system-ui, sans-serif";
    const axis = { stroke: color("soft"), font, grid: { stroke: color("line"), width: 1 }, ticks: { show: false } };
    return {
      legend: { show: false }, cursor: { show: false }, padding: [8, 8, 0, 0],
      scales: {
        x: { time: true, range: () => [this.model.from, this.model.to] },
        y: spec.log ? { distr: 3, range: () => [spec.low, spec.high] } : { range: () => [0, topOf(this.model, spec)] },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 26, space: 84, values: (plot, times) => times.map((time) => (fits(plot, time) ? clock(times)(time) : "")) },
        { ...axis, size: 68, gap: 6, splits: () => (spec.log ? spec.ticks : [0, 0.5, 1].map((part) => part * topOf(this.model, spec))), filter: (_, splits) => splits, values: (_, values) => values.map(spec.format) },
      ],
      series: [{}, ...[...spec.lines].reverse().map((line) => this.line(line))],
      hooks: { draw: [(plot) => this.bound(plot)] },
    };
  }

  line(line) {
    const { spec } = this;
    if (spec.stacked) return { stroke: color("card"), width: 1, fill: color(line.fill ?? line.key), points: { show: false } };
    return { stroke: color(line.color), width: line.dash ? 1.25 : 1.75, dash: line.dash, fill: spec.filled ? color(line.color) + "20" : undefined, points: { show: false } };
  }

  bound(plot) {
    const { bound } = this.model;
    if (!bound || bound > plot.scales.y.max) return;
    const { ctx, bbox } = plot;
    const y = Math.round(plot.valToPos(bound, "y", true));
    ctx.save();
    ctx.strokeStyle = color("warn");
    ctx.setLineDash([6, 6]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }
}

// clock spells times as exactly as their distance wants.
function clock(times) {
  const exact = times.length > 1 && times[1] - times[0] < 60;
  return (time) => timeOfDay(time, exact);
}
