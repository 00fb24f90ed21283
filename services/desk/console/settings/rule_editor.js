// A rule in the making: when, if, then; as fields, or as JSON for those who know it.

import { html, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Checkbox, Dialog, Icon, IconButton, Problem, Select, TextArea, TextField, useChanged, useWork } from "../ui/index.js";
import { PartFields } from "./rule_fields.js";
import { ACTIONS, CONDITIONS, ON, freshAction, freshCondition } from "./rule_parts.js";
import { Sentence } from "./rule_row.js";

export function RuleEditor({ rule, known, save, onClose }) {
  const [draft, put] = useState(rule);
  const [json, write] = useState(null); // the text while it is written as JSON
  const work = useWork(async () => save(json === null ? draft : { ...JSON.parse(json), id: rule.id }));
  const set = (more) => {
    put({ ...draft, ...more });
    work.clear(); // what was wrong may be right now
  };
  const submit = (event) => {
    event.preventDefault();
    work.run();
  };
  const turn = () => {
    if (json === null) return write(shown(draft));
    try {
      put({ ...rule, ...JSON.parse(json), id: rule.id });
      write(null);
    } catch (error) {
      return work.run(); // says what is wrong with it
    }
  };
  const footer = html`
    <${Button} kind="quiet" icon="file-text" onClick=${turn}>${t(json === null ? "rules.json" : "rules.fields")}<//>
    <span class="room"></span>
    <${Button} onClick=${onClose}>${t("ui.cancel")}<//>
    <${Button} kind="primary" type="submit" form="rule-form" busy=${work.busy}>${t("ui.save")}<//>`;
  const named = placed(work.error);
  const unsaved = useChanged(draft) || (json !== null && json !== shown(draft));
  return html`<${Dialog} wide title=${rule.id ? t("rules.edit", { name: rule.name || rule.id }) : t("rules.new")} onClose=${onClose} footer=${footer} unsaved=${unsaved}>
    <form id="rule-form" class="rule-form" onSubmit=${submit} noValidate>
      ${work.error && (!named || json !== null) && html`<${Problem} error=${said(work.error)} />`}
      ${json === null ? html`<${Fields} draft=${draft} set=${set} known=${known} wrong=${named} />` : html`<${TextArea} label=${t("rules.json.label")} hint=${t("rules.json.hint")} rows=${18} class="json" spellcheck=${false} value=${json} onInput=${write} />`}
    </form>
  <//>`;
}

function shown({ id: _id, ...rule }) {
  return JSON.stringify(rule, null, 2);
}

function said(error) {
  return error instanceof SyntaxError ? new Error(t("rules.json.wrong", { why: error.message })) : error;
}

// Where it is wrong: {part: "conditions", at: 0, text}, or a plain field.
function placed(error) {
  const [, part, at] = error?.problem?.field?.match(/(conditions|actions)[.[](\d+)/) ?? [];
  if (part) return { part, at: Number(at), text: error.problem.detail };
  const [name] = error?.problem?.field?.match(/\b(name|on|actions|conditions)$/) ?? [];
  return name ? { part: name, at: -1, text: error.problem.detail } : null;
}

function Fields({ draft, set, known, wrong }) {
  return html`
    <${TextField} label=${t("rules.name")} value=${draft.name} maxlength="200" autofocus error=${wrong?.part === "name" ? wrong.text : ""} onInput=${(name) => set({ name })} />
    <${Select} label=${t("rules.when")} value=${draft.on} options=${ON.map((one) => [one, t(`rules.when.${one}`)])} onChange=${(on) => set({ on })} />
    <${Parts} part="conditions" tag="if" kinds=${CONDITIONS} fresh=${freshCondition} rows=${draft.conditions} ...${{ known, wrong }} onChange=${(conditions) => set({ conditions })} />
    <${Parts} part="actions" tag="do" kinds=${ACTIONS} fresh=${freshAction} rows=${draft.actions} ...${{ known, wrong }} onChange=${(actions) => set({ actions })} />
    <div class="two">
      <${Checkbox} label=${t("rules.stop")} checked=${draft.stop} onChange=${(stop) => set({ stop })} />
      <${Checkbox} label=${t("rules.enable")} checked=${draft.enabled} onChange=${(enabled) => set({ enabled })} />
    </div>
    <section class="in-words" aria-live="polite"><h3>${t("rules.in_words")}</h3><${Sentence} rule=${draft} known=${known} /></section>`;
}

function Parts({ part, tag, kinds, fresh, rows, known, wrong, onChange }) {
  const options = Object.keys(kinds).map((kind) => [kind, t(`rules.${tag}.${kind}`)]);
  const set = (at, row) => onChange(rows.map((one, n) => (n === at ? row : one)));
  const mine = wrong?.part === part ? wrong : null;
  return html`<fieldset class="rule-parts">
    <legend>${t(`rules.${part}`)}</legend>
    <p class="hint-text">${t(`rules.${part}.hint`)}</p>
    ${rows.map((row, at) => html`<div key=${at} class="rule-part">
      <${Select} label=${html`<span class="apart">${t(`rules.${tag}.label`, { n: at + 1 })}</span>`} value=${row[tag]} options=${options} onChange=${(kind) => set(at, fresh(kind, known))} />
      <${PartFields} fields=${kinds[row[tag]]} prefix=${`rules.${tag}.${row[tag]}`} row=${row} known=${known} onChange=${(next) => set(at, next)} />
      ${tag === "if" && html`<${Checkbox} label=${t("rules.negate")} checked=${Boolean(row.negate)} onChange=${(negate) => set(at, { ...row, negate })} />`}
      <${IconButton} icon="trash" label=${t(`rules.${part}.remove`, { n: at + 1 })} onClick=${() => onChange(rows.filter((_, n) => n !== at))} />
      ${mine?.at === at && html`<p class="wrong" role="alert">${mine.text}</p>`}
    </div>`)}
    ${mine?.at === -1 && html`<p class="wrong" role="alert"><${Icon} name="circle-alert" size=${15} /> ${rows.length ? mine.text : t(`rules.${part}.needed`)}</p>`}
    <p><${Button} small icon="plus" onClick=${() => onChange([...rows, fresh(options[0][0], known)])}>${t(`rules.${part}.add`)}<//></p>
  </fieldset>`;
}
