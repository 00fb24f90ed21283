// What stands between an agent and alerts that are seen and heard, and what to do about it.

import { html } from "../frame/html.js";
import { standing } from "../frame/shell.js";
import { has, t } from "../frame/words.js";
import { Button, Icon } from "../ui/index.js";

export function Hints({ whole }) {
  const { soundLocked } = standing.value;
  return html`
    ${soundLocked && html`<p class="hint"><${Icon} name="volume-x" /><span>${t("alerts.hint.sound")}</span></p>`}
    <${NotificationHint} whole=${whole} />
  `;
}

// `whole`: also says that all is well.
function NotificationHint({ whole }) {
  const { live, notifications } = standing.value;
  const state = notifications ?? live?.notifier.state ?? "checking";
  if (state === "ask") {
    return html`<div class="hint" data-state="ask">
      <${Icon} name="bell" /><span>${t("alerts.hint.ask")}</span>
      <${Button} small kind="primary" onClick=${() => live.ask()}>${t("alerts.hint.ask_button")}<//>
    </div>`;
  }
  if (!whole && (state === "on" || state === "checking")) return null;
  if (!has(`alerts.hint.${state}`)) return null;
  return html`<p class="hint" data-state=${state}><${Icon} name="bell" /><span>${t(`alerts.hint.${state}`)}</span></p>`;
}
