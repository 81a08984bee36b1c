// The two boxes that ask for something: to explain a statement, and to end answers.

import { $, element, replace } from "../dom.js";
import { post } from "../feed.js";
import { words } from "./bypasses.js";

// SHAPE is how the name of a statement looks: no table's has no schema.
const SHAPE = /^[0-9a-f]{8}$/i;

// A role's name in the box of purges has this before it.
const ROLE = "role:";

let token = "";

export function showActions(state) {
  token = state.token;
  $("explain-card").hidden = !state.can.explain;
  $("purge-card").hidden = !state.can.purge;
  $("explain-card").classList.toggle("wide", !state.can.purge); // nothing is beside it
  const { databases, database } = state.stats;
  for (const part of document.querySelectorAll(".explain-database")) part.hidden = databases.length < 2;
  replace($("explain-database"), JSON.stringify([databases.map((d) => d.name), database]), () =>
    databases.map((d) => {
      const option = element("option", "", d.name);
      option.value = d.name === database ? "" : d.name;
      option.selected = d.name === database;
      return option;
    }));
}

// parameters are the lines of the box, of which an empty one at the end is none.
function parameters() {
  const lines = $("explain-parameters").value.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function list(title, entries) {
  return entries.length ? [element("dt", "", title), ...entries.map((entry) => element("dd", "", element("code", "", entry)))] : [];
}

function explained(e) {
  const first = element("p", e.cacheable ? "yes" : "no", e.cacheable ? "✓ It is cached." : `▲ Not cached: ${words(e.reason)}${e.detail ? ` (${e.detail})` : ""}`);
  const nodes = [first];
  if (e.said) nodes.push(element("p", "", `Postgres says: ${e.said}`));
  if (e.advice) nodes.push(element("p", "", e.advice));
  nodes.push(element("dl", "explained", ...list("Reads", e.tables), ...list("Ended by changes of", e.tags), ...list("Would be ended less often if watched", e.wishes)));
  return nodes;
}

$("explain").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("explanation").replaceChildren("Asking Postgres …");
  try {
    const answer = await post("api/v1/explain", { sql: $("explain-sql").value, role: $("explain-role").value, database: $("explain-database").value, parameters: parameters() }, token);
    $("explanation").replaceChildren(...explained(answer));
  } catch (problem) {
    $("explanation").replaceChildren(element("p", "no", `▲ ${problem.message}`));
  }
});

function mayPurge() {
  $("purge-button").disabled = !$("purge-table").value || $("purge-table").value !== $("purge-confirm").value;
}

for (const id of ["purge-table", "purge-confirm"]) $(id).addEventListener("input", mayPurge);

$("purge").addEventListener("submit", async (event) => {
  event.preventDefault();
  const what = $("purge-table").value;
  const role = what.startsWith(ROLE) && what.slice(ROLE.length);
  const kind = what === "all" ? { all: true } : role ? { role } : SHAPE.test(what) ? { shape: what } : { table: what };
  const confirm = $("purge-confirm").value;
  const request = { ...kind, confirm: role ? confirm.slice(ROLE.length) : confirm };
  try {
    const done = await post("api/v1/purge", request, token);
    $("purged").replaceChildren(element("span", "yes", `✓ Ended: what depends on ${done.all ? "anything" : done.tables.join(", ")}.`));
    $("purge").reset();
    mayPurge();
  } catch (problem) {
    $("purged").replaceChildren(element("span", "no", `▲ ${problem.message}`));
  }
});
