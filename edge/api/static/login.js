// The form to log in with, and who is logged in.

import { logIn, renewToken } from "./api.js";
import { byId } from "./dom.js";
import { drop, isLoginNeeded, onSession, token, userName } from "./session.js";

// Well within the life of a token, which is ten hours.
const RENEW_MS = 3600000;

/** Show the form while a login is needed; `onLogin` is called when somebody has logged in. */
export function watchSession(onLogin) {
  const form = byId("login-form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    say("");
    try {
      await logIn(byId("login-name").value, byId("login-password").value);
      form.reset();
      onLogin();
    } catch (error) {
      say(error.status === 403 ? "No user has this name and this password." : `This did not work: ${error.message}.`);
      byId("login-password").select();
    } finally {
      button.disabled = false;
    }
  });
  byId("logout").addEventListener("click", () => {
    drop();
    // Ends everything that is open, and shows nothing of it any more.
    location.reload();
  });
  onSession(show);
  show();
  setInterval(renewToken, RENEW_MS);
}

function say(text) {
  byId("login-wrong").textContent = text;
}

function show() {
  const isNeeded = isLoginNeeded();
  const wasHidden = byId("login").hidden;
  byId("login").hidden = !isNeeded;
  byId("content").hidden = isNeeded;
  byId("session").hidden = token() === null;
  byId("user").textContent = userName();
  byId("actions-link").hidden = isNeeded;
  if (isNeeded && wasHidden) byId("login-name").focus();
}
