// Words and their forms: `t("inbox.count", {n: 3})`. A catalogue is a module a language and area,
// words/<language>/<area>.js, of flat keys. A value is a text with {names}, or an object of plural
// forms ({one, other, ...} as Intl.PluralRules names them) chosen by `n`.

import { signal } from "./html.js";

export const LANGUAGES = { en: "English", "zh-Hant": "繁體中文", ar: "العربية" };
const RIGHT_TO_LEFT = new Set(["ar"]);
const FIRST = "en"; // what a word falls back to

export const language = signal(FIRST);
const loaded = new Map(); // `language/area` -> its words
const coming = new Map(); // `language/area` -> the promise of them
let areas = new Set();

export function chosen() {
  const kept = stored();
  if (Object.hasOwn(LANGUAGES, kept)) return kept;
  for (const tag of navigator.languages ?? []) {
    if (/^zh-(hant|tw|hk|mo)/i.test(tag)) return "zh-Hant";
    const [plain] = tag.split("-");
    if (Object.hasOwn(LANGUAGES, plain)) return plain;
  }
  return FIRST;
}

function stored() {
  try {
    return localStorage.getItem("relaydesk:language") ?? "";
  } catch {
    return "";
  }
}

// Loads the words of areas in the language that is spoken, and in the one to fall back to.
export async function learn(...wanted) {
  areas = new Set([...areas, ...wanted]);
  await Promise.all(wanted.flatMap((area) => [fetched(FIRST, area), fetched(language.value, area)]));
}

// Who asks for words that somebody else has asked for waits for them, too.
function fetched(tag, area) {
  const name = `${tag}/${area}`;
  if (!coming.has(name)) coming.set(name, brought(tag, name));
  return coming.get(name);
}

async function brought(tag, name) {
  try {
    loaded.set(name, (await import(`../words/${name}.js`)).default);
  } catch (error) {
    coming.delete(name); // a connection that broke: asked for again next time
    if (tag === FIRST) throw error;
  }
}

export async function speak(tag) {
  const before = language.value;
  await Promise.all([...areas].flatMap((area) => [fetched(FIRST, area), fetched(tag, area)]));
  language.value = tag; // once its words are there: all that is shown is drawn anew
  document.documentElement.lang = tag;
  document.documentElement.dir = RIGHT_TO_LEFT.has(tag) ? "rtl" : "ltr";
  if (before === tag) return;
  try {
    localStorage.setItem("relaydesk:language", tag);
  } catch {
    // it is asked for again next time
  }
}

export function t(key, values = {}) {
  const form = found(language.value, key) ?? found(FIRST, key);
  if (form === undefined) return key;
  const text = typeof form === "string" ? form : (form[plural(values.n)] ?? form.other);
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? number(value) : String(value);
  });
}

// Whether there is such a word: keys that are made of an API's values may be new to this page.
export function has(key) {
  return found(FIRST, key) !== undefined;
}

function found(tag, key) {
  for (const area of areas) {
    const words = loaded.get(`${tag}/${area}`);
    if (words && Object.hasOwn(words, key)) return words[key];
  }
  return undefined;
}

function plural(n) {
  return new Intl.PluralRules(language.value).select(Number(n) || 0);
}

// --- numbers and times, as the language writes them

export function number(value, options) {
  return new Intl.NumberFormat(language.value, options).format(value);
}

export function clock(text) {
  const at = new Date(text);
  const today = new Date().toDateString() === at.toDateString();
  const time = { hour: "2-digit", minute: "2-digit" };
  const day = { day: "numeric", month: "short" };
  const year = at.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
  return at.toLocaleString(language.value, today ? time : { ...time, ...day, ...year });
}

export function fullTime(text) {
  return new Date(text).toLocaleString(language.value, { dateStyle: "full", timeStyle: "medium" });
}

const STEPS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000]];

// "3 minutes ago", "in 2 hours"; short: "3m".
export function ago(text, now = Date.now(), style = "narrow") {
  const ms = Date.parse(text) - now;
  const format = new Intl.RelativeTimeFormat(language.value, { numeric: "auto", style });
  for (const [unit, size] of STEPS) {
    if (Math.abs(ms) >= size) return format.format(Math.trunc(ms / size), unit);
  }
  return format.format(0, "second");
}

export function duration(seconds) {
  const parts = [[86_400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
  const [size, unit] = parts.find(([one]) => Math.abs(seconds) >= one) ?? parts.at(-1);
  const value = Math.round((10 * seconds) / size) / 10;
  return number(value, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 1 });
}
