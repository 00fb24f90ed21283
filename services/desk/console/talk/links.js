// Addresses in a text, as links. Only http and https, and mail: nothing else may be followed.

import { html } from "../frame/html.js";

const FOUND = /\bhttps?:\/\/[^\s<>"'`]+|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b/giu;
const TAIL = /[.,;:!?)\]}»”’]+$/u;

export function safeUrl(text) {
  try {
    const url = new URL(text);
    return ["https:", "http:"].includes(url.protocol) ? url.href : "";
  } catch {
    return "";
  }
}

// [text, {href, text}, text, …] of what is written.
export function pieces(text) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(FOUND)) {
    const shown = match[0].includes("(") ? match[0] : match[0].replace(TAIL, "");
    const href = /^https?:/i.test(shown) ? safeUrl(shown) : `mailto:${shown}`;
    if (!href) continue;
    found.push(text.slice(at, match.index), { href, text: shown });
    at = match.index + shown.length;
  }
  return [...found, text.slice(at)].filter((one) => one !== "");
}

export function Linked({ text }) {
  return pieces(String(text ?? "")).map((one) =>
    typeof one === "string" ? one : html`<${Outside} href=${one.href}>${one.text}<//>`,
  );
}

export function Outside({ href, children, class: more }) {
  return html`<a class=${more} href=${href} target="_blank" rel="noopener noreferrer nofollow" referrerpolicy="no-referrer">${children}</a>`;
}
