// Streams: watched as they come, with charts of the numbers in them; or sent, where the caller is the source.

import { Failure, path, post, readStream } from "./api.js";
import { ChartGroup } from "./charts.js";
import { freshId, make } from "./dom.js";
import { Lines, Log, Output } from "./results.js";
import { numbersIn, readDescription, shown } from "./units.js";

// Browsers open six connections to one host; the rest of the page needs some of them.
const AT_ONCE = 3;
let running = 0;

/** Follow a stream until `signal` stops it; calls `onLine` with text and, where it is JSON, its value. */
export async function follow(stream, agentId, containerId, signal, onLine, onProgress = () => {}) {
  if (running >= AT_ONCE) throw new Failure(0, `at most ${AT_ONCE} streams can be watched at once: stop one first`);
  running += 1;
  const lines = new Lines((line) => onLine(line, parsed(line)));
  const query = `?containerId=${encodeURIComponent(containerId)}&forward=false`;
  try {
    await readStream(`stream/${path(stream, agentId)}${query}`, signal, (piece) => {
      lines.push(piece);
      onProgress(lines);
    });
  } finally {
    running -= 1;
  }
}

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Make the controls of a GET stream. */
export function watching(stream, agentId, containerId) {
  const { facts } = readDescription(stream.description);
  const charts = make("div", { class: "charts", hidden: true });
  const group = new ChartGroup(charts, 8);
  const log = new Log();
  const output = new Output();
  const button = make("button", { type: "button", onclick: toggle }, "Watch");
  let stop = null;

  async function toggle() {
    if (stop) {
      stop.abort();
      return;
    }
    stop = new AbortController();
    button.textContent = "Stop";
    output.element.hidden = true;
    log.show("opening …");
    const started = performance.now();
    let received = "nothing yet";
    const onLine = (line, value) => {
      log.push(line);
      if (value !== undefined) group.push(numbersIn(value), stream.name, facts.unit);
    };
    const onProgress = (lines) => {
      received = shown(lines.bytes, "bytes").join(" ") + (lines.isText ? "" : ", no text");
      log.show(received);
    };
    try {
      await follow(stream.name, agentId, containerId, stop.signal, onLine, onProgress);
      log.show(`${received}, ended`);
    } catch (error) {
      if (error.name === "AbortError") log.show(`${received}, stopped`);
      else if (error instanceof Failure) output.showFailure(error, performance.now() - started), (log.element.hidden = true);
      else log.show(`${received}, broke off`);
    } finally {
      stop = null;
      button.textContent = "Watch";
    }
  }

  return make("div", { class: "offer-body" }, make("div", { class: "row" }, button), output.element, charts, log.element);
}

/** Make the controls of a POST stream. */
export function sending(stream, agentId, containerId) {
  const output = new Output();
  const id = freshId("send");
  const text = make("textarea", { id, rows: 3 });
  const button = make("button", { type: "submit" }, "Send");
  const form = make(
    "form", { onsubmit: send },
    make("div", { class: "field long" }, make("label", { for: id }, "Text to send"), text),
    make("div", { class: "row" }, button),
  );

  async function send(event) {
    event.preventDefault();
    button.disabled = true;
    output.wait();
    const started = performance.now();
    const query = `?containerId=${encodeURIComponent(containerId)}&forward=false`;
    try {
      await post(`stream/${path(stream.name, agentId)}${query}`, text.value, "application/octet-stream");
      output.showResult("\"taken\"", performance.now() - started);
    } catch (error) {
      output.showFailure(error, performance.now() - started);
    } finally {
      button.disabled = false;
    }
  }

  return make("div", { class: "offer-body" }, form, output.element);
}
