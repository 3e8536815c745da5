// Starts the page: facts of the platform, its containers, its events; keeps them fresh.

import { getJson } from "./api.js";
import { showBridge } from "./bridge.js";
import { applyFilter, showContainers } from "./containers.js";
import { byId, debounced, fill, make } from "./dom.js";
import { followEvents } from "./events.js";
import { watchSession } from "./login.js";
import { showMachine } from "./machine.js";
import { duration } from "./units.js";

const REFRESH_MS = 15000;
const MOST_PROVIDED = 60;

let runningSince = null;
let isLoading = false;

async function refresh() {
  if (isLoading) return;
  isLoading = true;
  try {
    const [info, containers, agents] = await Promise.all([
      getJson("info"),
      getJson("containers"),
      getJson("agents?includeConnected=true"),
    ]);
    state("good", "running");
    notice("");
    showFacts(info, containers, agents);
    showContainers(containers);
    showMachine(containers);
    showBridge();
  } catch (error) {
    failed(error);
  } finally {
    isLoading = false;
  }
}

function failed(error) {
  if (error.status === 401) {
    state("bad", "login needed");
    notice("");
  } else {
    state("bad", "not reachable");
    notice(`The platform does not answer as expected (${error.message}). Trying again.`);
  }
}

function state(kind, text) {
  byId("state").className = `state ${kind}`;
  if (byId("state-text").textContent !== text) byId("state-text").textContent = text;
}

function notice(text) {
  const place = byId("notice");
  if (place.textContent !== text) fill(place, text);
  place.hidden = text === "";
}

function showFacts(info, containers, agents) {
  document.title = `OPACA Edge · ${new URL(info.baseUrl).host}`;
  runningSince = Date.parse(info.runningSince);
  const local = containers.flatMap((container) => container.agents);
  const actions = local.reduce((sum, agent) => sum + agent.actions.length, 0);
  const elsewhere = agents.length - local.length;
  const entries = [
    ["Address", info.baseUrl, "long"],
    ["Running for", make("span", { id: "uptime" }, uptime())],
    ["Containers", containers.length],
    ["Agents", elsewhere > 0 ? `${local.length} here, ${elsewhere} elsewhere` : local.length],
    ["Actions", actions],
    ["Connections", info.connections.length ? info.connections.join(", ") : "none", info.connections.length ? "long" : ""],
    ["Login", info.provides.includes("config:require-auth=true") ? "needed" : "not needed"],
    ["Platform ID", make("span", { title: info.platformId }, `${info.platformId.slice(0, 8)}…`)],
  ];
  fill(byId("facts"), entries.map(([name, value, kind]) =>
    make("div", { class: kind }, make("dt", {}, name), make("dd", {}, value))));
  const provided = info.provides.slice(0, MOST_PROVIDED).map((text) => make("li", {}, text));
  const more = info.provides.length - provided.length;
  fill(byId("provides"), provided, more > 0 ? make("li", { class: "more" }, `and ${more} more`) : null);
  byId("provides-box").hidden = info.provides.length === 0;
}

function uptime() {
  return runningSince === null ? "" : duration((Date.now() - runningSince) / 1000);
}

byId("filter").addEventListener("input", debounced(applyFilter, 120));
document.addEventListener("visibilitychange", () => document.hidden || refresh());
setInterval(() => document.hidden || refresh(), REFRESH_MS);
setInterval(() => {
  const place = byId("uptime");
  if (place) place.textContent = uptime();
}, 1000);
watchSession(refresh);
// What the first answer says tells whether events can be followed at once.
refresh().finally(() => followEvents(debounced(refresh, 300)));
