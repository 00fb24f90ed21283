// The policy of automatic ends as a matrix: where, in which lists, who spoke last, how long idle.

import { html } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Checkbox, IconButton, TextArea } from "../ui/index.js";
import { DurationField } from "./switch_editors.js";
import { CHANNELS } from "./switch_rows.js";

const LISTS = ["bot_hosted", "unassigned", "assigned"];
const SPEAKERS = ["visitor", "bot", "automation", "agent"];
const FRESH = { channels: [], lists: ["bot_hosted", "unassigned"], last: ["visitor", "bot", "automation"], idle_s: 86_400, farewell: "" };
const MOST = 50;

export function IdleRules({ rules, onChange, error, locked }) {
  const set = (number, rule) => onChange(rules.map((one, at) => (at === number ? rule : one)));
  const move = (from, to) => onChange(moved(rules, from, to));
  const [, wrongAt] = error?.problem?.field?.match(/rules[.[](\d+)/) ?? [];
  return html`<ol class="idle-rules">
      ${rules.map(
        (rule, number) => html`<li key=${number}>
          <${IdleRule} rule=${rule} number=${number} count=${rules.length} locked=${locked}
            error=${Number(wrongAt) === number && wrongAt !== undefined ? error.problem.detail : ""}
            onChange=${(next) => set(number, next)} onMove=${(to) => move(number, to)} onDelete=${() => onChange(rules.filter((_, at) => at !== number))} />
        </li>`,
      )}
    </ol>
    ${!rules.length && html`<p class="dim">${t("switches.ends.no_rules")}</p>`}
    ${!locked && rules.length < MOST && html`<p><${Button} small icon="plus" onClick=${() => onChange([...rules, FRESH])}>${t("switches.ends.add")}<//></p>`}`;
}

export function moved(rows, from, to) {
  if (to < 0 || to >= rows.length) return rows;
  const left = rows.filter((_, at) => at !== from);
  return [...left.slice(0, to), rows[from], ...left.slice(to)];
}

function IdleRule({ rule, number, count, locked, error, onChange, onMove, onDelete }) {
  const named = t("switches.ends.rule", { n: number + 1 });
  return html`<fieldset class="idle-rule" disabled=${locked}>
    <legend>${named}</legend>
    ${!locked && html`<div class="idle-acts">
      <${IconButton} icon="chevron-up" label=${t("switches.ends.up", { name: named })} disabled=${number === 0} onClick=${() => onMove(number - 1)} />
      <${IconButton} icon="chevron-down" label=${t("switches.ends.down", { name: named })} disabled=${number === count - 1} onClick=${() => onMove(number + 1)} />
      <${IconButton} icon="trash" label=${t("switches.ends.delete", { name: named })} onClick=${onDelete} />
    </div>`}
    <div class="idle-matrix">
      <${Some} label=${t("switches.ends.channels")} none=${t("switches.ends.all_channels")} values=${CHANNELS} say=${(one) => t(`frame.channel.${one}`)} chosen=${rule.channels} onChange=${(channels) => onChange({ ...rule, channels })} />
      <${Some} label=${t("switches.ends.lists")} values=${LISTS} say=${(one) => t(`switches.list.${one}`)} chosen=${rule.lists} onChange=${(lists) => onChange({ ...rule, lists })} />
      <${Some} label=${t("switches.ends.last")} values=${SPEAKERS} say=${(one) => t(`switches.speaker.${one}`)} chosen=${rule.last} onChange=${(last) => onChange({ ...rule, last })} />
      <div class="idle-end">
        <${DurationField} label=${t("switches.ends.idle")} value=${rule.idle_s} onChange=${(idle_s) => onChange({ ...rule, idle_s })} />
        <${TextArea} rows=${2} maxlength="1000" label=${t("switches.ends.farewell")} hint=${t("switches.ends.farewell.hint")} value=${rule.farewell} onInput=${(farewell) => onChange({ ...rule, farewell })} />
      </div>
    </div>
    ${error && html`<p class="wrong" role="alert">${error}</p>`}
  </fieldset>`;
}

function Some({ label, none, values, say, chosen, onChange }) {
  const toggle = (one, on) => onChange(values.filter((other) => (other === one ? on : chosen.includes(other))));
  return html`<fieldset class="choices">
    <legend>${label}</legend>
    ${none && !chosen.length && html`<p class="hint-text">${none}</p>`}
    ${values.map((one) => html`<${Checkbox} key=${one} label=${say(one)} checked=${chosen.includes(one)} onChange=${(on) => toggle(one, on)} />`)}
  </fieldset>`;
}
