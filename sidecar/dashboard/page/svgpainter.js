// Draws a chart as SVG: the painter that needs no library.

import { timeOfDay } from "./format.js";
import { topOf } from "./scale.js";

const NS = "http://www.w3.org/2000/svg";

export function draw(parent, name, attributes, text) {
  const node = document.createElementNS(NS, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

export function newSVG(className) {
  const svg = document.createElementNS(NS, "svg");
  if (className) svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  return svg;
}

export class SVGPainter {
  constructor(host, spec) {
    this.host = host;
    this.spec = spec;
  }

  paint(model, size) {
    const { spec } = this;
    this.area = { left: 62, width: Math.max(80, size.width - 66), top: 6, height: Math.max(40, size.height - 30) };
    const { left, width, top, height } = this.area;
    const most = topOf(model, spec);
    const part = spec.log ? (v) => Math.log(Math.max(v, spec.low) / spec.low) / Math.log(spec.high / spec.low) : (v) => v / most;
    const y = (v) => top + (1 - Math.min(1, part(v))) * height;
    const x = (time) => left + ((time - model.from) / (model.to - model.from)) * width;
    const svg = newSVG();
    const ticks = spec.log ? spec.ticks : [0, most / 2, most];
    for (const v of ticks) {
      draw(svg, "line", { x1: left, x2: left + width, y1: y(v), y2: y(v), class: "grid" });
      draw(svg, "text", { x: left - 8, y: y(v) + 4, "text-anchor": "end", class: "axis" }, spec.format(v));
    }
    for (const [share, anchor] of [[0, "start"], [0.5, "middle"], [1, "end"]]) {
      const text = timeOfDay(model.from + share * (model.to - model.from), model.to - model.from < 600);
      draw(svg, "text", { x: left + share * width, y: top + height + 18, "text-anchor": anchor, class: "axis" }, text);
    }
    for (const k of [...spec.lines.keys()].reverse()) {
      for (const run of runs(model.roofs[k])) this.run(svg, k, run.map(([i, v]) => `${x(model.times[i]).toFixed(1)} ${y(v).toFixed(1)}`), `${x(model.times[run[0][0]]).toFixed(1)} ${y(0).toFixed(1)}`, `${x(model.times[run.at(-1)[0]]).toFixed(1)} ${y(0).toFixed(1)}`);
    }
    if (model.bound && (spec.log || model.bound <= most)) draw(svg, "line", { x1: left, x2: left + width, y1: y(model.bound), y2: y(model.bound), class: "bound" });
    this.host.replaceChildren(svg);
  }

  // run draws one line without gaps. From the uppermost on, each area covers the one above.
  run(svg, k, points, start, end) {
    if (points.length < 2) return;
    const { spec } = this;
    const line = `M${points.join("L")}`;
    if (spec.stacked) {
      draw(svg, "path", { d: `M${start}L${points.join("L")}L${end}Z`, fill: `url(#fill-${spec.lines[k].fill ?? spec.lines[k].key})` });
      draw(svg, "path", { d: line, class: "edge" });
    } else {
      if (spec.filled) draw(svg, "path", { d: `M${start}L${points.join("L")}L${end}Z`, class: `area ${spec.lines[k].color}` });
      draw(svg, "path", { d: line, class: `line ${spec.lines[k].color}${spec.lines[k].dash ? " dashed" : ""}` });
    }
  }
}

// runs are the parts of a column without unknown values, as [index, value].
function runs(column) {
  const found = [];
  let run = [];
  column.forEach((v, i) => {
    if (v !== null && v !== undefined) return run.push([i, v]);
    if (run.length) found.push(run);
    run = [];
  });
  if (run.length) found.push(run);
  return found;
}
