// The bridge, drawn: who is joined to whom over which broker, and what waits on the way. Hidden where none runs here.

import { getJson } from "./api.js";
import { byId, draw, fill, make } from "./dom.js";
import { duration, shown } from "./units.js";

const REFRESH_MS = 2000;
const MOST_SITES = 12;
const ROW = 74;
const BOX = { width: 230, height: 54 };
const COLUMNS = [8, 325, 642];
const WIDTH = COLUMNS[2] + BOX.width + 8;
// A gauge is full at so many messages that wait.
const FULL = 1000;

let isLoading = false;
let timer = 0;

/** Show the bridge, and go on looking as long as there is one. */
export async function showBridge() {
  if (isLoading) return;
  isLoading = true;
  try {
    const status = await getJson("edge/bridge");
    byId("bridge").hidden = status === null;
    if (status === null) return;
    fill(byId("bridge-sum"), sum(status));
    fill(byId("bridge-map"), status.links.map((link) => map(status, link)));
    fill(byId("bridge-lanes"), status.lanes.map(lane));
    clearTimeout(timer);
    timer = setTimeout(() => document.hidden || showBridge(), REFRESH_MS);
  } catch {
    // The page says by its other parts that the platform does not answer, or that a login is needed.
    byId("bridge").hidden = true;
  } finally {
    isLoading = false;
  }
}

function sum({ written_today_bytes: written, file_bytes: file, dead_letters: dead }) {
  const today = written === null ? "" : `, ${bytes(written)} written today`;
  return `Queues: ${bytes(file)} on the disk${today}.${dead ? ` ${dead} refused for good: opaca-edge bridge queue` : ""}`;
}

/** Draw one link: this platform, the broker, and who is seen there. */
function map(status, link) {
  const isUp = link.connected_since !== null;
  const sites = status.sites.filter((site) => site.link === link.name);
  const seen = sites.slice(0, MOST_SITES);
  const height = Math.max(1, seen.length) * ROW + 4;
  const middle = (height - BOX.height) / 2;
  const words = isUp ? `connected for ${since(link.connected_since)}` : link.problem || "not connected";
  const picture = draw("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", class: "joined" });
  picture.append(draw("title", {}, `${link.name}, ${link.role} at ${link.broker}: ${words}`));
  picture.append(wire(0, middle, middle, isUp));
  seen.forEach((site, i) => picture.append(wire(1, middle, i * ROW + 12, isUp && site.state === "connected")));
  picture.append(
    box(0, middle, link.name, `this platform, ${link.role}`, true),
    box(1, middle, link.broker, isUp ? words : "no connection", isUp),
  );
  seen.forEach((site, i) => {
    const there = site.state === "connected";
    const state = there ? `there for ${since(site.since)}` : `away${site.since === null ? "" : ` for ${since(site.since)}`}`;
    picture.append(box(2, i * ROW + 12, site.name, `${state}, ${site.agents} ${site.agents === 1 ? "agent" : "agents"}`, there));
  });
  const more = sites.length - seen.length;
  return make("div", { class: "joined-box" }, picture,
    isUp && !link.problem ? null : make("p", { class: "wrong" }, link.problem || words),
    more > 0 ? make("p", { class: "about" }, `and ${more} more sites`) : null);
}

function bytes(size) {
  return shown(size, "bytes").join(" ");
}

function since(seconds) {
  return duration(Math.max(0, Date.now() / 1000 - seconds));
}

function wire(column, from, to, isUp) {
  const [x1, x2] = [COLUMNS[column] + BOX.width, COLUMNS[column + 1]];
  const [y1, y2, bend] = [from + BOX.height / 2, to + BOX.height / 2, (x2 - x1) / 2];
  return draw("path", {
    d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, class: isUp ? "wire good" : "wire bad",
  });
}

function box(column, y, name, words, isGood) {
  const x = COLUMNS[column];
  const group = draw("g", { class: isGood ? "node good" : "node bad" });
  group.append(
    draw("rect", { x, y, width: BOX.width, height: BOX.height, rx: 10 }),
    draw("circle", { cx: x + 17, cy: y + 20, r: 5 }),
    draw("text", { x: x + 30, y: y + 25, class: "name" }, short(name, 24)),
    draw("text", { x: x + 13, y: y + 44, class: "words" }, short(words, 34)),
  );
  return group;
}

function short(text, most) {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

/** One lane: what waits as a gauge, and what became of the rest. */
function lane(one) {
  const lost = { ...one.lost };
  for (const [why, count] of Object.entries(one.missed)) lost[why] = (lost[why] ?? 0) + count;
  const losses = Object.entries(lost).filter(([, count]) => count).map(([why, count]) => `${count} ${why}`);
  const waiting = one.waiting === 0
    ? "nothing waits"
    : `${one.waiting} waiting (${bytes(one.waiting_bytes)}${one.oldest_s === null ? "" : `, oldest ${duration(one.oldest_s)}`})`;
  return make("li", {},
    make("b", {}, one.site, " · ", one.lane),
    make("meter", { min: 0, max: FULL, high: FULL / 2, value: Math.min(one.waiting, FULL), title: waiting }),
    make("span", {}, waiting),
    make("span", { class: "about" },
      `${one.accepted} accepted, ${one.played} played here${one.to_play ? `, ${one.to_play} to play` : ""}`),
    make("span", { class: losses.length ? "wrong" : "about" }, losses.length ? `lost: ${losses.join(", ")}` : "none lost"));
}
