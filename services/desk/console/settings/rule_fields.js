// The fields of one condition or action, by their kinds.

import { html, useEffect, useState } from "../frame/html.js";
import { has, t } from "../frame/words.js";
import { Checkbox, Choices, Select, TextArea, TextField } from "../ui/index.js";
import { lines } from "./switch_editors.js";

export function PartFields({ fields, prefix, row, known, onChange }) {
  return html`<div class="part-fields">
    ${fields.filter(({ when }) => !when || when(row)).map((field) => html`<${KINDS[field.kind]} key=${prefix + field.name} field=${field} known=${known}
      label=${label(prefix, field.name)} value=${row[field.name]} prefix=${prefix} onChange=${(value) => onChange({ ...row, [field.name]: value })} />`)}
  </div>`;
}

function label(prefix, name) {
  return has(`${prefix}.${name}`) ? t(`${prefix}.${name}`) : t(`rules.part.${name}`);
}

function Many({ field, known, label: name, value, onChange }) {
  const options = [...known[field.from], ...(value ?? []).filter((one) => !known[field.from].some(([id]) => id === one)).map((one) => [one, one])];
  if (!options.length) return html`<p class="hint-text">${t("rules.none_there")}</p>`;
  return html`<${Choices} label=${name} options=${options} value=${value ?? []} onChange=${onChange} />`;
}

function Texts({ label: name, value, onChange }) {
  const [text, put] = useState((value ?? []).join("\n"));
  useEffect(() => {
    if (JSON.stringify(lines(text)) !== JSON.stringify(value)) put((value ?? []).join("\n"));
  }, [JSON.stringify(value)]);
  return html`<${TextArea} label=${name} hint=${t("rules.one_a_line")} rows=${2} value=${text} onInput=${(next) => { put(next); onChange(lines(next)); }} />`;
}

function Text({ field, known, label: name, value, onChange }) {
  const list = field.from ? `known-${field.from}` : undefined;
  return html`<${TextField} label=${name} list=${list} value=${value} onInput=${onChange} />
    ${list && html`<datalist id=${list}>${known[field.from].map(([one]) => html`<option key=${one} value=${one}></option>`)}</datalist>`}`;
}

function Pattern({ label: name, value, onChange }) {
  return html`<${TextField} class="json" label=${name} hint=${t("rules.pattern.hint")} spellcheck=${false} value=${value} onInput=${onChange} />`;
}

function Long({ label: name, value, onChange }) {
  return html`<${TextArea} label=${name} rows=${3} maxlength="4000" value=${value} onInput=${onChange} />`;
}

function Choice({ field, known, label: name, value, prefix, onChange }) {
  const options = field.values
    ? field.values.map((one) => [String(one), t(`${prefix}.${field.name}.${one}`)])
    : [...(field.optional ? [["", t("rules.nobody")]] : []), ...known[field.from]];
  if (value && !field.values && !options.some(([id]) => id === value)) options.push([value, value]);
  if (!options.length) return html`<p class="hint-text">${t("rules.none_there")}</p>`;
  const read = (text) => (typeof value === "boolean" ? text === "true" : text);
  return html`<${Select} label=${name} value=${String(value ?? "")} options=${options} onChange=${(text) => onChange(read(text))} />`;
}

function Yes({ label: name, value, onChange }) {
  return html`<${Checkbox} label=${name} checked=${Boolean(value)} onChange=${onChange} />`;
}

function Num({ field, label: name, value, onChange }) {
  return html`<${TextField} type="number" class="short" min=${field.least} max=${field.most} label=${name} value=${value} onInput=${(text) => onChange(Number(text))} />`;
}

const KINDS = { many: Many, texts: Texts, text: Text, pattern: Pattern, long: Long, choice: Choice, yes: Yes, number: Num };
