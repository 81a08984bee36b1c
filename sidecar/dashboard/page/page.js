// Reads the sidecar once a second and shows what it says.

import { TrafficChart, paintAges, shares, swatch } from "./chart.js";
import { bytes, count, duration, perSecond, share, spoken } from "./format.js";
import { isFresh, verdict } from "./verdict.js";

const EVERY_MS = 1000;
const ANSWER_MAX_MS = 3000;
const REASONS_MAX = 8;
const TABLES_MAX = 16;
const LATELY = 10; // seconds

// In the order in which they are stacked, from the bottom.
const NAMES = {
  hit_l1: "Memory",
  hit_l2: "Redis",
  coalesced: "Shared load",
  miss: "Miss",
  bypass: "Passed through",
  error: "Error",
};
const OUTCOMES = Object.keys(NAMES);
const HITS = ["hit_l1", "hit_l2", "coalesced"];
const READS = [...HITS, "miss"];

const $ = (id) => document.getElementById(id);
const sum = (list) => list.reduce((a, b) => a + b, 0);

function element(name, className, ...content) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...content);
  return node;
}

// setText leaves the document alone when nothing changed, so that selections
// survive and screen readers are not told twice.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// setBig shows a number and, smaller, its unit.
function setBig(node, [number, unit]) {
  node.replaceChildren(number, ...(unit ? [element("span", "unit", unit)] : []));
}

const chart = new TrafficChart($("chart"), OUTCOMES, NAMES);
const rows = Object.fromEntries(
  [...OUTCOMES].reverse().map((outcome) => {
    const row = $("outcomes").tBodies[0].insertRow();
    const head = element("th", "", element("span", "name", swatch(outcome), NAMES[outcome]));
    head.scope = "row";
    row.append(head);
    return [outcome, { now: row.insertCell(), total: row.insertCell() }];
  }),
);

function showRatio(stats, history) {
  const recent = Object.fromEntries(OUTCOMES.map((o) => [o, sum(history.queries_per_second[o])]));
  const reads = sum(READS.map((o) => recent[o]));
  const ratio = share(sum(HITS.map((o) => recent[o])), reads);
  // A ratio of what was read a while ago is not how it is now.
  const lately = sum(READS.map((o) => sum(history.queries_per_second[o].slice(-LATELY))));
  $("ratio").classList.toggle("unknown", !lately);
  setBig($("ratio"), ratio.endsWith("%") ? [ratio.slice(0, -1), "%"] : [ratio]);
  const everReads = sum(READS.map((o) => stats.queries[o]));
  const ever = share(sum(HITS.map((o) => stats.queries[o])), everReads);
  setText($("ratio-note"), reads ? `of cacheable reads in the last 2 minutes; ${ever} since the start` : "no cacheable reads in the last 2 minutes");
  shares($("tiers"), READS, recent);
  $("tier-list").replaceChildren(
    ...READS.map((o) => element("li", "", swatch(o), NAMES[o], element("b", "", share(recent[o], reads)))),
  );
  return reads ? `${ratio} · Freshet` : "Freshet";
}

function showFreshness(stats, history) {
  const age = stats.follower_age_seconds;
  const fresh = isFresh(stats);
  setBig($("age"), age === null ? ["–"] : duration(age));
  $("age").parentElement.classList.toggle("behind", !fresh);
  $("age").classList.toggle("unknown", age === null);
  const worst = paintAges($("age-chart"), history, stats.staleness_seconds);
  setText($("age-note"), age === null ? "no look at the outbox has completed yet" : `since the last look began; at most ${spoken(Math.max(worst, age))} in 2 minutes`);
  const promise = spoken(stats.staleness_seconds);
  if (fresh) setText($("verdict"), `✓ Within the promise of ${promise}`);
  else setText($("verdict"), age === null ? "▲ Nothing is proven yet, so reads go to Postgres" : `▲ Beyond the promise of ${promise}, so reads go to Postgres`);
  $("verdict").classList.toggle("behind", !fresh);
}

function showTraffic(stats, history) {
  chart.update(history);
  for (const outcome of OUTCOMES) {
    setText(rows[outcome].now, perSecond(history.queries_per_second[outcome].at(-1) ?? 0));
    setText(rows[outcome].total, count(stats.queries[outcome]));
  }
}

function showBypasses(stats) {
  const reasons = Object.entries(stats.bypasses).sort((a, b) => b[1] - a[1]);
  const total = sum(reasons.map(([, n]) => n));
  if (!reasons.length) {
    $("bypasses").replaceChildren(element("p", "empty", "Nothing was passed through so far."));
    return;
  }
  const list = reasons.slice(0, REASONS_MAX).map(([reason, n]) => {
    const bar = element("i", "");
    bar.style.width = `${(n / total) * 100}%`;
    const item = element("div", "reason", element("p", "", reason.replaceAll("_", " "), element("span", "count", `${count(n)} · ${share(n, total)}`)), element("div", "share", bar));
    item.children[1].setAttribute("aria-hidden", "true");
    const advice = stats.bypass_advice[reason];
    if (advice) item.append(element("p", "advice", advice));
    return item;
  });
  const rest = reasons.length - REASONS_MAX;
  if (rest > 0) list.push(element("p", "empty", `and ${rest} more reasons in stats`));
  $("bypasses").replaceChildren(...list);
}

