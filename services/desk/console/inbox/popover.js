// A button that opens a small panel; Esc and a click elsewhere close it.

import { classes, html, useEffect, useId, useRef, useState } from "../frame/html.js";
import { Icon } from "../ui/index.js";

// `children` is a function of {close}; `on` marks a button whose panel has something chosen.
export function Popover({ label, text, icon, on, disabled, children, class: more }) {
  const [open, put] = useState(false);
  const root = useRef(null);
  const id = useId();
  useEffect(() => {
    if (!open) return undefined;
    root.current.querySelector(".popover input, .popover button, .popover a")?.focus();
    const away = (event) => !root.current?.contains(event.target) && put(false);
    addEventListener("pointerdown", away);
    return () => removeEventListener("pointerdown", away);
  }, [open]);
  const close = () => {
    put(false);
    root.current?.querySelector("button")?.focus();
  };
  const keyed = (event) => {
    if (event.key !== "Escape" || !open) return;
    event.stopPropagation();
    event.preventDefault();
    close();
  };
  const left = (event) => {
    if (open && event.relatedTarget && !root.current.contains(event.relatedTarget)) put(false);
  };
  return html`<div class=${classes("popped", more)} ref=${root} onKeyDown=${keyed} onFocusOut=${left}>
    <button
      type="button" class=${classes("pop-button", on && "on")} aria-expanded=${String(open)} aria-controls=${id}
      aria-label=${text && text !== label ? `${label}: ${text}` : label} title=${label} disabled=${disabled} onClick=${() => put(!open)}
    >${icon && html`<${Icon} name=${icon} size=${15} />`}${text && html`<span>${text}</span>`}</button>
    ${open && html`<div class="popover" id=${id} role="group" aria-label=${label}>${children({ close })}</div>`}
  </div>`;
}
