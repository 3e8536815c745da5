// Talks to the platform that served this page. Paths are relative, so that a prefix of a proxy stays in front.

import { afterLogin, askForLogin, drop, isLoginNeeded, keep, token } from "./session.js";

const BASE = new URL(".", document.baseURI);
const ANSWER_LIMIT_MS = 15000;

/** An answer with an error status, or none at all (`status` 0). */
export class Failure extends Error {
  constructor(status, message, cause = null) {
    super(message);
    this.status = status;
    this.nested = cause;
  }
}

function urlOf(path) {
  return new URL(path, BASE);
}

/** Join path segments, each escaped. An agent called ".." must not lead the call to another route. */
export function path(...segments) {
  if (segments.some((segment) => /^\.{0,2}$/.test(segment))) throw new Failure(0, "this name cannot stand in an address");
  return segments.map(encodeURIComponent).join("/");
}

/** GET a JSON document; null where the platform answers with nothing. */
export async function getJson(address) {
  const response = await request(address, { signal: AbortSignal.timeout(ANSWER_LIMIT_MS) });
  const text = await response.text();
  return text === "" ? null : JSON.parse(text);
}

/** POST a body and return the answer's text. */
export async function post(address, body, contentType, signal) {
  const response = await request(address, { method: "POST", body, headers: { "Content-Type": contentType }, signal });
  return response.text();
}

/** Read a stream piece by piece until it ends, breaks off or `signal` stops it. */
export async function readStream(address, signal, onPiece) {
  const response = await request(address, { signal });
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onPiece(value);
  }
}

/** Log in for as long as the tab is open. */
export async function logIn(username, password) {
  const body = JSON.stringify({ username, password });
  const options = { method: "POST", body, headers: { "Content-Type": "application/json" } };
  const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
  const response = await fetchAs(null, "login", { ...options, signal });
  if (!response.ok) throw await failureOf(response);
  const first = await response.text();
  // The token of a login ends within the hour; its successor lasts longer.
  const renewed = await fetchAs(first, "token", { signal });
  keep(renewed.ok ? await renewed.text() : first);
}

/** Have the token that is in use replaced by one that lasts longer; one that does not count any more is noticed later. */
export async function renewToken() {
  const old = token();
  if (old === null) return;
  const renewed = await fetchAs(old, "token", { signal: AbortSignal.timeout(ANSWER_LIMIT_MS) }).catch(() => null);
  if (renewed?.ok && token() === old) keep(await renewed.text());
}

async function request(address, options) {
  if (isLoginNeeded()) throw new Failure(401, "login needed");
  const shown = token();
  let response = await fetchAs(shown, address, options);
  if (response.status === 401 && shown !== null) {
    // It has ended, or was made by another platform at this address, which may ask for none.
    drop(shown);
    response = await fetchAs(token(), address, options);
  }
  if (response.status === 401) askForLogin();
  if (!response.ok) throw await failureOf(response);
  return response;
}

async function fetchAs(shown, address, options) {
  const headers = { ...options.headers, ...(shown === null ? {} : { Authorization: `Bearer ${shown}` }) };
  try {
    return await fetch(urlOf(address), { credentials: "same-origin", ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, error.name === "TimeoutError" ? "no answer in time" : "the platform cannot be reached");
  }
}

async function failureOf(response) {
  const text = await response.text();
  try {
    const body = JSON.parse(text);
    return new Failure(response.status, body.message ?? body.error ?? text, body.cause ?? null);
  } catch {
    return new Failure(response.status, text || response.statusText || `status ${response.status}`);
  }
}

const RETRY_FIRST_MS = 1000;
const RETRY_MOST_MS = 30000;

/** Follow a topic of `/subscribe`, connecting again whenever the connection is lost. */
export function subscribe(topic, onEvent) {
  const address = urlOf("subscribe");
  address.protocol = address.protocol.replace("http", "ws");
  let waitMs = RETRY_FIRST_MS;
  const connect = () => {
    if (isLoginNeeded()) {
      afterLogin(connect);
      return;
    }
    // A WebSocket of a browser has no headers of its own; a subprotocol is where it can show a token.
    const socket = new WebSocket(address, token() === null ? [] : ["opaca-edge", `bearer.${token()}`]);
    socket.addEventListener("open", () => {
      waitMs = RETRY_FIRST_MS;
      socket.send(topic);
    });
    socket.addEventListener("message", (message) => {
      try {
        onEvent(JSON.parse(message.data));
      } catch {
        // Not an event: nothing to show.
      }
    });
    socket.addEventListener("close", () => {
      setTimeout(connect, waitMs * (0.8 + Math.random() * 0.4));
      waitMs = Math.min(waitMs * 2, RETRY_MOST_MS);
    });
  };
  connect();
}
