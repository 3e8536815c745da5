// The machine this platform runs on, live: the numbers that its system agent streams.

import { ChartGroup } from "./charts.js";
import { byId } from "./dom.js";
import { follow } from "./streams.js";
import { numbersIn } from "./units.js";

const RETRY_MS = 10000;
const MOST_CHARTS = 8;
// What people look for first; the rest is one click away, in the agent's own actions.
const WANTED = [/cpu.*percent/i, /temperature/i, /memory.*percent/i, /memory.*available/i, /load.*one/i, /disk.*percent/i];

let followed = null;

/** Follow the system agent of the containers, if there is one and it is not followed yet. */
export function showMachine(containers) {
  const source = sourceOf(containers);
  const key = source ? `${source.containerId} ${source.agentId}` : null;
  if ((followed?.key ?? null) === key) return;
  followed?.stop.abort();
  followed = null;
  byId("live-charts").replaceChildren();
  byId("live").hidden = true;
  if (!source) return;
  followed = { key, stop: new AbortController() };
  run(source, new ChartGroup(byId("live-charts"), MOST_CHARTS), followed.stop.signal);
}

function sourceOf(containers) {
  for (const { containerId, agents } of containers) {
    for (const { agentId, agentType, streams } of agents) {
      const stream = streams.find((one) => one.mode === "GET");
      const isSystem = agentId.toLowerCase() === "system" || (agentType ?? "").toLowerCase() === "system";
      if (isSystem && stream) return { containerId, agentId, stream: stream.name };
    }
  }
  return null;
}

async function run({ containerId, agentId, stream }, group, signal) {
  while (!signal.aborted) {
    try {
      await follow(stream, agentId, containerId, signal, (line, value) => show(value, group));
    } catch (error) {
      if (error.name === "AbortError") return;
    }
    await new Promise((done) => setTimeout(done, RETRY_MS));
  }
}

function show(value, group) {
  if (value === undefined || document.hidden) return;
  const all = numbersIn(value);
  const wanted = WANTED.flatMap((pattern) => all.filter(([name]) => pattern.test(name)));
  if (all.length === 0) return;
  byId("live").hidden = false;
  group.push(new Map(wanted.length ? wanted : all));
}
