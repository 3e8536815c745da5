// Fields for the parameters of an action, and the JSON text of what was entered.
// Arguments are put together as text: numbers keep every digit, which JavaScript's own numbers would not.

import { fill, freshId, make } from "./dom.js";

const WHOLE = /^[+-]?\d+$/;
const SCALARS = new Set(["string", "integer", "number", "boolean"]);

/** What an argument must look like; thrown by a field that cannot be read. */
class Unreadable extends Error {}

/** The fields of one action. */
export class ArgumentFields {
  constructor(parameters, definitions) {
    this.fields = Object.entries(parameters).map(([name, parameter]) => new Field(name, parameter, definitions));
    this.element = make("div", { class: "fields" }, this.fields.map((field) => field.element));
  }

  /** Return the body of the call, or null after marking what is wrong. */
  body() {
    const parts = [];
    let firstWrong = null;
    for (const field of this.fields) {
      const text = field.read();
      if (text === false) firstWrong ??= field;
      else if (text !== null) parts.push(`${JSON.stringify(field.name)}: ${text}`);
    }
    firstWrong?.input.focus();
    return firstWrong ? null : `{${parts.join(", ")}}`;
  }
}

class Field {
  constructor(name, parameter, definitions) {
    this.name = name;
    this.type = parameter.type;
    this.items = parameter.items;
    this.required = parameter.required;
    const id = freshId("field");
    this.input = this.makeInput(parameter, definitions, id);
    this.wrong = make("p", { class: "wrong", id: `${id}-wrong`, hidden: true });
    const hint = this.hint();
    this.input.setAttribute("aria-describedby", `${id}-wrong${hint ? ` ${id}-hint` : ""}`);
    const label = make(
      "label", { for: id }, name, " ",
      make("span", { class: "type" }, typeName(parameter), this.required ? "" : ", optional"),
    );
    this.element = make(
      "div",
      { class: this.input.tagName === "TEXTAREA" ? "field long" : "field" },
      label,
      this.input,
      hint ? make("p", { class: "hint", id: `${id}-hint` }, hint) : null,
      this.wrong,
    );
  }

  makeInput(parameter, definitions, id) {
    const given = parameter.defaultValue;
    const choices = choicesOf(parameter.type, definitions);
    if (choices) {
      const options = choices.map((text) => make("option", { value: text }, text));
      if (!this.required) options.unshift(make("option", { value: "" }, "not given"));
      const select = make("select", { id }, options);
      if (given !== undefined && choices.includes(JSON.stringify(given))) select.value = JSON.stringify(given);
      return select;
    }
    if (SCALARS.has(parameter.type)) {
      const value = given === undefined ? null : typeof given === "string" ? given : JSON.stringify(given);
      const mode = { integer: "numeric", number: "decimal" }[parameter.type] ?? "text";
      return make("input", { id, type: "text", inputmode: mode, autocomplete: "off", spellcheck: "false", value: value ?? "" });
    }
    const text = given === undefined ? skeletonText(parameter, definitions) : JSON.stringify(given, null, 2);
    return make("textarea", { id, rows: 4, spellcheck: "false", value: this.required || given !== undefined ? text : "" });
  }

  hint() {
    if (this.type === "array" && SCALARS.has(this.items?.type)) return "One element per line, or JSON.";
    return this.input.tagName === "TEXTAREA" ? "JSON" : "";
  }

  /** Return the JSON text of the argument, null if none is given, false after saying what is wrong. */
  read() {
    try {
      const text = this.text();
      this.show("");
      return text;
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      this.show(error.message);
      return false;
    }
  }

