// Why reads are not cached, the costliest first; what no cache could answer stands apart.

import { $, element, replace, setText } from "../dom.js";
import { count, share, spoken } from "../format.js";
import { sum } from "../outcomes.js";
import { draw, newSVG } from "../svgpainter.js";

const SHOWN_MAX = 12;
const CHIPS_MAX = 3;
const EXAMPLES_MAX = 3;

export const words = (reason) => reason.replaceAll("_", " ");

export function bar(part) {
  const svg = newSVG("share");
  draw(svg, "rect", { width: `${part * 100}%`, height: "100%" });
  return svg;
}

export function showBypasses({ stats, natural }) {
  const seconds = stats.bypass_seconds ?? {};
  const weight = ([reason, n]) => (seconds[reason] ?? 0) * 1e9 + n;
  const all = Object.entries(stats.bypasses).filter(([, n]) => n > 0).sort((a, b) => weight(b) - weight(a));
  const avoidable = all.filter(([reason]) => !natural.includes(reason));
  const inherent = all.filter(([reason]) => natural.includes(reason));
  const total = sum(avoidable.map(([, n]) => n));
  setText($("bypass-count"), total ? `${count(total)} reads` : "");
  const timed = Object.keys(seconds).length > 0;
  const whole = timed ? sum(avoidable.map(([r]) => seconds[r] ?? 0)) : total;
  const list = (entries) => entries.map(([reason, n]) => item(stats, reason, n, timed ? (seconds[reason] ?? 0) : n, whole, timed));
  replace($("bypasses"), JSON.stringify([avoidable, seconds]), () => {
    if (!avoidable.length) return [element("p", "empty", "Every read so far could be cached.")];
    const items = list(avoidable.slice(0, SHOWN_MAX));
    if (avoidable.length > SHOWN_MAX) items.push(element("p", "empty", `and ${avoidable.length - SHOWN_MAX} more reasons in stats`));
    return items;
  });
  $("natural").hidden = !inherent.length;
  setText($("natural-count"), `${count(sum(inherent.map(([, n]) => n)))} statements, nothing to do`);
  replace($("natural-list"), JSON.stringify(inherent), () => inherent.map(([reason, n]) => element("div", "reason", element("p", "", words(reason), element("span", "count", count(n))), element("p", "advice", stats.bypass_advice[reason] ?? "", " ", documents(stats, reason) ?? ""))));
  showChips(avoidable.map(([reason, n]) => [words(reason), share(timed ? (seconds[reason] ?? 0) : n, whole)]), timed);
}

function item(stats, reason, n, part, whole, timed) {
  const text = timed ? `${spoken(part)} of Postgres · ${count(n)}` : `${count(n)} · ${share(n, whole)}`;
  const node = element("div", "reason", element("p", "", words(reason), element("span", "count", text)), bar(whole ? part / whole : 0));
  const advice = stats.bypass_advice[reason];
  const more = [documents(stats, reason), ...(stats.shapes_passed.some((s) => s.reason === reason) ? [statements(reason)] : [])].filter((link) => link);
  if (advice || more.length) node.append(element("p", "advice", advice ?? "", ...more.flatMap((link) => [" ", link])));
  for (const example of (stats.bypass_examples?.[reason] ?? []).slice(0, EXAMPLES_MAX)) node.append(element("code", "example", example));
  for (const rule of stats.bypass_rules?.[reason] ?? []) node.append(element("code", "example rule", rule));
  return node;
}

// documents is a link to what they say about a reason, nothing where that is not known.
function documents(stats, reason) {
  if (!stats.bypass_docs[reason]) return null;
  const link = element("a", "", "Documents");
  link.href = stats.bypass_docs[reason];
  link.rel = "noreferrer";
  link.title = `What the documents say about ${words(reason)}`;
  return link;
}

// statements is a button that has the list of statements show those of a reason.
function statements(reason) {
  const button = element("button", "link", "Statements");
  button.type = "button";
  button.addEventListener("click", () => $("shapes-reason").dispatchEvent(new CustomEvent("choose", { detail: reason })));
  return button;
}

// showChips answers, right below the verdict, what narrow screens show far down.
function showChips(reasons, timed) {
  const chips = reasons.slice(0, CHIPS_MAX);
  $("chips").hidden = !chips.length;
  replace($("chips"), JSON.stringify(chips), () => [
    element("li", "label", timed ? "Not cached, by Postgres' time:" : "Not cached:"),
    ...chips.map(([name, part]) => {
      const link = element("a", "", name, " ", element("b", "", part));
      link.href = "#bypass-title";
      return element("li", "", link);
    }),
  ]);
}
