// The latest calls: pushed over WebSockets as they succeed, completed from the history.

import { getJson, subscribe } from "./api.js";
import { byId, debounced, make } from "./dom.js";
import { afterLogin, isLoginNeeded } from "./session.js";

const TOPICS = ["/invoke", "/send", "/broadcast", "/containers"];
const MOST_EVENTS = 400;
const MOST_CALLS = 80;
const POLL_MS = 5000;
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

const events = new Map();
let isPaused = false;

/** Follow the events; `onContainers` is called when containers came, went or changed. */
export function followEvents(onContainers) {
  const reload = debounced(loadHistory, 250);
  for (const topic of TOPICS) {
    subscribe(topic, (event) => {
      keep([event]);
      reload();
      if (topic === "/containers") onContainers();
    });
  }
  const button = byId("events-pause");
  button.addEventListener("click", () => {
    isPaused = !isPaused;
    button.setAttribute("aria-pressed", String(isPaused));
    button.textContent = isPaused ? "Go on" : "Pause";
    if (!isPaused) show();
  });
  if (isLoginNeeded()) afterLogin(loadHistory);
  else loadHistory();
  setInterval(() => document.hidden || loadHistory(), POLL_MS);
}

async function loadHistory() {
  try {
    keep((await getJson("history")) ?? []);
  } catch {
    // The state in the page's head says that the platform is away.
  }
}

function keep(more) {
  const before = events.size;
  for (const event of more) if (event?.id && !events.has(event.id)) events.set(event.id, event);
  if (events.size === before && before) return;
  const oldest = [...events.values()].sort((one, other) => one.timestamp - other.timestamp);
  for (const event of oldest.slice(0, Math.max(0, oldest.length - MOST_EVENTS))) events.delete(event.id);
  if (!isPaused) show();
}

/** Join the events of one call: its beginning, where it was forwarded to, how it ended. */
function calls() {
  const joined = new Map();
  for (const event of events.values()) {
    const key = event.relatedId ?? event.id;
    const call = joined.get(key) ?? { key, forwards: [], start: null, end: null };
    if (event.eventType === "CALL") call.start = event;
    else if (event.eventType === "FORWARD") call.forwards.push(event);
    else call.end = event;
    call.latest = Math.max(call.latest ?? 0, call.start?.timestamp ?? event.timestamp);
    joined.set(key, call);
  }
  return [...joined.values()].sort((one, other) => other.latest - one.latest).slice(0, MOST_CALLS);
}

function show() {
  const list = byId("events");
  const present = new Map([...list.children].map((item) => [item.dataset.key, item]));
  const items = calls().map((call) => {
    const stage = `${Boolean(call.start)} ${call.forwards.length} ${call.end?.id}`;
    const known = present.get(call.key);
    return known?.dataset.stage === stage ? known : entry(call, stage);
  });
  if (items.length === 0) items.push(make("li", {}, "Nothing has happened yet."));
  list.replaceChildren(...items);
}

function entry({ key, start, end, forwards }, stage) {
  const first = start ?? end ?? forwards[0];
  const item = make(
    "li", {},
    make("time", { datetime: new Date(first.timestamp).toISOString() }, CLOCK.format(first.timestamp)),
    outcome(start, end),
    make("span", { class: "route" }, first.route ?? ""),
    forwards.map((event) => make("span", { class: "from" }, `forwarded to ${event.receiver}`)),
    first.senderId ? make("span", { class: "from" }, `from ${first.senderId}`) : null,
  );
  item.dataset.key = key;
  item.dataset.stage = stage;
  return item;
}

function outcome(start, end) {
  if (!end) return make("span", { class: "what open" }, "running");
  const tookMs = start ? end.timestamp - start.timestamp : null;
  const took = tookMs === null ? "" : tookMs < 1 ? " · < 1 ms" : ` · ${tookMs} ms`;
  const isGood = end.eventType === "SUCCESS";
  return make("span", { class: `what ${isGood ? "good" : "bad"}` }, isGood ? "done" : `error ${end.statusCode ?? ""}`, took);
}
