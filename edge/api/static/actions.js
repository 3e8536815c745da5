// Actions as forms: typed fields, the result below, again and again if wanted, with charts of numeric results.

import { path, post } from "./api.js";
import { ChartGroup } from "./charts.js";
import { make } from "./dom.js";
import { ArgumentFields } from "./forms.js";
import { Output } from "./results.js";
import { numbersIn, readDescription } from "./units.js";

const REPEAT_MS = 2000;
const LONGEST_CALL_MS = 120000;

/** Call an action and return the text of its result. */
export function invoke(action, agentId, containerId, body) {
  const query = `?containerId=${encodeURIComponent(containerId)}&forward=false`;
  const address = `invoke/${path(action, agentId)}${query}`;
  return post(address, body, "application/json", AbortSignal.timeout(LONGEST_CALL_MS));
}

/** Make the form of an action. */
export function calling(action, agentId, containerId, definitions) {
  const { facts } = readDescription(action.description);
  const fields = new ArgumentFields(action.parameters ?? {}, definitions);
  const output = new Output();
  const charts = make("div", { class: "charts", hidden: true });
  const group = new ChartGroup(charts, 8, 2);
  const button = make("button", { type: "submit" }, "Invoke");
  const again = make("input", { type: "checkbox", onchange: () => again.checked && run() });
  const form = make(
    "form", { onsubmit: submit, novalidate: true },
    fields.fields.length ? fields.element : null,
    make("div", { class: "row" }, button, make("label", { class: "check" }, again, "every 2 seconds")),
  );
  let isRunning = false;

  function submit(event) {
    event.preventDefault();
    run();
  }

  async function run() {
    if (isRunning) return;
    const body = fields.body();
    if (body === null) {
      again.checked = false;
      return;
    }
    isRunning = true;
    button.disabled = true;
    if (!again.checked) output.wait();
    const started = performance.now();
    try {
      const value = output.showResult(await invoke(action.name, agentId, containerId, body), performance.now() - started);
      if (again.checked || typeof value === "number") group.push(numbersIn(value), action.name, facts.unit);
    } catch (error) {
      again.checked = false;
      const shownError = error.name === "AbortError" ? { status: 0, message: "no answer in time" } : error;
      output.showFailure(shownError, performance.now() - started);
    } finally {
      isRunning = false;
      button.disabled = false;
    }
    // Gone from the page, or hidden: nobody looks any more.
    if (again.checked) setTimeout(() => form.isConnected && again.checked && run(), REPEAT_MS);
  }

  return make("div", { class: "offer-body" }, form, output.element, charts);
}
