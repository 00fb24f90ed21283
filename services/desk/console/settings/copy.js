// Things to copy, and secrets that are shown once.

import { html, useId, useRef } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Icon, toast } from "../ui/index.js";

async function copied(text, input) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    input?.select(); // no clipboard without https: the browser's own keys do it
    if (!document.execCommand("copy")) return;
  }
  toast(t("ui.copied"));
}

// A text that is not typed in but taken away: an address, a token, a script tag.
export function Copy({ label, value, hint, lines = 1 }) {
  const id = useId();
  const box = useRef(null);
  const given = { id, readonly: true, dir: "ltr", class: "copy-text", "aria-describedby": hint ? `${id}-hint` : undefined };
  const all = (event) => event.target.select();
  return html`<div class="field copy">
    <label for=${id}>${label}</label>
    <div class="copy-row">
      ${lines > 1
        ? html`<textarea ref=${box} ...${given} rows=${lines} value=${value} onFocus=${all} />`
        : html`<input ref=${box} ...${given} value=${value} onFocus=${all} />`}
      <${Button} icon="copy" aria-label=${`${t("ui.copy")}: ${label}`} onClick=${() => copied(value, box.current)}>${t("ui.copy")}<//>
    </div>
    ${hint && html`<p class="hint-text" id=${`${id}-hint`}>${hint}</p>`}
  </div>`;
}

// What is shown now and never again; `rows`: [[label, value], ...].
export function Once({ title, text, rows }) {
  return html`<div class="once">
    <p class="strong"><${Icon} name="key" size=${16} /> ${title}</p>
    <p>${text}</p>
    ${rows.map(([label, value]) => html`<${Copy} key=${label} label=${label} value=${value} />`)}
  </div>`;
}

export function Note({ kind = "", icon = "info", children }) {
  return html`<p class=${`aside-note ${kind}`}><${Icon} name=${icon} size=${16} /><span>${children}</span></p>`;
}
