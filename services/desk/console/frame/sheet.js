// The sheet of keyboard shortcuts: what the views on the screen have said they have.

import { Dialog } from "../ui/dialog.js";
import { html } from "./html.js";
import { known, spoken } from "./keys.js";
import { t } from "./words.js";

export function Sheet({ onClose }) {
  const groups = Map.groupBy(known.value, ({ group }) => group);
  return html`<${Dialog} title=${t("frame.shortcuts")} onClose=${onClose} wide>
    <div class="sheet">
      ${[...groups].map(
        ([group, rows]) => html`<section key=${group}>
          <h3>${t(group)}</h3>
          <dl>
            ${rows.map(
              ({ keys, label }) => html`<div key=${keys + label}>
                <dt>${t(label)}</dt>
                <dd>${spoken(keys).map((key) => html`<kbd>${key}</kbd>`)}</dd>
              </div>`,
            )}
          </dl>
        </section>`,
      )}
    </div>
  <//>`;
}

export default function HelpView() {
  return html`<h1 class="apart">${t("frame.shortcuts")}</h1><${Sheet} onClose=${() => history.back()} />`;
}
