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

export function showRedis({ stats }) {
  const { redis } = stats;
  $("redis-card").hidden = redis.state === "off";
  if (redis.state === "off") return;
  const bad = redis.state === "down" || redis.state === "refusing";
  const total = redis.broken + redis.expired + redis.outdated;
  facts($("redis-facts"), [
    ["State", STATES[redis.state] ?? redis.state, { refusing: redis.refusal, down: "reads go on without it" }[redis.state] ?? "", bad],
    ["Failed calls", count(redis.errors), "each is a miss"],
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
