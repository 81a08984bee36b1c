// The tier that processes share.

import { $, element, facts, replace } from "../dom.js";
import { count, spoken } from "../format.js";

const SHOWN_MAX = 8;
const STATES = { idle: "Idle", up: "Up", refusing: "Refuses", down: "Down" };
const WHY = {
  pays: "asked: that is sooner than Postgres alone",
  no_gain: "not asked, but for a sample: Postgres alone is sooner",
  long_load: "asked: processes share loads that take so long",
  learning: "asked, to find out whether that pays",
  forced: "as --redis-policy says",
};

const KINDS = { timeout: "took too long", network: "not reached", auth: "no right", oom: "no room", readonly: "a replica", other: "refused" };

function failures(redis) {
  const [kind] = Object.entries(redis.error_kinds).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1])[0] ?? [];
  return kind ? `each is a miss; most: ${KINDS[kind] ?? kind}` : "each is a miss";
}

const EXCHANGES = { get: "Asked", lease: "Asked, or leased", set: "Put there" };

// exchange says what half and 99 of 100 of one kind took, or nothing if there was none.
function exchange({ redis, bounds_seconds: bounds }, what, name) {
  const reading = redis[what];
  return reading?.count && [name, spoken(quantile(reading, bounds, 0.5)), `at most, half; 99 % ${spoken(quantile(reading, bounds, 0.99))}`];
}

// quantile is the bound of the bucket that a share of all is in or below.
function quantile({ buckets, count }, bounds, share) {
  let below = 0;
  return bounds[buckets.findIndex((n) => (below += n) >= share * count)] ?? bounds.at(-1);
}

export function showRedis({ stats }) {
  const { redis } = stats;
  $("redis-card").hidden = redis.state === "off";
  if (redis.state === "off") return;
  const bad = redis.state === "down" || redis.state === "refusing";
  const total = redis.broken + redis.expired + redis.outdated;
  facts($("redis-facts"), [
    ["State", STATES[redis.state] ?? redis.state, { refusing: redis.refusal, down: "reads go on without it" }[redis.state] ?? "", bad],
    ["Failed calls", count(redis.errors), failures(redis)],
    ...Object.entries(EXCHANGES).map(([what, name]) => exchange(stats.times, what, name)),
    ["Said to others", count(stats.hints.said), "changes, as hints to sidecars that share Redis"],
    ["Heard of others", count(stats.hints.heard), stats.hints.relying ? "who look often for this one too" : "this one looks often itself"],
    ["Found unusable", count(total), `${count(redis.outdated)} overtaken, ${count(redis.expired)} expired, ${count(redis.broken)} unreadable`],
    ["Not written", count(redis.dropped), "too many waited"],
    ["Not meant to be", count(redis.kept), "Postgres alone is sooner"],
  ]);
  const shapes = redis.shapes.slice(0, SHOWN_MAX);
  replace($("redis-uses"), JSON.stringify(shapes), () => [
    ...shapes.map((s) =>
      element("div", "reason",
        element("p", "", element("code", "", s.statement), element("span", "count", `${count(s.loads)} loads`)),
        element("p", "advice", `${WHY[s.why] ?? s.why}. Postgres ${spoken(s.load_seconds)}, Redis ${spoken(s.ask_seconds)} with an answer to ${Math.round(s.found * 100)} %.`)),
    ),
    ...(redis.shapes.length > SHOWN_MAX ? [element("p", "empty", `and ${redis.shapes.length - SHOWN_MAX} more kinds of statements in stats`)] : []),
  ]);
}
