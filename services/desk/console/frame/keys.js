// Keyboard shortcuts: a view says which it has, the sheet lists them. Keys are written as
// "j", "Shift+a", "mod+Enter" (mod: Ctrl, or Cmd on a Mac), "g i" (one after the other).

import { signal, useLayoutEffect } from "./html.js";

export const known = signal([]); // [{keys, label, group, run}]
const TYPED = "input, textarea, select, [contenteditable=true]";
const MAC = /mac|iphone|ipad/i.test(navigator.platform);
const SECOND_MS = 900;
let first = "";
let timer;

// A hook: rows of {keys, label, group, run(event), typing?: also while somebody types}.
export function useKeys(rows, inputs = []) {
  useLayoutEffect(() => {
    known.value = [...known.value, ...rows];
    return () => {
      known.value = known.value.filter((row) => !rows.includes(row));
    };
  }, inputs);
}

export function spoken(keys) {
  return keys.split(/[ +]/).map((key) => (key === "mod" ? (MAC ? "⌘" : "Ctrl") : key));
}

function named(event) {
  const parts = [];
  if (MAC ? event.metaKey : event.ctrlKey) parts.push("mod");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && (event.key.length > 1 || /\p{Lu}/u.test(event.key))) parts.push("Shift");
  parts.push(event.key.length === 1 ? event.key.toLowerCase() : event.key);
  return parts.join("+");
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing) return;
  const typing = event.target.closest?.(TYPED);
  const inside = event.target.closest?.("dialog[open]");
  const one = named(event);
  const both = first ? `${first} ${one}` : "";
  clearTimeout(timer);
  first = "";
  const fits = ({ keys, typing: also, dialog }) =>
    (keys === both || keys === one) && (also || !typing) && (dialog || !inside);
  const row = known.value.findLast(fits);
  if (row) {
    event.preventDefault();
    row.run(event);
    return;
  }
  if (typing || inside) return;
  if (known.value.some(({ keys }) => keys.startsWith(`${one} `))) {
    first = one;
    timer = setTimeout(() => (first = ""), SECOND_MS);
  }
});
