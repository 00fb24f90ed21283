// A button that opens a list of things to do; arrows move, Esc closes.

import { html, useEffect, useId, useRef, useState } from "../frame/html.js";
import { Icon } from "./icon.js";

// items: [{label, icon, run, danger, checked, hidden}]; `button` is what the button shows.
export function Menu({ label, button, items, class: more = "icon-button" }) {
  const [open, put] = useState(false);
  const root = useRef(null);
  const id = useId();
  const shown = items.filter((item) => item && !item.hidden);
  const all = () => [...root.current.querySelectorAll("[role^=menuitem]")];
  useEffect(() => {
    if (!open) return undefined;
    all()[0]?.focus();
    const away = (event) => !root.current?.contains(event.target) && put(false);
    addEventListener("pointerdown", away);
    return () => removeEventListener("pointerdown", away);
  }, [open]);
  const close = () => {
    put(false);
    root.current.querySelector("button").focus();
  };
  const keyed = (event) => {
    const at = all().indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (event.key === "Escape" || event.key === "Tab") {
      if (event.key === "Escape") event.stopPropagation();
      close();
    } else if (to !== undefined) {
      all().at(to % all().length)?.focus();
    } else return;
    if (event.key !== "Tab") event.preventDefault();
  };
  return html`<div class="menu" ref=${root}>
    <button
      type="button" class=${more} aria-haspopup="menu" aria-expanded=${String(open)} aria-controls=${id}
      aria-label=${label} title=${label} onClick=${() => put(!open)}
    >${button ?? html`<${Icon} name="ellipsis" />`}</button>
    ${open &&
    html`<div class="menu-list" role="menu" id=${id} aria-label=${label} onKeyDown=${keyed}>
      ${shown.map(
        (item) => html`<button
          key=${item.label} type="button" tabindex="-1" class=${item.danger ? "danger" : ""}
          role=${item.checked === undefined ? "menuitem" : "menuitemcheckbox"}
          aria-checked=${item.checked === undefined ? undefined : String(item.checked)}
          onClick=${() => { close(); item.run(); }}
        ><${Icon} name=${item.checked ? "check" : (item.icon ?? "circle")} class=${item.checked === false ? "blank" : ""} />${item.label}</button>`,
      )}
    </div>`}
  </div>`;
}
