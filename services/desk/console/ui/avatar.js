// A person as a circle with their letters, in a colour that stays theirs.

import { html } from "../frame/html.js";

const HUES = 8;

export function letters(name) {
  const parts = String(name ?? "").trim().split(/\s+/).filter(Boolean);
  const first = [...(parts[0] ?? "?")][0];
  const last = parts.length > 1 ? [...parts.at(-1)][0] : "";
  return (first + last).toLocaleUpperCase();
}

export function Avatar({ name, id, size = "" }) {
  let sum = 0;
  for (const one of String(id ?? name ?? "")) sum = (31 * sum + one.codePointAt(0)) % 9973;
  return html`<span class=${`avatar ${size}`} data-hue=${sum % HUES} aria-hidden="true">${letters(name)}</span>`;
}
