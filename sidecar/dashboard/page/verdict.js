// What the page says first: the first of these states that holds. Each but the last says
// what follows from it and what to do.

// isFresh says whether the promise can be kept from the cache.
export function isFresh(stats) {
  return stats.follower_age_seconds !== null && (stats.follower_resting || stats.follower_age_seconds <= stats.staleness_seconds);
}

function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1) + "." : "";
}

// verdict returns the state, a few words, a sentence or two unless all is well, the
// command that helps, and the text of an error. A library has no command that examines it.
export function verdict(stats, library) {
  const doctor = library ? "" : "freshet doctor";
  const behind = (text, alarm, command = doctor, raw = "") => ({ state: "behind", text, alarm, command, raw });
  if (!stats.listening) return behind("Not listening", sentence(stats.not_ready_reason));
  if (stats.ending)
    return behind("About to end", `${sentence(stats.not_ready_reason)} Who is connected is served until the drain is over; nobody new should come here. To serve again, start it anew, or its service.`, library ? "" : "freshet serve");
  if (!isFresh(stats) && /connect to Postgres/.test(stats.follower_problem))
    return { state: "gone", text: "Postgres does not answer", alarm: "Queries fail: nothing is answered from the cache until Postgres is back, and what is sent to it fails.", command: doctor, raw: stats.follower_problem };
  if (stats.verify?.results?.stale)
    return { state: "gone", text: "Stale answers were found", alarm: `${stats.verify.results.stale} of the compared answers were older than promised, proven. Please report it; what they depended on was purged.`, command: "freshet stats", raw: stats.verify.last_stale ? `${stats.verify.last_stale.statement} (${stats.verify.last_stale.tables.join(", ")})` : "" };
  if (stats.follower_age_seconds === null && !stats.follower_problem)
    return behind("Warming up: reads go to Postgres", "No look at the outbox has completed yet: that takes a moment after the start, and longer if Postgres is busy or nothing is installed.");
  if (stats.pooling_problem) return behind("Clients share servers: reads go to Postgres", sentence(stats.pooling_problem));
  if (isFresh(stats) && stats.install_problem) return behind("Nothing is cached: install again", sentence(stats.install_problem), "freshet install --watch 'public.*'");
  if (!isFresh(stats) || !stats.ready)
    return behind("Late: reads go to Postgres", sentence(stats.not_ready_reason || "the follower is late, so reads go to Postgres"));
  if (stats.switched_off) return behind("Switched off", "Every statement goes to Postgres, as somebody has asked for.", "freshet bypass off");
  if (!stats.watched_tables) return behind("Watching nothing", "No table is watched, so every read goes to Postgres.", "freshet install --watch 'public.*'");
  if (stats.redis.state === "refusing")
    return behind("Degraded: Redis refuses", `Reads go on without it, and what one process loads, others load again. It says: ${stats.redis.refusal}`);
  if (stats.redis.state === "down") return behind("Degraded: Redis does not answer", "Reads go on without it, and what one process loads, others load again.");
  if (stats.watch_problems)
    return behind(stats.watch_problems === 1 ? "1 problem with tables" : `${stats.watch_problems} problems with tables`, `Fresh, but not everything is answered from the cache: ${stats.problems[0] ?? ""}`);
  if (stats.config.problem) return behind("Fresh, with an older configuration", `What was read again is not in force: ${stats.config.problem}`, "freshet config check");
  if (stats.follower_resting) return { state: "fresh", text: "Resting: nobody reads", alarm: "", command: "", raw: "" };
  return { state: "fresh", text: "Fresh", alarm: "", command: "", raw: "" };
}
