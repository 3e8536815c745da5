// Numbers for people: units from descriptions and names, readable sizes and durations.

const BRACKET = /\s*\[((?:\s*[a-z]+=[^\s\]]+)+)\s*\]\s*$/;

/** Split a description into its words and what the bracket at its end says: `[unit=°C range=-40..85]`. */
export function readDescription(description) {
  const text = description ?? "";
  const match = BRACKET.exec(text);
  if (!match) return { words: text, facts: {} };
  const facts = Object.fromEntries(match[1].trim().split(/\s+/).map((part) => part.split(/=(.*)/s).slice(0, 2)));
  return { words: text.slice(0, match.index), facts };
}

const BY_SUFFIX = [
  [/_?percent$/i, "%"], [/_celsius$/i, "°C"], [/_bytes$/i, "bytes"], [/_hz$/i, "Hz"], [/_ms$/i, "ms"], [/_s$/i, "s"],
  [/_seconds$/i, "s"], [/_volts?$/i, "V"], [/_lux$/i, "lx"], [/_mb$/i, "MB"], [/_mhz$/i, "MHz"],
];

/** Guess label and unit of a value from its name: `disk.used_bytes` is "disk used" in bytes. */
export function readName(name) {
  for (const [suffix, unit] of BY_SUFFIX) {
    if (suffix.test(name)) return { label: spaced(name.replace(suffix, "")) || spaced(name), unit };
  }
  return { label: spaced(name), unit: "" };
}

function spaced(name) {
  const words = name.replace(/\./g, " · ").replace(/_+/g, " ").replace(/([a-z])([A-Z])/g, "$1 $2").trim().toLowerCase();
  return words.replace(/^./, (first) => first.toUpperCase()).replace(/\bcpu\b/gi, "CPU");
}

const PLAIN = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 });
const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Write a number with its unit as `[text, unit]`. */
export function shown(value, unit) {
  if (unit === "bytes" || unit === "B") {
    const step = Math.min(SIZES.length - 1, Math.max(0, Math.floor(Math.log2(Math.abs(value) || 1) / 10)));
    return [PLAIN.format(value / 1024 ** step), SIZES[step]];
  }
  if (unit === "s" && Math.abs(value) >= 120) return [duration(value), ""];
  return [PLAIN.format(value), unit];
}

/** Write seconds as days, hours and minutes. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

/** Find the numbers in a JSON value, as `[name, number]`; lists of objects by the name or index of each. */
export function numbersIn(value, name = "", depth = 0, found = []) {
  if (found.length >= 64 || depth > 4) return found;
  if (typeof value === "number" && Number.isFinite(value)) found.push([name, value]);
  else if (Array.isArray(value)) {
    if (value.length <= 16) {
      value.forEach((part, i) => numbersIn(part, joined(name, labelOf(part) ?? String(i)), depth + 1, found));
    }
  } else if (value !== null && typeof value === "object") {
    for (const [key, part] of Object.entries(value)) numbersIn(part, joined(name, key), depth + 1, found);
  }
  return found;
}

function labelOf(part) {
  const label = part?.name ?? part?.label ?? part?.mounted_at ?? part?.interface;
  return typeof label === "string" ? label : undefined;
}

function joined(name, key) {
  return name ? `${name}.${key}` : key;
}
