// Message templates that the provider has approved for an account: they may be sent at any time.

import { html, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Card, Dialog, Empty, IconButton, Problem, Select, Table, TextArea, TextField, confirm, toast, useWork } from "../ui/index.js";

const BLANK = { name: "", language: "en_US", category: "utility", header: "", body: "", buttons: [] };

export function Templates({ account, change }) {
  const [edited, edit] = useState(null); // {at: its place, or the length for a new one, value}
  const all = account.templates;
  const take = async (at) => {
    const sure = await confirm({ title: t("channels.template_take", { name: all[at].name }), text: t("channels.template_take_text"), action: t("ui.delete"), danger: true });
    if (sure) change({ templates: all.filter((_, place) => place !== at) }).catch((error) => toast(error.message, { kind: "bad" }));
  };
  const columns = [
    { name: "name", label: t("channels.template_name"), show: (one) => html`<b dir="ltr">${one.name}</b> <span class="chip">${one.language}</span>` },
    { name: "category", label: t("channels.template_category"), show: (one) => t(`channels.category.${one.category ?? "utility"}`) },
    { name: "body", label: t("channels.template_body"), show: (one) => html`<span class="clip">${one.body}</span>` },
    {
      name: "do", label: "", end: true,
      show: (one) => html`<${IconButton} icon="pencil" label=${`${t("ui.edit")}: ${one.name}`} onClick=${() => edit({ at: all.indexOf(one), value: { ...BLANK, ...one } })} />
        <${IconButton} icon="trash" label=${`${t("ui.delete")}: ${one.name}`} onClick=${() => take(all.indexOf(one))} />`,
    },
  ];
  const add = html`<${Button} icon="plus" onClick=${() => edit({ at: all.length, value: BLANK })}>${t("channels.template_add")}<//>`;
  const kept = async (value) => {
    const templates = [...all];
    templates[edited.at] = value;
    await change({ templates });
    edit(null);
  };
  return html`<${Card} title=${t("channels.templates")} hint=${t("channels.templates_hint")} actions=${all.length > 0 && add}>
    ${all.length
      ? html`<${Table} caption=${t("channels.templates")} columns=${columns} rows=${all} rowKey=${(one) => `${one.name}/${one.language}`} />`
      : html`<${Empty} icon="file-text" title=${t("channels.no_templates")} action=${add}>${t("channels.no_templates_do")}<//>`}
    ${edited && html`<${Edit} value=${edited.value} onSave=${kept} onClose=${() => edit(null)} />`}
  <//>`;
}

function Edit({ value, onSave, onClose }) {
  const [given, put] = useState(value);
  const set = (name) => (text) => put((old) => ({ ...old, [name]: text }));
  const work = useWork(() => onSave(given));
  const submit = (event) => {
    event.preventDefault();
    work.run();
  };
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//><${Button} kind="primary" type="submit" form="template" busy=${work.busy}>${t("ui.save")}<//>`;
  const few = (name, ...values) => values.map((one) => [one, t(`channels.${name}.${one || "none"}`)]);
  return html`<${Dialog} title=${t("channels.template")} onClose=${onClose} footer=${footer}>
    <form id="template" class="form" onSubmit=${submit}>
      <${TextField} label=${t("channels.template_name")} hint=${t("channels.template_name_hint")} value=${given.name} onInput=${set("name")} required dir="ltr" autofocus />
      <${TextField} label=${t("channels.template_language")} value=${given.language} onInput=${set("language")} required dir="ltr" />
      <${Select} label=${t("channels.template_category")} value=${given.category} options=${few("category", "utility", "marketing", "authentication")} onChange=${set("category")} />
      <${Select} label=${t("channels.template_header")} value=${given.header} options=${few("header", "", "text", "image", "video", "file")} onChange=${set("header")} />
      <${TextArea} label=${t("channels.template_body")} hint=${t("channels.template_body_hint")} value=${given.body} onInput=${set("body")} />
      ${work.error && html`<${Problem} error=${work.error} />`}
    </form>
  <//>`;
}
