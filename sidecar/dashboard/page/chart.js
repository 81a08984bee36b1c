// The two charts, drawn as SVG. Both take columns of numbers, oldest first, and
// fill from the right: the newest value stands at the right edge.

import { count, perSecond, spoken } from "./format.js";

const NS = "http://www.w3.org/2000/svg";

function draw(parent, name, attributes, text) {
  const node = document.createElementNS(NS, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

// ceiling is the next round number above n, so that the scale seldom changes.
function ceiling(n) {
  if (n <= 4) return 4;
  const power = 10 ** Math.floor(Math.log10(n));
  for (const step of [1, 1.5, 2, 3, 4, 5, 6, 8, 10]) {
    if (n <= step * power) return step * power;
  }
  return n;
}

export function swatch(outcome) {
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("class", "swatch");
  svg.setAttribute("aria-hidden", "true");
  draw(svg, "rect", { width: "100%", height: "100%", fill: `url(#fill-${outcome})` });
  return svg;
}

// shares draws one bar that is divided like values.
export function shares(host, outcomes, values) {
  const total = outcomes.reduce((sum, o) => sum + values[o], 0);
  const svg = document.createElementNS(NS, "svg");
  let x = 0;
  for (const o of outcomes) {
    if (total === 0 || values[o] === 0) continue;
    const width = (values[o] / total) * 100;
    draw(svg, "rect", { x: x + "%", width: width + "%", height: "100%", fill: `url(#fill-${o})` });
    if (x > 0) draw(svg, "line", { x1: x + "%", x2: x + "%", y1: 0, y2: "100%", class: "edge" });
    x += width;
  }
  host.replaceChildren(svg);
}

// TrafficChart stacks one area per outcome.
export class TrafficChart {
  constructor(host, outcomes, names) {
    this.host = host;
    this.outcomes = outcomes;
    this.names = names;
    this.history = null;
    this.at = null; // index under the pointer or the keyboard cursor
    new ResizeObserver(() => this.paint()).observe(host);
    host.addEventListener("pointermove", (e) => this.point(e));
    host.addEventListener("pointerdown", (e) => this.point(e));
    host.addEventListener("pointerleave", () => this.move(null));
    host.addEventListener("blur", () => this.move(null));
    host.addEventListener("keydown", (e) => this.key(e));
  }

  update(history) {
    this.history = history;
    this.paint();
  }

  move(index) {
    this.at = index;
    this.paint();
  }

  // x returns the horizontal place of sample i.
  x(i) {
    const { length_max: slots } = this.history;
    return this.left + ((slots - this.length + i) / (slots - 1)) * this.width;
  }

  point(event) {
    if (!this.length) return;
    const { length_max: slots } = this.history;
    const x = event.clientX - this.host.getBoundingClientRect().left;
    const i = Math.round(((x - this.left) / this.width) * (slots - 1)) - (slots - this.length);
    this.move(i >= 0 && i < this.length ? i : null);
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!this.length) return;
    if (event.key === "Escape") this.move(null);
    if (!step) return;
    event.preventDefault();
    const from = this.at ?? this.length;
    this.move(Math.min(this.length - 1, Math.max(0, from + step)));
  }

  paint() {
    if (!this.history) return;
    const columns = this.outcomes.map((o) => this.history.queries_per_second[o]);
    this.length = columns[0].length;
    this.left = 46;
    this.width = Math.max(80, this.host.clientWidth - this.left - 4);
    const height = Math.max(80, this.host.clientHeight - 26);
    const totals = Array.from({ length: this.length }, (_, i) => columns.reduce((sum, c) => sum + c[i], 0));
    const top = ceiling(Math.max(0, ...totals));
    const y = (value) => 4 + (1 - value / top) * (height - 4);

    const svg = document.createElementNS(NS, "svg");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", this.summary(totals));
    for (const part of [0, 0.5, 1]) {
      draw(svg, "line", { x1: this.left, x2: this.left + this.width, y1: y(top * part), y2: y(top * part), class: "grid" });
      draw(svg, "text", { x: this.left - 8, y: y(top * part) + 4, "text-anchor": "end", class: "axis" }, count(top * part));
    }
    const seconds = this.history.length_max * this.history.interval_seconds;
    for (const [part, label, anchor] of [[0, `${seconds} s ago`, "start"], [0.5, `${seconds / 2} s`, "middle"], [1, "now", "end"]]) {
      draw(svg, "text", { x: this.left + part * this.width, y: height + 20, "text-anchor": anchor, class: "axis" }, label);
    }
    if (this.length > 1) this.areas(svg, columns, y);
    if (this.at !== null && this.at < this.length) {
      draw(svg, "line", { x1: this.x(this.at), x2: this.x(this.at), y1: 4, y2: height, class: "cursor" });
    }
    this.host.replaceChildren(svg);
    if (this.at !== null && this.at < this.length) this.host.append(this.readout(columns, totals));
  }

  areas(svg, columns, y) {
    const floor = new Array(this.length).fill(0);
    this.outcomes.forEach((outcome, k) => {
      const roof = floor.map((v, i) => v + columns[k][i]);
      const up = roof.map((v, i) => `${this.x(i).toFixed(1)} ${y(v).toFixed(1)}`);
      const down = floor.map((v, i) => `${this.x(i).toFixed(1)} ${y(v).toFixed(1)}`).reverse();
      if (columns[k].some((v) => v > 0)) {
        draw(svg, "path", { d: `M${up.join("L")}L${down.join("L")}Z`, fill: `url(#fill-${outcome})` });
        draw(svg, "path", { d: `M${up.join("L")}`, class: "edge" });
      }
      roof.forEach((v, i) => (floor[i] = v));
    });
  }

  summary(totals) {
    if (!this.length) return "No queries yet";
    return `Queries per second, now ${perSecond(totals.at(-1))}, at most ${perSecond(Math.max(...totals))} in the last 2 minutes. Arrow keys read single seconds.`;
  }

  readout(columns, totals) {
    const box = document.createElement("div");
    box.className = "readout";
    box.setAttribute("role", "status");
    const table = document.createElement("table");
    const ago = (this.length - 1 - this.at) * this.history.interval_seconds;
    table.createCaption().textContent = `${ago ? `${ago} s ago` : "Now"}: ${perSecond(totals[this.at])} /s`;
    this.outcomes.forEach((outcome, k) => {
      if (!columns[k][this.at]) return;
      const row = table.insertRow(0);
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = this.names[outcome];
      row.append(head);
      row.insertCell().textContent = perSecond(columns[k][this.at]);
    });
    box.append(table);
    const x = this.x(this.at);
    const onLeft = x > this.left + this.width / 2;
    box.style[onLeft ? "right" : "left"] = `${onLeft ? this.host.clientWidth - x + 10 : x + 10}px`;
    return box;
  }
}

// paintAges draws the follower's age against the promise.
export function paintAges(host, history, boundSeconds) {
  const ages = history.follower_age_seconds;
  const width = host.clientWidth;
  const height = 44;
  const known = ages.filter((a) => a !== null);
  const worst = Math.max(0, ...known);
  // The promise is drawn when the ages come near it; else they would be a line
  // at the bottom.
  const top = Math.max(worst * 1.15, Math.min(boundSeconds * 1.1, 0.12), worst > boundSeconds / 2 ? boundSeconds * 1.1 : 0);
  const y = (age) => height - 2 - (age / top) * (height - 6);
  const x = (i) => ((history.length_max - ages.length + i) / (history.length_max - 1)) * width;
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", known.length ? `Age of the last look over the last 2 minutes, at most ${spoken(worst)}` : "No look has completed yet");
  draw(svg, "line", { x1: 0, x2: width, y1: height - 1.5, y2: height - 1.5, class: "grid" });
  let run = [];
  const flush = () => {
    if (run.length > 1) {
      const line = run.map(([i, a]) => `${x(i).toFixed(1)} ${y(a).toFixed(1)}`).join("L");
      draw(svg, "path", { d: `M${x(run[0][0])} ${height - 2}L${line}L${x(run.at(-1)[0])} ${height - 2}Z`, class: "age-area" });
      draw(svg, "path", { d: `M${line}`, class: "age-line" });
    }
    run = [];
  };
  ages.forEach((age, i) => (age === null ? flush() : run.push([i, age])));
  flush();
  if (boundSeconds <= top) draw(svg, "line", { x1: 0, x2: width, y1: y(boundSeconds), y2: y(boundSeconds), class: "bound" });
  host.replaceChildren(svg);
  return worst;
}
