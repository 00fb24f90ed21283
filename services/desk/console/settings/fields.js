// The workspace's own fields of contacts: what people read, of which type, in which order.

import { call, newKey } from "../frame/api.js";
import { html, useRef, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Dialog, Empty, IconButton, Problem, Select, TextArea, TextField, Waiting, confirm, inWords, toast, useChanged, useGet, useWork, wrongWith } from "../ui/index.js";
import { Current } from "./current.js";
import { SettingsPage } from "./frame.js";
import { Ordered } from "./standard-order.js";

const TYPES = ["text", "number", "boolean", "date", "choice", "url"];

export default function View() {
  const fields = useGet("/contact-fields");
  const [open, put] = useState(null);
  const items = [...(fields.data?.items ?? [])].sort((a, b) => a.order - b.order);
  const order = async (ids) => {
    const before = fields.data;
    const placed = ids.map((id, at) => ({ ...items.find((one) => one.id === id), order: at }));
    fields.set({ ...before, items: placed });
    try {
      const changed = placed.filter(({ id, order: at }) => before.items.find((one) => one.id === id).order !== at);
      for (const { id, order: at } of changed) await call("PATCH", `/contact-fields/${id}`, { order: at });
    } catch (failed) {
      toast(inWords(failed), { kind: "bad" });
      fields.reload();
    }
  };
  const remove = async (field) => {
    const sure = await confirm({ title: t("fields.delete", { name: field.label || field.name }), text: t("fields.delete_text"), action: t("ui.delete"), danger: true });
    if (!sure) return;
    try {
      await call("DELETE", `/contact-fields/${field.id}`);
      fields.reload();
    } catch (failed) {
      toast(inWords(failed), { kind: "bad" });
    }
  };
  const show = (field) => html`<div class="standard-row">
      <h2 dir="auto">${field.label || field.name}<span class="chip">${t(`fields.type.${field.type}`)}</span></h2>
      <p class="dim"><code dir="ltr">${`{{contact.field.${field.name}}}`}</code>${field.choices.length > 0 && ` · ${field.choices.join(", ")}`}</p>
    </div>
    <div class="row-actions">
      <${IconButton} icon="pencil" label=${t("fields.edit_one", { name: field.label || field.name })} onClick=${() => put(field)} />
      <${IconButton} icon="trash" label=${t("fields.delete_one", { name: field.label || field.name })} onClick=${() => remove(field)} />
    </div>`;
  return html`<${SettingsPage} narrow title=${t("fields.title")} hint=${t("fields.hint")}
    actions=${html`<${Button} kind="primary" icon="plus" onClick=${() => put({ order: items.length })}>${t("fields.new")}<//>`}>
    <${Problem} error=${fields.error} retry=${fields.reload} />
    ${!fields.data && !fields.error && html`<${Waiting} />`}
    ${fields.data && !items.length && html`<${Empty} icon="list" title=${t("fields.none")}>${t("fields.none_hint")}<//>`}
    <div class="standard-messages"><${Ordered} label=${t("fields.title")} items=${items} name=${({ label, name }) => label || name} onOrder=${order} show=${show} /></div>
    ${open && html`<${Edit} field=${open} onClose=${() => put(null)} onSaved=${() => { put(null); fields.reload(); toast(t("ui.saved")); }} />`}
  <//>`;
}

function Edit(given) {
  const { id } = given.field;
  const form = (data, etag) => html`<${Form} ...${given} field=${data ?? given.field} etag=${etag} />`;
  return html`<${Current} path=${id ? `/contact-fields/${id}` : null} title=${t("fields.edit")} onClose=${given.onClose} form=${form} />`;
}

function Form({ field, onClose, onSaved, etag }) {
  const [given, put] = useState({ name: field.name ?? "", label: field.label ?? "", type: field.type ?? "text", choices: (field.choices ?? []).join("\n") });
  const key = useRef(newKey());
  const work = useWork(() => {
    const { name, choices, ...rest } = given;
    const lines = choices.split("\n").map((one) => one.trim()).filter(Boolean);
    const body = { ...rest, choices: given.type === "choice" ? lines : [] };
    if (field.id) return call("PATCH", `/contact-fields/${field.id}`, body, { etag });
    return call("POST", "/contact-fields", { ...body, name, order: field.order }, { key: key.current });
  });
  const set = (name) => (value) => {
    key.current = newKey();
    put({ ...given, [name]: value });
  };
  const wrong = (name) => wrongWith(work.error, name) || (name === "name" && work.error?.problem?.code === "name_taken" ? work.error.problem.detail : "");
  const unsaved = useChanged(given);
  const known = ["name", "label", "type", "choices"].some(wrong);
  const submit = async (event) => {
    event.preventDefault();
    if (await work.run()) onSaved();
  };
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//><${Button} kind="primary" busy=${work.busy} onClick=${submit}>${t("ui.save")}<//>`;
  return html`<${Dialog} title=${t(field.id ? "fields.edit" : "fields.new")} onClose=${onClose} footer=${footer} unsaved=${unsaved}>
    <form class="form" onSubmit=${submit}>
      <${TextField} autofocus label=${t("fields.label")} hint=${t("fields.label_hint")} value=${given.label} onInput=${set("label")} error=${wrong("label")} maxlength="100" />
      <${TextField} required=${!field.id} disabled=${Boolean(field.id)} label=${t("fields.name")} hint=${t(field.id ? "fields.name_fixed" : "fields.name_hint")} value=${given.name} onInput=${set("name")} error=${wrong("name")} maxlength="60" dir="ltr" />
      <${Select} label=${t("fields.type")} hint=${field.id ? t("fields.type_hint") : ""} value=${given.type} options=${TYPES.map((one) => [one, t(`fields.type.${one}`)])} onChange=${set("type")} error=${wrong("type")} />
      ${given.type === "choice" && html`<${TextArea} label=${t("fields.choices")} hint=${t("fields.choices_hint")} value=${given.choices} onInput=${set("choices")} error=${wrong("choices")} />`}
      ${!known && html`<${Problem} error=${work.error} />`}
      <button type="submit" hidden></button>
    </form>
  <//>`;
}
