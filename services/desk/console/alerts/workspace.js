// How everybody is alerted unless they choose otherwise, what is locked, and how alerts go on.

import { Fragment, html, useEffect, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Card, Checkbox, IconButton, Problem, Select, TextField, Waiting, toast, useGet, useUnsaved, useWork } from "../ui/index.js";
import { SettingsPage } from "../settings/frame.js";
import { Conflict, alike, useLastChanges, useSettings } from "../settings/settings_data.js";
import { DurationField } from "../settings/switch_editors.js";
import { LastChange } from "../settings/switch_row.js";

// Ours where a workspace has set nothing (docs/alerts.md); the API tells it of those the caller has
// chosen nothing for, which then counts.
const OURS = {
  "bot_hosted.message": [], "session.ended_automatically": [],
  "unassigned.message": ["browser"], "send.failed": ["browser"], "import.finished": ["browser"],
};
const METHODS = ["browser", "email", "webhook"];
const TIMES = { window_s: [5, 3600], email_after_s: [10, 86_400], email_within_s: [10, 86_400], stale_s: [60, 86_400] };

export default function WorkspaceAlertsView() {
  const live = useSettings();
  const last = useLastChanges(live.etag);
  const own = useGet("/alerts/preferences");
  const error = live.error ?? own.error;
  return html`<${SettingsPage} title=${t("settings.nav.workspace-alerts")} hint=${t("switches.alerts.hint")}>
    ${error && html`<${Problem} error=${error} retry=${() => { live.reload(); own.reload(); }} />`}
    ${!error && !(live.settings && own.data) && html`<${Waiting} />`}
    ${live.settings && own.data && html`<${Fragment}>
      <${Card} title=${t("switches.alerts.defaults")} hint=${t("switches.alerts.defaults.hint")}>
        <div class="table-box" tabindex="0" role="region" aria-label=${t("switches.alerts.defaults")}><table class="alert-defaults">
          <thead><tr><th scope="col">${t("switches.alerts.event")}</th>${METHODS.map((one) => html`<th key=${one} scope="col">${t(`alerts.method.${one}`)}</th>`)}<th scope="col">${t("switches.alerts.locked")}</th><th scope="col"><span class="apart">${t("switches.alerts.default")}</span></th></tr></thead>
          <tbody>${own.data.effective.map((one) => html`<${Trigger} key=${one.trigger} name=${one.trigger} live=${live} ours=${one} />`)}</tbody>
        </table></div>
        <${LastChange} last=${last.alerts} />
      <//>
      <${Course} live=${live} /><//>`}
  <//>`;
}

// One event: what is not set is as our default has it.
function Trigger({ name, live, ours }) {
  const set = live.settings.alerts.triggers[name];
  const chosen = ours.source === "chosen";
  const methods = set?.methods ?? (chosen ? (OURS[name] ?? ["browser", "email"]) : ours.methods);
  const work = useWork((value) => live.save({ alerts: { triggers: { [name]: value } } }, [`alerts.triggers.${name}`]));
  const save = async (value) => (await work.run(value)) && toast(t("switches.saved", { name: t(`alerts.trigger.${name}`) }));
  const now = { methods, locked: Boolean(set?.locked) };
  const label = t(`alerts.trigger.${name}`);
  const toggle = (one, on) => save({ ...now, methods: METHODS.filter((other) => (other === one ? on : now.methods.includes(other))) });
  return html`<tr>
    <th scope="row">${label}<p class="hint-text">${t(`alerts.help.${name}`)}</p>${work.error && html`<p class="wrong" role="alert">${work.error instanceof Conflict ? t("switches.conflict.other") : work.error.message}</p>`}</th>
    ${METHODS.map((one) => html`<td key=${one}><input type="checkbox" aria-label=${`${label}: ${t(`alerts.method.${one}`)}`} disabled=${work.busy} checked=${now.methods.includes(one)} onChange=${(event) => toggle(one, event.target.checked)} /></td>`)}
    <td><input type="checkbox" aria-label=${`${label}: ${t("switches.alerts.locked")}`} disabled=${work.busy} checked=${now.locked} onChange=${(event) => save({ ...now, locked: event.target.checked })} /></td>
    <td>${set ? html`<${IconButton} icon="rotate-ccw" label=${t("switches.alerts.reset", { name: label })} onClick=${() => save(null)} />` : html`<span class="chip">${t("switches.alerts.default")}</span>`}</td>
  </tr>`;
}