function showWatched(stats) {
  setText($("watch-count"), count(stats.watched_tables));
  $("problems").replaceChildren(
    ...stats.problems.slice(0, REASONS_MAX).map((p) => element("li", "", element("b", "", "▲ "), p)),
  );
  const hidden = stats.watch_problems - Math.min(stats.problems.length, REASONS_MAX);
  if (hidden > 0) $("problems").append(element("li", "", `and ${hidden} more problems in stats`));
  const tables = stats.watched.slice(0, TABLES_MAX).map((t) => element("li", "", t.name, element("span", "", t.columns.join(", "))));
  const more = stats.watched_tables - tables.length;
  if (more > 0) tables.push(element("li", "empty", `and ${count(more)} more`));
  if (!stats.watched_tables) tables.push(element("li", "empty whole", "None, so every read goes to Postgres. Watch some: freshet install --watch 'public.*'"));
  $("watched").replaceChildren(...tables);
}

const WHY = {
  pays: "asked: that is sooner than Postgres alone",
  no_gain: "not asked, but for a sample: Postgres alone is sooner",
  long_load: "asked: sidecars share loads that take so long",
  learning: "asked, to find out whether that pays",
  forced: "as --redis-policy says",
};

function showRedis(stats) {
  const shapes = stats.redis.shapes;
  $("redis-card").hidden = !shapes.length;
  const list = shapes.slice(0, REASONS_MAX).map((s) =>
    element(
      "div", "reason", element("p", "", s.statement, element("span", "count", `${count(s.loads)} loads`)),
      element("p", "advice", `${WHY[s.why] ?? s.why}. Postgres ${spoken(s.load_seconds)}, Redis ${spoken(s.ask_seconds)} with an answer to ${Math.round(s.found * 100)} %.`),
    ),
  );
  const rest = shapes.length - list.length;
  if (rest > 0) list.push(element("p", "empty", `and ${rest} more kinds of statements in stats`));
  $("redis-uses").replaceChildren(...list);
}

function showFacts(stats, history) {
  const redis = { off: "Off", idle: "Idle", up: "Up", refusing: "Refuses", down: "Down" }[stats.redis.state] ?? stats.redis.state;
  const redisNote = { off: "one tier only", idle: "not asked yet", up: `${count(stats.redis.errors)} failed calls`, refusing: `reads go on without it: ${stats.redis.refusal}`, down: "reads go on without it" }[stats.redis.state] ?? "";
  const facts = [
    ["Reached Postgres", `${perSecond(history.upstream_queries_per_second.at(-1) ?? 0)} /s`, `${count(stats.upstream_queries)} in total`],
    ["Changes received", `${perSecond(history.invalidation_events_per_second.at(-1) ?? 0)} /s`, `${count(stats.invalidation_events)} in total`],
    ["Transactions spared", count(stats.transactions_held - stats.transactions_opened), `of ${count(stats.transactions_held)} held back`],
    ["Clients", count(stats.sessions), `${count(stats.sessions_total)} ever, ${count(stats.sessions_refused)} refused`],
    ["Memory", bytes(stats.l1.bytes), `of ${bytes(stats.l1.limit_bytes)}, ${count(stats.l1.items)} entries`],
    ["Redis", redis, redisNote, stats.redis.state === "down" || stats.redis.state === "refusing"],
    ["Looks", count(stats.follower_looks), `${count(stats.follower_notifications)} notifications`],
  ];
  $("facts").replaceChildren(
    ...facts.map(([name, value, note, bad]) => element("div", "", element("dt", "", name), element("dd", bad ? "bad" : "", value, element("small", "", note)))),
  );
}

// showStatus says how things are. old: what stands below is from before.
function showStatus(state, text, alarm, old = false) {
  $("status").dataset.state = state;
  setText($("status-text"), text);
  $("alarm").hidden = !alarm;
  $("alarm").dataset.state = state;
  setText($("alarm"), alarm ?? "");
  $("main").classList.toggle("old", old);
}

function show(stats, history) {
  const title = showRatio(stats, history);
  showFreshness(stats, history);
  showTraffic(stats, history);
  showBypasses(stats);
  showWatched(stats);
  showRedis(stats);
  showFacts(stats, history);
  setText($("version"), stats.version);
  setText($("uptime"), `up ${spoken(Math.max(1, Math.floor(stats.uptime_seconds)))}`);
  setText($("socket"), stats.socket);
  const { state, text, alarm } = verdict(stats);
  showStatus(state, text, alarm);
  document.title = state === "fresh" ? title : `▲ ${text} · Freshet`;
}

async function read(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(ANSWER_MAX_MS), cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

let answered = Date.now();
let asking = false;

// answers returns stats and history, or null if the sidecar does not answer.
async function answers() {
  try {
    return await Promise.all([read("api/v1/stats"), read("api/v1/history")]);
  } catch (problem) {
    console.warn(problem);
    return null;
  }
}

async function tick() {
  setTimeout(tick, EVERY_MS);
  if (asking) return;
  asking = true;
  const answer = await answers();
  asking = false;
  if (answer) {
    answered = Date.now();
    show(...answer);
    return;
  }
  const since = spoken(Math.max(1, Math.round((Date.now() - answered) / 1000)));
  showStatus("gone", "No answer", `The sidecar has not answered for ${since}. What you see is from before.`, true);
  document.title = "▲ No answer · Freshet";
}

tick();
