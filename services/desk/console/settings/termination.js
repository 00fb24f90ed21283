// Automatic ends: the policy, what it would do before it does it, and taking it back.

import { call } from "../frame/api.js";
import { html, useEffect, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { t } from "../frame/words.js";
import { Button, Card, Icon, Problem, TextField, Time, Waiting, confirm, toast, useUnsaved, useWork } from "../ui/index.js";
import { IdleRules } from "./idle_rules.js";
import { Overrides } from "./overrides.js";
import { SettingsPage } from "./frame.js";
import { Conflict, alike, useLastChanges, useSettings } from "./settings_data.js";
import { DurationField } from "./switch_editors.js";
import { LastChange } from "./switch_row.js";
import { PreviewCard } from "./termination_preview.js";
import { UndoCard } from "./termination_undo.js";

const PARTS = ["termination.rules", "termination.per_minute", "termination.undo_s"];

export default function TerminationView() {
  const live = useSettings();
  const last = useLastChanges(live.etag);
  return html`<${SettingsPage} title=${t("settings.nav.termination")} hint=${t("switches.ends.hint")}>
    ${live.error && html`<${Problem} error=${live.error} retry=${live.reload} />`}
    ${!live.settings && live.loading && html`<${Waiting} />`}
    ${live.settings && html`<${Policy} live=${live} last=${last} />`}
  <//>`;
}

function Policy({ live, last }) {
  const kept = policyOf(live.settings);
  const [draft, put] = useState(kept);
  useEffect(() => put(kept), [JSON.stringify(kept)]);
  const changed = !alike(draft, kept);
  useUnsaved(changed);
  const preview = useWork(() => call("POST", "/termination/preview", { settings: { termination: draft } }));
  const [counts, count] = useState(null);
  const look = async () => {
    const found = await preview.run();
    count(found ? { ...found, draft } : null);
    return found;
  };
  useEffect(() => void look(), []);
  const stale = counts && !alike(counts.draft, draft);
  return html`
    <${State} live=${live} last=${last} look=${look} draft=${draft} changed=${changed} />
    <${Rules} live=${live} draft=${draft} put=${put} kept=${kept} changed=${changed} last=${last} />
    <${PreviewCard} counts=${counts} stale=${stale} work=${preview} look=${look} />
    <${UndoCard} undo=${live.settings.termination.undo_s} />`;
}

function policyOf({ termination: { rules, per_minute, undo_s } }) {
  return { rules, per_minute, undo_s };
}

// On and off; what would happen is counted first, and confirmed.
function State({ live, last, look, draft, changed }) {
  const { settings } = live;
  const on = settings.auto_termination;
  const work = useWork((value) => {
    const patch = { auto_termination: value };
    if (value && changed) patch.termination = draft;
    return live.save(patch, ["auto_termination", ...(value && changed ? PARTS : [])]);
  });
  const turn = async () => {
    if (on) {
      if (await work.run(false)) toast(t("switches.ends.now_off"));
      return;
    }
    const found = await look();
    if (!found) return;
    const agreed = await confirm({ title: t("switches.ends.confirm"), more: html`<${Agreement} found=${found} />`, action: t("switches.ends.turn_on") });
    if (agreed && (await work.run(true))) toast(t("switches.ends.now_on"));
  };
  return html`<${Card}
    title=${html`<span class="ends-state"><span class=${`chip ${on ? "good" : ""}`}>${t(on ? "switches.on" : "switches.off")}</span> ${t("switches.auto_termination")}</span>`}
    actions=${may("admin") && html`<${Button} kind=${on ? "" : "primary"} busy=${work.busy} onClick=${turn}>${t(on ? "switches.ends.turn_off" : "switches.ends.turn_on_first")}<//>`}
  >
    <p>${t(`switches.auto_termination.${on ? "on" : "off"}`)}</p>
    ${on && settings.termination.since && html`<p class="dim">${t("switches.ends.since")} <${Time} at=${settings.termination.since} /></p>`}
    ${!may("admin") && html`<p class="notice"><${Icon} name="lock" size=${16} />${t("switches.ends.read_only")}</p>`}
    <${Refusal} work=${work} />
    <${Overrides} name="auto_termination" live=${live} last=${last} />
    <${LastChange} last=${last.auto_termination} />
  <//>`;
}

function Agreement({ found }) {
  return html`<ul class="agreement">
    <li>${t("switches.ends.agree.idle", { n: found.idle })}</li>
    <li>${t("switches.ends.agree.none_now")}</li>
    <li>${t("switches.ends.agree.day", { n: found.within_day })}</li>
    <li>${t("switches.ends.agree.undo")}</li>
  </ul>`;
}

function Rules({ live, draft, put, kept, changed, last }) {
  const work = useWork(() => live.save({ termination: draft }, PARTS));
  const locked = !may("admin");
  const wrong = work.error instanceof Conflict ? null : work.error;
  const submit = async (event) => {
    event.preventDefault();
    if (await work.run()) toast(t("switches.saved", { name: t("switches.ends.policy") }));
  };
  return html`<${Card} title=${t("switches.ends.policy")} hint=${t("switches.ends.policy.hint")}>
    <form class="ends-form" onSubmit=${submit}>
      <${IdleRules} rules=${draft.rules} onChange=${(rules) => put({ ...draft, rules })} error=${wrong} locked=${locked} />
      <div class="two">
        <${TextField} type="number" class="short" min="1" max="6000" required label=${t("switches.ends.pace")} hint=${t("switches.ends.pace.hint")} disabled=${locked}
          value=${draft.per_minute} error=${at(wrong, "per_minute")} onInput=${(text) => put({ ...draft, per_minute: Number(text) })} />
        <${DurationField} label=${t("switches.ends.undo_s")} hint=${t("switches.ends.undo_s.hint")} locked=${locked} value=${draft.undo_s} error=${at(wrong, "undo_s")} onChange=${(undo_s) => put({ ...draft, undo_s })} />
      </div>
      <${Refusal} work=${work} />
      ${!locked && html`<div class="form-end">
        <${Button} type="submit" kind=${changed ? "primary" : ""} disabled=${!changed} busy=${work.busy}>${t("ui.save")}<//>
        ${changed && html`<${Button} onClick=${() => put(kept)}>${t("ui.cancel")}<//>
          <span class="dim">${t(live.settings.auto_termination ? "switches.ends.changes_time" : "switches.ends.not_on")}</span>`}
      </div>`}
      <${LastChange} last=${last.termination} />
    </form>
  <//>`;
}

function at(error, name) {
  return error?.problem?.field?.endsWith(name) ? error.problem.detail : "";
}

function Refusal({ work }) {
  if (!work.error) return null;
  if (!(work.error instanceof Conflict)) return html`<${Problem} error=${work.error} />`;
  return html`<div class="problem" role="alert"><${Icon} name="circle-alert" /><span>${t("switches.conflict.other")}</span></div>`;
}
