// Short words about what was done, or was not, with one thing to do about it.

import { html, signal } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, IconButton } from "./button.js";

const LASTS_MS = 6000;
const toasts = signal([]);
let number = 0;

// kind: "" or "bad"; action: {label, run}. What is bad stays until it is put away.
export function toast(text, { kind = "", action, lasts = LASTS_MS } = {}) {
  const id = ++number;
  toasts.value = [...toasts.value.slice(-2), { id, text, kind, action }];
  if (kind !== "bad") setTimeout(() => away(id), lasts);
  return () => away(id);
}

function away(id) {
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.value.map(
      ({ id, text, kind, action }) => html`<div key=${id} class=${`toast ${kind}`}>
        <span>${text}</span>
        ${action &&
        html`<${Button} small kind="quiet" onClick=${() => { away(id); action.run(); }}>${action.label}<//>`}
        <${IconButton} icon="x" size=${16} label=${t("ui.close")} onClick=${() => away(id)} />
      </div>`,
    )}
  </div>`;
}
