// Postgres, its clients, and the verification.

import { $, facts, setText } from "../dom.js";
import { bytes, clock, count, perSecond, spoken } from "../format.js";
import { last } from "../outcomes.js";

const RESULTS = {
  same: ["Same", "as Postgres says"],
  stale: ["Stale", "proven"],
  raced: ["Raced", "something was written meanwhile"],
  incomparable: ["Incomparable", "differs, proves nothing"],
  error: ["Failed", ""],
  timeout: ["Took too long", ""],
  skipped_role: ["Skipped", "role cannot be taken"],
  skipped_load: ["Skipped", "too many at once"],
};

export function showVerification({ stats }) {
  const { verify } = stats;
  const shown = Object.entries(RESULTS).filter(([name]) => ["same", "stale"].includes(name) || verify.results[name]);
  facts($("verify-facts"), [
    ...shown.map(([name, [title, note]]) => [title, count(verify.results[name] ?? 0), note, name === "stale" && verify.results[name] > 0]),
    ["Cost", spoken(verify.seconds), "since the start"],
  ]);
  const last = verify.last_stale;
  setText($("verify-last"), last ? `Last stale: ${last.statement}, of ${last.tables.join(", ")}, ${spoken(last.age_seconds)} old, at ${clock(new Date(last.at))}` : "");
}

export function showPostgres({ stats, history, library }) {
  const { outbox, postgres, follower_reset_causes: resets } = stats;
  const known = postgres.version !== "";
  setText($("postgres-version"), known ? `${postgres.version}, ${postgres.replica ? "clients read a replica of it" : "the primary"}${postgres.replicas ? `, ${count(postgres.replicas)} replicating` : ""}` : "");
  facts($("postgres-facts"), [
    ["Follower", stats.follower_problem ? "Not following" : "Follows", `${count(stats.follower_looks)} looks, ${count(stats.follower_notifications)} by notification`, stats.follower_problem !== ""],
    ["Reached Postgres", `${perSecond(last(history.series.upstream))} /s`, `${count(stats.upstream_queries)} in total`],
    ["Changes received", `${perSecond(last(history.series.changes))} /s`, changes(stats)],
    ["Outbox", `${count(outbox.rows)} rows`, `${bytes(outbox.bytes)} with its index`],
    known && ["Trim mark", `${spoken(outbox.oldest_seconds)} old`, "no row is older"],
    !library && analysis(stats),
    known && ["Role", postgres.role, role(postgres), postgres.missing.length > 0],
    known && ["Publications", postgres.publications.length ? postgres.publications.join(", ") : "None", postgres.publications.length ? "FOR ALL TABLES: subscribers stop at the first change" : "of all tables", postgres.publications.length > 0],
    known && ["Pooler", postgres.pooler ? "Between" : "None", postgres.pooler ? "writers do not ring: changes are found by polling" : "the connection is with Postgres itself"],
    outbox.unattended_since && ["Nobody followed", new Date(outbox.unattended_since).toLocaleString(), "since then changes were not recorded, once"],
    ["Thrown away", count(stats.follower_resets), Object.entries(resets).map(([cause, n]) => `${cause} ${n}`).join(", ") || "never"],
    parts(stats.follower_parts),
  ]);
}

// analysis says how the analysis of statements is: its connections are closed where nothing is new.
function analysis({ analysis: a, upstream_connections: uses }) {
  const open = uses.analysis ?? 0;
  const state = a.problem ? "Fails" : a.waiting ? "Behind" : open ? "Works" : "Idle";
  const said = [`${count(a.analysed)} kinds of statements`, a.failed && `${count(a.failed)} failed`, a.waiting && `${count(a.waiting)} wait`, `${count(open)} connection${open === 1 ? "" : "s"}`, a.problem];
  return ["Analysis", state, said.filter((text) => text).join(", "), a.problem !== ""];
}

// parts says which of the follower's sessions lack a connection or have lost one, if any.
function parts(all) {
  const names = Object.keys(all).sort().filter((name) => !all[name].working || all[name].reconnects);
  const away = names.filter((name) => !all[name].working).length;
  const said = names.map((name) => [all[name].working ? name : `${name} is away`, all[name].reconnects && `connected again ${all[name].reconnects === 1 ? "once" : `${count(all[name].reconnects)} times`}`].filter((text) => text).join(", "));
  return names.length && ["Its sessions", away ? `${count(away)} of ${count(Object.keys(all).length)} away` : "Connected", said.join("; "), away > 0];
}

// KINDS are what changes change, at most.
const KINDS = { row: "of rows", table: "of whole tables", schema: "of the schema", own: "by freshet.touch" };

function changes({ invalidation_events: all, invalidation_kinds: kinds }) {
  const parts = Object.entries(KINDS).filter(([kind]) => kinds[kind]).map(([kind, name]) => `${count(kinds[kind])} ${name}`);
  return `${count(all)} in total${parts.length ? `: ${parts.join(", ")}` : ""}`;
}

// role says what the one that follows may do.
function role({ role, owner, superuser, missing }) {
  if (missing.length) return `lacks ${missing.join(", ")}: freshet install --follower-role ${role}`;
  const what = superuser ? "a superuser" : "may follow";
  return owner === role ? `${what}, owns what is installed` : `${what}; ${owner} owns what is installed`;
}
