// What came back: results, errors with their causes, and what streams bring.

import { fill, make } from "./dom.js";

const LONGEST = 20000;
const PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+$/;
// JSON.parse would round these, so that their text is left as it came.
const MANY_DIGITS = /\d{16}/;

/** Where an action's results are shown. */
export class Output {
  constructor() {
    this.element = make("div", { class: "output", "aria-live": "polite", hidden: true });
  }

  wait() {
    this.element.hidden = false;
    fill(this.element, make("p", {}, "waiting for the answer …"));
  }

  /** Show a result's JSON text and return its value, undefined if it is no JSON. */
  showResult(text, tookMs) {
    const { value, written } = readable(text);
    const isPicture = typeof value === "string" && PICTURE.test(value);
    const head = make("p", {}, make("span", { class: "good" }, "Result"), make("span", {}, `${Math.round(tookMs)} ms`));
    const body = isPicture ? make("img", { src: value, alt: "The result as a picture" }) : make("pre", {}, shortened(written));
    this.element.hidden = false;
    fill(this.element, head, body);
    return value;
  }

  showFailure(failure, tookMs) {
    const title = failure.status ? `Error ${failure.status}` : "No answer";
    const head = make("p", {}, make("span", { class: "bad" }, title), make("span", {}, `${Math.round(tookMs)} ms`));
    const body = make("pre", {}, shortened(String(failure.message)));
    this.element.hidden = false;
    fill(this.element, head, body, causeOf(failure.nested, 0));
  }
}

function causeOf(cause, depth) {
  if (!cause || depth > 5) return null;
  const status = cause.statusCode === null || cause.statusCode === undefined ? "" : ` ${cause.statusCode}`;
  const text = `because${status}: ${cause.message ?? "no reason given"}`;
  return make("div", { class: "cause" }, make("pre", {}, shortened(text)), causeOf(cause.cause, depth + 1));
}

function readable(text) {
  try {
    const value = JSON.parse(text);
    if (MANY_DIGITS.test(text)) return { value, written: text };
    return { value, written: typeof value === "string" ? value : JSON.stringify(value, null, 2) };
  } catch {
    return { value: undefined, written: text || "(no content)" };
  }
}

function shortened(text) {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}\n… ${text.length - LONGEST} characters more`;
}

const MOST_LINES = 200;
const LONGEST_LINE = 4000;

/** Collects what a stream brings into lines; bytes that are no text are only counted. */
export class Lines {
  constructor(onLine) {
    this.onLine = onLine;
    this.decoder = new TextDecoder("utf-8", { fatal: true });
    this.rest = "";
    this.bytes = 0;
    this.isText = true;
  }

  push(piece) {
    this.bytes += piece.length;
    if (!this.isText) return;
    try {
      this.rest += this.decoder.decode(piece, { stream: true });
    } catch {
      this.isText = false;
      return;
    }
    const lines = this.rest.split("\n");
    this.rest = lines.pop();
    // Agents that end no lines send a piece for each reading.
    if (lines.length === 0 && isWhole(this.rest)) lines.push(this.rest), (this.rest = "");
    if (this.rest.length > LONGEST_LINE) lines.push(this.rest), (this.rest = "");
    for (const line of lines) if (line.trim() !== "") this.onLine(line.slice(0, LONGEST_LINE));
  }
}

function isWhole(text) {
  try {
    JSON.parse(text);
    return text.trim() !== "";
  } catch {
    return false;
  }
}

/** The last lines of a stream. */
export class Log {
  constructor() {
    this.lines = [];
    this.head = make("span");
    this.text = make("pre", { tabindex: 0 });
    this.element = make(
      "div", { class: "output", hidden: true },
      make("p", {}, make("span", { class: "good" }, "Stream"), this.head),
      this.text,
    );
    this.isDrawn = true;
  }

  push(line) {
    this.lines.push(line);
    if (this.lines.length > MOST_LINES) this.lines.splice(0, this.lines.length - MOST_LINES);
  }

  /** Redraw with the browser's next frame; `status` stands in the head line. */
  show(status) {
    this.status = status;
    this.element.hidden = false;
    if (!this.isDrawn) return;
    this.isDrawn = false;
    requestAnimationFrame(() => {
      this.isDrawn = true;
      const atEnd = this.text.scrollTop + this.text.clientHeight >= this.text.scrollHeight - 8;
      fill(this.head, this.status);
      fill(this.text, this.lines.join("\n"));
      this.text.hidden = this.lines.length === 0;
      if (atEnd) this.text.scrollTop = this.text.scrollHeight;
    });
  }
}