function Course({ live }) {
  const { triggers: _triggers, ...kept } = live.settings.alerts;
  const [draft, put] = useState(kept);
  useEffect(() => put(kept), [JSON.stringify(kept)]);
  const changed = !alike(draft, kept);
  useUnsaved(changed);
  const work = useWork(() => live.save({ alerts: draft }, Object.keys(kept).map((name) => `alerts.${name}`)));
  const error = (name) => (new RegExp(`alerts\\.${name}\\b`).test(work.error?.problem?.field ?? "") ? work.error.problem.detail : "");
  const rungs = draft.escalation;
  const rung = (at, more) => put({ ...draft, escalation: rungs.map((one, n) => (n === at ? { ...one, ...more } : one)) });
  const submit = async (event) => {
    event.preventDefault();
    if (await work.run()) toast(t("switches.saved", { name: t("switches.alerts.course") }));
  };
  return html`<${Card} title=${t("switches.alerts.course")}><form class="ends-form" onSubmit=${submit}>
    <div class="two">
      ${Object.entries(TIMES).map(([name, [least, most]]) => html`<${DurationField} key=${name} row=${{ least, most }} label=${t(`switches.alerts.${name}`)} hint=${t(`switches.alerts.${name}.hint`)} value=${draft[name]} error=${error(name)} onChange=${(value) => put({ ...draft, [name]: value })} />`)}
      <${TextField} type="number" class="short" min="1" max="1000" label=${t("switches.alerts.storm_per_minute")} hint=${t("switches.alerts.storm_per_minute.hint")} value=${draft.storm_per_minute} error=${error("storm_per_minute")} onInput=${(text) => put({ ...draft, storm_per_minute: Number(text) })} />
    </div>
    <fieldset class="rule-parts"><legend>${t("switches.alerts.escalation")}</legend><p class="hint-text">${t("switches.alerts.escalation.hint")}</p>
      ${rungs.map((one, at) => html`<div key=${at} class="two rung">
        <${DurationField} label=${t("switches.alerts.rung.after", { n: at + 1 })} value=${one.after_s} onChange=${(after_s) => rung(at, { after_s })} />
        <${Select} label=${t("switches.alerts.rung.to", { n: at + 1 })} value=${one.to} options=${["same", "team", "leads", "everyone"].map((to) => [to, t(`switches.alerts.to.${to}`)])} onChange=${(to) => rung(at, { to })} />
        <div class="choices">${METHODS.map((method) => html`<${Checkbox} key=${method} label=${t(`alerts.method.${method}`)} checked=${one.methods.includes(method)} onChange=${(on) => rung(at, { methods: METHODS.filter((other) => (other === method ? on : one.methods.includes(other))) })} />`)}</div>
        <${IconButton} icon="trash" label=${t("switches.alerts.rung.remove", { n: at + 1 })} onClick=${() => put({ ...draft, escalation: rungs.filter((_, n) => n !== at) })} />
      </div>`)}
      ${error("escalation") && html`<p class="wrong" role="alert">${error("escalation")}</p>`}
      ${rungs.length < 5 && html`<p><${Button} small icon="plus" onClick=${() => put({ ...draft, escalation: [...rungs, { after_s: (rungs.at(-1)?.after_s ?? 0) + 300, to: "leads", methods: [] }] })}>${t("switches.alerts.rung.add")}<//></p>`}
    </fieldset>
    ${work.error instanceof Conflict ? html`<p class="wrong" role="alert">${t("switches.conflict.other")}</p>` : html`<${Problem} error=${work.error} />`}
    ${changed && html`<div class="form-end"><${Button} type="submit" kind="primary" busy=${work.busy}>${t("ui.save")}<//><${Button} onClick=${() => put(kept)}>${t("ui.cancel")}<//></div>`}
  </form><//>`;
}
