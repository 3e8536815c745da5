// Builds elements. Data only ever becomes text or an attribute value, never markup.

/** Make an element: `make("p", { class: "empty" }, "no agents")`. Properties that start with "on" are listeners. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in PROPERTIES) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

const PROPERTIES = { value: true, checked: true, disabled: true, hidden: true, open: true };

/** Append texts and elements; null is skipped. */
export function add(element, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** Write a description; what stands between backticks becomes code. */
export function prose(text) {
  return text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part));
}

/** Replace everything inside an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  return add(element, children);
}

export function byId(id) {
  return document.getElementById(id);
}

const SVG = "http://www.w3.org/2000/svg";

/** Make an SVG element; values become attributes. */
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

let counter = 0;

/** Return an ID that no other element has. */
export function freshId(prefix) {
  counter += 1;
  return `${prefix}-${counter}`;
}

/** Call `work` once things have been quiet for `delayMs`. */
export function debounced(work, delayMs) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, delayMs);
  };
}
