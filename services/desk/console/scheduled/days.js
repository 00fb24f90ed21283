// Scheduled messages by the day they go out, on the clock of this browser; and their clocks in words.

import { language } from "../frame/words.js";

// [{day: "2026-12-24", at: first, items}], in the order given.
export function byDay(items) {
  const days = new Map();
  for (const one of items) {
    const day = new Date(one.due_at).toLocaleDateString("sv-SE"); // YYYY-MM-DD
    if (!days.has(day)) days.set(day, { day, at: one.due_at, items: [] });
    days.get(day).items.push(one);
  }
  return [...days.values()];
}

export function dayName(at) {
  return new Date(at).toLocaleDateString(language.value, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
}

export function timeIn(at, zone) {
  try {
    return new Date(at).toLocaleTimeString(language.value, { hour: "2-digit", minute: "2-digit", timeZone: zone || undefined });
  } catch {
    return new Date(at).toLocaleTimeString(language.value, { hour: "2-digit", minute: "2-digit" }); // a zone that this browser has not
  }
}

export function dayIn(at, zone) {
  try {
    return new Date(at).toLocaleDateString("sv-SE", { timeZone: zone || undefined });
  } catch {
    return "";
  }
}

export function ownZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

// Every zone that may be chosen, the browser's own first.
export function zones() {
  const all = Intl.supportedValuesOf?.("timeZone") ?? [];
  return [...new Set([ownZone(), "UTC", ...all])];
}
