// One switch: its control, what happens by its value, who changed it last, what differs by channel.

import { html, useEffect, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { go, href } from "../frame/router.js";
import { has, t } from "../frame/words.js";
import { Button, Icon, Problem, Switch, Time, confirm, toast, useWork, wrongWith } from "../ui/index.js";
import { Overrides } from "./overrides.js";
import { Conflict, alike, patchOf, valueAt } from "./settings_data.js";
import { EDITORS, shownValue } from "./switch_editors.js";

export function SwitchRow({ row, live, last, lastOf }) {
  const { name } = row;
  const value = valueAt(live.settings, name);
  const work = useWork((next) => live.save(patchOf(name, next), [name]));
  const save = async (next) => {
    if (!(await agreed(row, next))) return false;
    const done = await work.run(next);
    if (done) toast(t("switches.saved", { name: t(`switches.${name}`) }));
    return Boolean(done);
  };
  const parts = { row, value, save, work, live, locked: !may("admin") };
  return html`<section class="switch-one" id=${`switch-${name}`} aria-label=${t(`switches.${name}`)}>
    ${row.kind === "switch" ? html`<${Toggle} ...${parts} />` : html`<${Valued} ...${parts} />`}
    <${Wrong} row=${row} work=${work} save=${save} live=${live} />
    ${row.overrides && html`<${Overrides} name=${name} live=${live} last=${lastOf} />`}
    <${LastChange} last=${last} />
  </section>`;
}

// Ends that begin by themselves are looked at before they begin.
async function agreed(row, next) {
  if (row.name !== "auto_termination" || !next) return true;
  const look = await confirm({
    title: t("switches.termination.first"), text: t("switches.termination.first_text"), action: t("switches.termination.look"),
  });
  if (look) go("/settings/termination");
  return false;
}

function Toggle({ row, value, save, work, locked }) {
  const state = value ? "on" : "off";
  return html`<${Switch} label=${t(`switches.${row.name}`)} hint=${t(`switches.${row.name}.hint`)} checked=${value} disabled=${locked} busy=${work.busy} onChange=${save} />
    <p class="switch-effect" data-state=${state}><${Icon} name="arrow-right" size=${15} />
      <span><b>${t(`switches.now.${state}`)}</b> ${t(`switches.${row.name}.${state}`)}</span></p>
    ${!locked && html`<p class="switch-effect other"><${Icon} name="circle" size=${15} class="blank" />
      <span><b>${t(value ? "switches.then.off" : "switches.then.on")}</b> ${t(`switches.${row.name}.${value ? "off" : "on"}`)}</span></p>`}
    ${row.page && html`<p class="switch-effect"><span><a href=${href(row.page)}>${t(`switches.${row.name}.page`)}</a></span></p>`}`;
}

// A value is changed in place; what differs from what stands is saved by its button, or by Enter.
function Valued({ row, value, save, work, locked, live }) {
  const [draft, put] = useState(value);
  useEffect(() => put(value), [JSON.stringify(value)]);
  const changed = !alike(draft, value);
  const Editor = EDITORS[row.kind];
  const submit = async (event) => {
    event.preventDefault();
    if (changed) await save(draft);
  };
  const error = work.error instanceof Conflict ? "" : wrongWith(work.error, row.name);
  const key = `switches.${row.name}.${draft === null ? "" : draft}`;
  return html`<form class="switch-valued" onSubmit=${submit}>
    <${Editor} row=${row} value=${draft} onChange=${put} error=${error} locked=${locked} label=${t(`switches.${row.name}`)} hint=${t(`switches.${row.name}.hint`)} />
    ${row.kind === "choice" && has(key) && html`<p class="switch-effect"><${Icon} name="arrow-right" size=${15} /><span>${t(key)}</span></p>`}
    ${changed && !locked && html`<div class="form-end">
      <${Button} type="submit" kind="primary" small busy=${work.busy}>${t("ui.save")}<//>
      <${Button} small onClick=${() => { put(value); work.clear(); }}>${t("ui.cancel")}<//>
    </div>`}
  </form>`;
}

function Wrong({ row, work, save, live }) {
  if (!work.error) return null;
  if (work.error instanceof Conflict) {
    const now = shownValue(row, valueAt(live.settings, row.name));
    return html`<div class="problem" role="alert"><${Icon} name="circle-alert" />
      <span>${t("switches.conflict", { now })}</span>
      <${Button} small onClick=${work.clear}>${t("switches.conflict.keep")}<//>
    </div>`;
  }
  if (row.kind !== "switch" && wrongWith(work.error, row.name)) return null; // it stands at the field
  return html`<${Problem} error=${work.error} />`;
}

export function LastChange({ last }) {
  if (!last) return null;
  if (last.file) {
    return html`<p class="switch-last"><span class="chip"><${Icon} name="file-text" size=${13} />${t("switches.by_file")}</span>
      <span>${t("switches.by_file.hint")}</span> <${Time} at=${last.at} relative /></p>`;
  }
  return html`<p class="switch-last">${t("switches.last", { who: last.who })} <${Time} at=${last.at} relative /></p>`;
}