  text() {
    const entered = this.input.value;
    if (this.type === "null") return "null";
    if (this.type === "string" && this.input.tagName === "INPUT") {
      return entered === "" && !this.required ? null : JSON.stringify(entered);
    }
    if (entered.trim() === "") {
      if (this.required) throw new Unreadable("This one is required.");
      return null;
    }
    if (this.input.tagName === "SELECT") return entered;
    if (SCALARS.has(this.type)) return scalarText(entered.trim(), this.type);
    if (this.type === "array" && SCALARS.has(this.items?.type) && !entered.trim().startsWith("[")) {
      const lines = entered.split("\n").filter((line) => line.trim() !== "");
      return `[${lines.map((line) => scalarText(line.trim(), this.items.type)).join(", ")}]`;
    }
    return jsonText(entered, this.type);
  }

  show(message) {
    fill(this.wrong, message);
    this.wrong.hidden = message === "";
    this.input.setAttribute("aria-invalid", String(message !== ""));
  }
}

function scalarText(entered, type) {
  if (type === "string") return JSON.stringify(entered);
  if (type === "boolean") {
    if (entered === "true" || entered === "false") return entered;
    throw new Unreadable("Expected true or false.");
  }
  if (WHOLE.test(entered)) return BigInt(entered.replace("+", "")).toString();
  if (type === "integer") throw new Unreadable("Expected a whole number, such as 5.");
  const number = Number(entered.replace(",", "."));
  if (!Number.isFinite(number)) throw new Unreadable("Expected a number, such as 0.5.");
  return String(number);
}

function jsonText(entered, type) {
  let value;
  try {
    value = JSON.parse(entered);
  } catch (error) {
    throw new Unreadable(`No JSON: ${error.message}`);
  }
  if (type === "array" && !Array.isArray(value)) throw new Unreadable("Expected an array, such as [1, 2].");
  return entered;
}

/** Write a type as people do: `integer`, `array of string`. */
export function typeName(declared) {
  if (!declared) return "nothing";
  if (declared.type === "array" && declared.items) return `array of ${typeName(declared.items)}`;
  return declared.type === "null" ? "nothing" : declared.type;
}

function choicesOf(type, definitions) {
  if (type === "boolean") return ["true", "false"];
  const values = SCALARS.has(type) ? null : definitions?.[type]?.enum;
  return Array.isArray(values) && values.length <= 200 ? values.map((value) => JSON.stringify(value)) : null;
}

function skeletonText(declared, definitions) {
  if (declared.type === "array" && SCALARS.has(declared.items?.type)) return "";
  const value = skeletonOf(declared, definitions ?? {});
  return value === undefined ? "" : JSON.stringify(value, null, 2);
}

function skeletonOf(declared, definitions) {
  if (declared.type === "array") {
    const element = declared.items ? skeletonOf(declared.items, definitions) : undefined;
    return element === undefined ? [] : [element];
  }
  const schema = Object.hasOwn(definitions, declared.type) ? definitions[declared.type] : null;
  if (schema) return example(schema, schema, definitions, 0);
  return declared.type === "object" ? {} : { string: "", integer: 0, number: 0, boolean: false }[declared.type];
}

/** Make a value that a JSON Schema may accept, as a start for the person who fills it in. */
function example(schema, root, definitions, depth) {
  if (schema === null || typeof schema !== "object" || depth > 5) return null;
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (Array.isArray(schema.enum)) return schema.enum[0];
  if (typeof schema.$ref === "string") return example(found(schema.$ref, root, definitions), root, definitions, depth + 1);
  const branches = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (Array.isArray(branches)) return example(branches[0], root, definitions, depth + 1);
  if (schema.properties && typeof schema.properties === "object") {
    const entries = Object.entries(schema.properties).slice(0, 40);
    return Object.fromEntries(entries.map(([name, part]) => [name, example(part, root, definitions, depth + 1)]));
  }
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  return { string: "", integer: 0, number: 0, boolean: false, array: [], object: {} }[type] ?? null;
}

function found(reference, root, definitions) {
  const name = decodeURIComponent(reference.split("/").at(-1) ?? "");
  for (const place of [root.$defs, root.definitions, definitions]) {
    if (place && Object.hasOwn(place, name)) return place[name];
  }
  return null;
}
