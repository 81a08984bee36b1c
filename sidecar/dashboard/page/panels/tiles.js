// The four numbers that are read first.

import { $, element, setText } from "../dom.js";
import { count, duration, perSecond, seconds, share, spoken } from "../format.js";
import { ever, over } from "../outcomes.js";

function big(id, [number, unit], unknown = false) {
  const node = $(id);
  node.classList.toggle("unknown", unknown);
  const text = number + (unit ?? "");
  if (node.dataset.text === text) return;
  node.dataset.text = text;
  node.replaceChildren(number, ...(unit ? [element("span", "unit", unit)] : []));
}

const percent = (ratio) => (ratio.endsWith("%") ? [ratio.slice(0, -1), "%"] : [ratio]);

export function showTiles(state) {
  const { stats, history, natural } = state;
  const [now, lately, all] = [over(history, 10), over(history, 300), ever(stats, natural)];
  showRatio(now, lately, all);
  showSaved(state, lately);
  showAge(stats);
  showVerified(stats);
  return share(lately.hits, lately.reads);
}

function showRatio(now, lately, all) {
  // A ratio of what was read a while ago is not how it is now.
  const quiet = !now.reads;
  big("ratio", percent(share(quiet ? lately.hits : now.hits, quiet ? lately.reads : now.reads)), quiet);
  setText($("ratio-cacheable"), quiet ? "no read in the last 10 seconds" : `of all reads; ${share(now.hits, now.cacheable)} of cacheable ones`);
  setText($("ratio-long"), `5 min ${share(lately.hits, lately.reads)} · since start ${share(all.hits, all.reads)}`);
}

function showSaved({ stats, history, natural }, lately) {
  const elapsed = Math.min(300, Math.max(1, history.series.hit_l1.length * history.interval_seconds));
  const kept = lately.hits / elapsed;
  const reached = lately.reads / elapsed - kept;
  if (stats.saved_seconds === undefined) {
    big("saved", [perSecond(kept), "/s"], !kept);
    setText($("saved-load"), `queries kept from Postgres; it got ${perSecond(reached)}/s of the reads`);
    setText($("saved-ever"), `${count(ever(stats, natural).hits)} since the start`);
    return;
  }
  const rate = mean(history.series.saved ?? [], history);
  big("saved", rate >= 1 ? [rate.toFixed(1), "s/s"] : [String(Math.round(rate * 1000)), "ms/s"], !rate);
  const busy = mean(history.series.busy ?? [], history);
  setText($("saved-load"), `of Postgres' time: it works ${seconds(busy)}/s, without the cache ${seconds(busy + rate)}/s`);
  $("saved-load").title = "Its time for statements of clients, of the last 5 minutes; a hit counts as the load of its entry";
  setText($("saved-ever"), `${perSecond(kept)} queries/s kept from it · ${spoken(stats.saved_seconds)} since start`);
}

// mean is that of a column over the last five minutes.
function mean(column, { interval_seconds: interval }) {
  const lately = column.slice(-Math.round(300 / interval));
  return lately.reduce((a, b) => a + (b ?? 0), 0) / Math.max(1, lately.length);
}

function showAge(stats) {
  const age = stats.follower_age_seconds;
  big("age", age === null ? ["–"] : duration(age), age === null);
  $("fresh-tile").classList.toggle("behind", !stats.shown.in_time);
  const p99 = stats.follower_age_p99_seconds === null ? "–" : spoken(stats.follower_age_p99_seconds);
  setText($("age-p99"), age === null ? "no look at the outbox has completed yet" : stats.follower_resting ? "nobody reads: looks are seldom, the next read waits for one" : `since the last look began; p99 of 5 min ${p99}`);
  setText($("age-bound"), `promise: no older than ${spoken(stats.staleness_seconds)}`);
}

function showVerified({ verify }) {
  const { same = 0, stale = 0 } = verify.results;
  $("verify-tile").classList.toggle("bad", stale > 0);
  big("verified", verify.share || same + stale ? [String(stale), ` stale of ${count(same + stale)}`] : ["off"], !(same + stale));
  setText($("verified-note"), verify.share ? `1 of ${count(Math.round(1 / verify.share))} hits is compared, ${verify.per_second_max}/s at most` : "--verify turns it on");
  setText($("verified-rate"), stale ? "proven: please report it" : "since the start");
}
