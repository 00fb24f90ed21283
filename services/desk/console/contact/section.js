// A part of what is known of a contact, that can be folded away; the browser of each remembers which.

import { html, useState } from "../frame/html.js";

const KEY = "relaydesk:folded";

function folded() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}");
  } catch {
    return {};
  }
}

function keep(name, open) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...folded(), [name]: !open }));
  } catch {
    // it is as it was at the next visit
  }
}

export function Section({ name, title, count, actions, closed = false, children }) {
  const [open, put] = useState(() => !(folded()[name] ?? closed));
  const toggled = (event) => {
    if (event.target !== event.currentTarget) return;
    put(event.currentTarget.open);
    keep(name, event.currentTarget.open);
  };
  return html`<section class="known" data-section=${name}>
    <details open=${open} onToggle=${toggled}>
      <summary><h2>${title}</h2>${count > 0 && html`<span class="chip">${count}</span>`}</summary>
      <div class="known-body">${open && children}</div>
    </details>
    ${open && actions && html`<div class="known-actions">${actions}</div>`}
  </section>`;
}
