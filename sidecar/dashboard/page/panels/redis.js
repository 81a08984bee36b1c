// The tier that processes share.

import { $, element, facts, replace } from "../dom.js";
import { bytes, count, spoken } from "../format.js";
import { quantile } from "../readings.js";

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
  const within = (share) => spoken(quantile(reading, bounds, share) ?? bounds.at(-1));
  return reading?.count && [name, within(0.5), `at most, half; 99 % ${within(0.99)}`];
}

// NOEVICTION is the policy by which a full Redis refuses writes.
const NOEVICTION = "noeviction";

// room says how full Redis is, as far as it tells.
function room({ state, used_bytes: used, max_bytes: most, policy }) {
  if (!policy) return state === "up" && ["Its memory", "Not told", "its user may not ask: INFO"];
  const bad = policy === NOEVICTION && most > 0 && used > 0.9 * most;
  const note = policy === NOEVICTION ? `${policy}: what does not fit is refused` : policy;
  return ["Its memory", most ? `${bytes(used)} of ${bytes(most)}` : bytes(used), most ? note : `no limit; ${policy}`, bad];
}

function compression({ compresses, record_bytes: plain, written_bytes: written }) {
  if (!compresses) return ["Off", `values are not compressed: --redis-compress; ${bytes(written)} written`];
  return written ? [`${(plain / written).toFixed(1)} to 1`, `${bytes(plain)} became ${bytes(written)}`] : ["On", "nothing was written yet"];
}

export function showRedis({ stats }) {
  const { redis } = stats;
  $("redis-card").hidden = redis.state === "off";
  if (redis.state === "off") return;
  const bad = redis.state === "down" || redis.state === "refusing";
  const total = redis.broken + redis.expired + redis.outdated;
  facts($("redis-facts"), [
    ["State", STATES[redis.state] ?? redis.state, { refusing: redis.refusal, down: "reads go on without it" }[redis.state] ?? "", bad],
    room(redis),
    ["Compression", ...compression(redis)],
    ["Failed calls", count(redis.errors), failures(redis)],
    ...Object.entries(EXCHANGES).map(([what, name]) => exchange(stats.times, what, name)),
    ["Said to others", count(stats.hints.said), "changes, as hints to sidecars that share Redis"],
    ["Heard of others", count(stats.hints.heard), stats.hints.relying ? "who look often for this one too" : "this one looks often itself"],
    ["Found unusable", count(total), `${count(redis.outdated)} overtaken, ${count(redis.expired)} expired, ${count(redis.broken)} unreadable`],
    ["Not written", count(redis.dropped), "too many waited"],
    ["Not meant to be", count(redis.kept), "Postgres alone is sooner"],
  ]);
  const all = merged(redis.shapes);
  const shapes = all.slice(0, SHOWN_MAX);
  replace($("redis-uses"), JSON.stringify(shapes), () => [
    ...shapes.map((s) =>
      element("div", "reason",
        element("p", "", element("code", "", s.statement), element("span", "count", `${count(s.loads)} loads`)),
        element("p", "advice", `${WHY[s.why] ?? s.why}. Postgres ${spoken(s.load_seconds)}, Redis ${spoken(s.ask_seconds)} with an answer to ${Math.round(s.found * 100)} %.`)),
    ),
    ...(all.length > SHOWN_MAX ? [element("p", "empty", `and ${all.length - SHOWN_MAX} more kinds of statements in stats`)] : []),
  ]);
}

// merged makes one of statements that have the same text and are treated alike, though they
// mean something else for each role or search path. Times are those of which most was loaded.
function merged(shapes) {
  const all = new Map();
  for (const s of shapes) {
    const key = `${s.why} ${s.statement}`;
    const one = all.get(key);
    all.set(key, one ? { ...one, loads: one.loads + s.loads } : s);
  }
  return [...all.values()].sort((a, b) => b.loads - a.loads);
}
