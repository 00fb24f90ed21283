// Buttons. `kind`: "" (plain), "primary", "quiet", "danger"; `busy` shows that it works and takes no click.

import { classes, html } from "../frame/html.js";
import { Icon } from "./icon.js";

export function Button({ kind = "", icon, busy, small, children, class: more, type = "button", ...rest }) {
  return html`<button
    ...${rest}
    type=${type}
    class=${classes("button", kind, small && "small", more)}
    aria-disabled=${busy ? "true" : undefined}
    aria-busy=${busy ? "true" : undefined}
    onClick=${busy ? (event) => event.preventDefault() : rest.onClick}
  >
    ${busy ? html`<${Icon} name="loader-circle" class="turning" />` : icon && html`<${Icon} name=${icon} />`}
    ${children}
  </button>`;
}

// A button that is an icon alone: `label` is its name, and its tip.
export function IconButton({ icon, label, pressed, size = 18, class: more, ...rest }) {
  return html`<button
    type="button"
    ...${rest}
    class=${classes("icon-button", more)}
    aria-label=${label}
    title=${label}
    aria-pressed=${pressed === undefined ? undefined : String(Boolean(pressed))}
  >
    <${Icon} name=${icon} size=${size} />
  </button>`;
}

export function Link({ href, icon, children, class: more, ...rest }) {
  return html`<a ...${rest} href=${href} class=${more}>${icon && html`<${Icon} name=${icon} />`}${children}</a>`;
}
