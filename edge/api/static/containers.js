// Containers with their agents; what an agent offers is built when somebody opens it.

import { calling } from "./actions.js";
import { byId, fill, make, prose } from "./dom.js";
import { typeName } from "./forms.js";
import { sending, watching } from "./streams.js";
import { readDescription } from "./units.js";

const shownContainers = new Map();

/** Show the containers; those that did not change keep what was entered and opened in them. */
export function showContainers(containers) {
  const place = byId("containers");
  const known = new Set(containers.map((container) => container.containerId));
  for (const [id, entry] of shownContainers) {
    if (!known.has(id)) {
      entry.element.remove();
      shownContainers.delete(id);
    }
  }
  if (containers.length === 0) {
    fill(place, make("p", { class: "empty" }, "No container runs here yet."));
    return;
  }
  place.querySelector(":scope > .empty")?.remove();
  const agentCount = containers.reduce((sum, container) => sum + container.agents.length, 0);
  for (const container of containers) {
    const text = JSON.stringify(container);
    const entry = shownContainers.get(container.containerId);
    if (entry?.text === text) continue;
    const element = containerCard(container, agentCount <= 2);
    if (entry) reopen(entry.element, element), entry.element.replaceWith(element);
    else place.append(element);
    shownContainers.set(container.containerId, { text, element });
  }
  applyFilter();
}

function reopen(before, after) {
  const open = new Set([...before.querySelectorAll("details[open]")].map((details) => details.dataset.key));
  for (const details of after.querySelectorAll("details")) if (open.has(details.dataset.key)) details.open = true;
}

function containerCard(container, isAlone) {
  const { image } = container;
  const title = image.name || image.imageName;
  const { words } = readDescription(image.description);
  const meta = [
    make("span", { class: "chip id", title: "container ID" }, container.containerId),
    image.version ? make("span", { class: "chip" }, `version ${image.version}`) : null,
    title !== image.imageName ? make("span", { class: "chip" }, image.imageName) : null,
    container.owner ? make("span", { class: "chip" }, `owner ${container.owner}`) : null,
  ];
  const agents = container.agents.map((agent) => agentPart(agent, container, isAlone));
  return make(
    "article", { class: "container", "aria-label": `Container ${title}` },
    make("header", {}, make("h3", {}, title), words ? make("p", { class: "about" }, prose(words)) : null, make("div", { class: "meta" }, meta)),
    agents.length ? agents : make("p", { class: "agent-body about" }, "This container has no agents."),
  );
}

function agentPart(agent, container, isAlone) {
  const counts = [counted(agent.actions.length, "action"), counted(agent.streams.length, "stream")].filter(Boolean);
  const summary = make(
    "summary", {},
    make("span", { class: "agent-name" }, agent.agentId),
    agent.agentType && agent.agentType.toLowerCase() !== agent.agentId.toLowerCase() ? make("span", { class: "chip" }, agent.agentType) : null,
    make("span", { class: "agent-sum" }, counts.join(", ") || "offers nothing"),
  );
  const details = make("details", { class: "agent", ontoggle: build }, summary);
  details.dataset.key = `agent ${agent.agentId}`;
  details.dataset.find = findable(agent);
  let isBuilt = false;

  function build() {
    if (isBuilt || !details.open) return;
    isBuilt = true;
    const { words } = readDescription(agent.description);
    details.append(
      make(
        "div", { class: "agent-body" },
        words ? make("p", { class: "about" }, prose(words)) : null,
        agent.actions.map((action) => actionPart(action, agent, container)),
        agent.streams.map((stream) => streamPart(stream, agent, container)),
      ),
    );
  }

  if (isAlone) details.open = true;
  build();
  return details;
}

function counted(number, noun) {
  return number ? `${number} ${noun}${number === 1 ? "" : "s"}` : "";
}

function findable(agent) {
  const names = [...agent.actions, ...agent.streams].map((offer) => `${offer.name} ${offer.description ?? ""}`);
  return [agent.agentId, agent.agentType ?? "", agent.description ?? "", ...names].join(" ").toLowerCase();
}

function actionPart(action, agent, container) {
  const parameters = Object.entries(action.parameters ?? {});
  const signature = parameters.map(([name, parameter]) => `${name}${parameter.required ? "" : "?"}`).join(", ");
  const result = action.result && action.result.type !== "null" ? ` → ${typeName(action.result)}` : "";
  const head = [
    make("span", { class: "kind" }, "ACTION"),
    make("span", { class: "offer-name" }, action.name),
    make("span", { class: "signature" }, `(${signature})${result}`),
  ];
  return offer(`action ${action.name}`, head, action.description, () =>
    calling(action, agent.agentId, container.containerId, container.image.definitions));
}

function streamPart(stream, agent, container) {
  const head = [make("span", { class: "kind stream" }, stream.mode === "GET" ? "STREAM" : "STREAM IN"), make("span", { class: "offer-name" }, stream.name)];
  const body = stream.mode === "GET" ? watching : sending;
  return offer(`stream ${stream.mode} ${stream.name}`, head, stream.description, () => body(stream, agent.agentId, container.containerId));
}

function offer(key, head, description, makeBody) {
  const { words, facts } = readDescription(description);
  const details = make("details", { class: "offer", ontoggle: build }, make("summary", {}, head));
  details.dataset.key = key;
  let isBuilt = false;

  function build() {
    if (isBuilt || !details.open) return;
    isBuilt = true;
    const body = makeBody();
    const chips = Object.entries(facts).map(([name, value]) => make("span", { class: "chip" }, `${name} ${value}`));
    if (chips.length) body.prepend(make("div", { class: "row" }, chips));
    if (words) body.prepend(make("p", { class: "about" }, prose(words)));
    details.append(body);
  }

  return details;
}

/** Show only agents in which the words of the search field occur. */
export function applyFilter() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const card of byId("containers").querySelectorAll(".container")) {
    let anyShown = false;
    for (const agent of card.querySelectorAll("details.agent")) {
      agent.hidden = !words.every((word) => agent.dataset.find.includes(word));
      anyShown ||= !agent.hidden;
    }
    card.hidden = words.length > 0 && !anyShown;
  }
}
