// Sparklines: the last values of one quantity, its present value, lowest and highest.

import { draw, fill, make } from "./dom.js";
import { readName, shown } from "./units.js";

const POINTS = 120;
// With fewer values than this the line is not yet stretched over the whole width.
const FEW = 30;
const WIDTH = 240;
const HEIGHT = 48;

/** One quantity over time. */
export class Sparkline {
  constructor(label, unit) {
    this.label = label;
    this.unit = unit;
    this.values = [];
    this.now = make("p", { class: "now" });
    this.low = make("span");
    this.high = make("span");
    this.area = draw("path", { class: "area" });
    this.stroke = draw("path", { class: "stroke" });
    this.picture = draw(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
      this.area,
      this.stroke,
    );
    this.element = make(
      "figure",
      { class: "chart" },
      make("h3", { title: label }, label),
      this.now,
      this.picture,
      make("p", { class: "span" }, this.low, this.high),
    );
    this.isDrawn = true;
  }

  /** Add a value; it is drawn with the browser's next frame. */
  push(value) {
    this.values.push(value);
    if (this.values.length > POINTS) this.values.shift();
    if (this.isDrawn) {
      this.isDrawn = false;
      requestAnimationFrame(() => this.paint());
    }
  }

  paint() {
    this.isDrawn = true;
    const { values } = this;
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const [text, unit] = shown(values.at(-1), this.unit);
    fill(this.now, text, unit ? make("small", {}, unit) : null);
    const [lowText, highText] = [shown(low, this.unit).join(" ").trim(), shown(high, this.unit).join(" ").trim()];
    fill(this.low, `min ${lowText}`);
    fill(this.high, `max ${highText}`);
    this.picture.setAttribute("aria-label", `${this.label}: ${text} ${unit}, between ${lowText} and ${highText}`);
    const line = linePath(values, low, high);
    this.stroke.setAttribute("d", line);
    this.area.setAttribute("d", `${line}V${HEIGHT}H${(WIDTH - (values.length - 1) * stepOf(values)).toFixed(1)}Z`);
  }
}

function stepOf(values) {
  return WIDTH / (Math.max(values.length, FEW) - 1);
}

function linePath(values, low, high) {
  // A quantity that hardly moves is a flat line, not noise blown up to full height.
  const spread = Math.max(high - low, Math.abs(high) * 0.02, 1e-9);
  const middle = (high + low) / 2;
  const step = stepOf(values);
  const left = WIDTH - (values.length - 1) * step;
  const points = values.map((value, i) => {
    const y = HEIGHT / 2 - ((value - middle) / spread) * (HEIGHT - 8);
    return `${(left + i * step).toFixed(1)},${Math.min(HEIGHT - 2, Math.max(2, y)).toFixed(1)}`;
  });
  return points.length === 1 ? `M${points[0]}h0.1` : `M${points.join("L")}`;
}

/** A group of sparklines that grows as quantities turn up; hidden until one has `least` values. */
export class ChartGroup {
  constructor(element, most, least = 1) {
    this.element = element;
    this.most = most;
    this.least = least;
    this.charts = new Map();
  }

  /** Add what a reading holds: `[name, number]` pairs; the unit of a lone number may be given. */
  push(readings, title = "", unit = "") {
    for (const [name, value] of readings) {
      if (!this.charts.has(name)) {
        if (this.charts.size >= this.most) continue;
        const guessed = readName(name);
        const chart = new Sparkline(guessed.label || title, unit || guessed.unit);
        this.charts.set(name, chart);
        this.element.append(chart.element);
      }
      this.charts.get(name).push(value);
    }
    this.element.hidden = ![...this.charts.values()].some((chart) => chart.values.length >= this.least);
  }
}
