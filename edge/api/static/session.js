// Who looks at this page: the token of this tab, which ends with the tab, and whether one is needed.

const KEY = "opaca-token";

let current = stored();
let isNeeded = false;
let waiting = [];
const listeners = [];

function stored() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null; // The browser keeps nothing for pages: the token lasts until the next reload.
  }
}

function store() {
  try {
    if (current === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, current);
  } catch {
    // As above.
  }
}

/** Return the token to show; null for none. */
export function token() {
  return current;
}

/** Go on with a token. */
export function keep(fresh) {
  current = fresh;
  isNeeded = false;
  store();
  tell();
  const ready = waiting;
  waiting = [];
  for (const work of ready) work();
}

/** Forget a token that does not count (any more); one that has taken its place meanwhile stays. */
export function drop(old = current) {
  if (current !== old) return;
  current = null;
  store();
  tell();
}

/** Say that nothing more can be asked for without a login. */
export function askForLogin() {
  if (current !== null || isNeeded) return;
  isNeeded = true;
  tell();
}

export function isLoginNeeded() {
  return isNeeded;
}

/** Do something once somebody has logged in. */
export function afterLogin(work) {
  waiting.push(work);
}

/** Be told when somebody logs in or must, or does not count any more. */
export function onSession(listener) {
  listeners.push(listener);
}

function tell() {
  for (const listener of listeners) listener();
}

/** Return the name that the token is for; an empty text if it says none. */
export function userName() {
  try {
    const bytes = Uint8Array.from(atob(current.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    return String(JSON.parse(new TextDecoder().decode(bytes)).sub ?? "");
  } catch {
    return "";
  }
}
