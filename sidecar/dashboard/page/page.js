// Shows what the sidecar says, panel by panel.

import { drawWith } from "./chart.js";
import { $, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { count, perSecond, spoken } from "./format.js";
import { over, sum } from "./outcomes.js";
import { showActions } from "./panels/actions.js";
import { showBypasses } from "./panels/bypasses.js";
import { showClients } from "./panels/clients.js";
import { showDatabases } from "./panels/databases.js";
import { showFleet } from "./panels/fleet.js";
import { showLatency } from "./panels/latency.js";
import { showMemory } from "./panels/memory.js";
import { showRedis } from "./panels/redis.js";
import { showShapes } from "./panels/shapes.js";
import { showTables } from "./panels/tables.js";
import { showTiles } from "./panels/tiles.js";
import { showTraffic } from "./panels/traffic.js";
import { showPostgres, showVerification } from "./panels/underneath.js";
import { showHitAges, showWritten } from "./panels/written.js";

let charts = false;
let fitted; // whether the page was made to fit a library

// showStatus says how things are. old: what stands below is from before.
function showStatus({ state, text, alarm = "", command = "", raw = "" }, more = "", old = false) {
  $("status").dataset.state = state;
  setText($("status-text"), text);
  setText($("status-more"), more);
  $("alarm").hidden = !alarm;
  $("alarm").dataset.state = state;
  setText($("alarm-text"), alarm);
  $("alarm-act").hidden = !command;
  setText($("alarm-command"), command);
  $("alarm-details").hidden = !raw;
  setText($("alarm-raw"), raw);
  $("main").classList.toggle("old", old);
  const icon = { fresh: "icon.svg", behind: "icon-behind.svg", gone: "icon-gone.svg" }[state];
  if ($("icon").getAttribute("href") !== icon) $("icon").setAttribute("href", icon);
}

// summary completes the verdict where all is well.
function summary(state, ratio) {
  const lately = over(state.history, 300);
  if (!lately.reads) return "No read in the last 5 minutes.";
  const seconds = Math.min(300, Math.max(1, state.history.series.hit_l1.length * state.history.interval_seconds));
  const parts = [`${ratio} of reads from the cache`, saved(state, seconds) ?? `${perSecond(lately.hits / seconds)} queries/s kept from Postgres`];
  const { same = 0, stale = 0 } = state.stats.verify.results;
  if (same + stale) parts.push(`${stale} stale of ${count(same + stale)} verified`);
  return parts.join(", ") + ".";
}

// saved says what hits have spared Postgres lately, null if that is next to nothing.
function saved({ history }, seconds) {
  const total = sum(history.series.saved.slice(-Math.round(seconds / history.interval_seconds)).map((v) => v ?? 0)) * history.interval_seconds;
  const perMinute = (total / seconds) * 60;
  return perMinute > 0.001 ? `${spoken(perMinute)} of Postgres' time saved per minute` : null;
}

function show(state) {
  const { stats } = state;
  if (fitted !== state.library) fitTo((fitted = state.library));
  if (state.charts && !charts) {
    charts = true;
    import("./uplotpainter.js").then(async ({ load }) => drawWith(await load())).catch(() => {}); // SVG is as true
  }
  const ratio = showTiles(state);
  showTraffic(state);
  showLatency(state);
  showShapes(state);
  showBypasses(state);
  showMemory(state);
  showVerification(state);
  showPostgres(state);
  showClients(state);
  showHitAges(state);
  showWritten(state);
  showRedis(state);
  showDatabases(state);
  showFleet(state);
  showTables(state);
  showActions(state);
  setText($("version"), stats.version);
  $("read-only").hidden = !state.read_only;
  setText($("uptime"), `up ${spoken(Math.max(1, Math.floor(stats.uptime_seconds)))}`);
  setText($("socket"), stats.socket);
  const said = stats.shown;
  const fresh = said.state === "fresh";
  showStatus(said, fresh ? summary(state, ratio) : "");
  document.title = fresh ? `${ratio} · Freshet` : `▲ ${said.text} · Freshet`;
}

// fitTo leaves out what only a sidecar has where a library is shown, and the other way
// round.
function fitTo(library) {
  for (const part of document.querySelectorAll("[data-of]")) part.hidden = (part.dataset.of === "library") !== library;
  document.body.classList.toggle("library", library);
}

function lost(milliseconds) {
  const since = spoken(Math.max(1, Math.round(milliseconds / 1000)));
  showStatus({ state: "gone", text: "No answer", alarm: `${fitted ? "The program" : "The sidecar"} has not answered for ${since}. What you see is from before.`, command: fitted ? "" : "freshet healthcheck" }, "", true);
  document.title = "▲ No answer · Freshet";
}

const feed = new Feed(show, lost);

for (const button of document.querySelectorAll("[data-range]")) {
  button.addEventListener("click", () => {
    for (const other of document.querySelectorAll("[data-range]")) other.setAttribute("aria-pressed", String(other === button));
    feed.choose(button.dataset.range);
  });
}
