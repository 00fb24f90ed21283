// Approved templates of the account, with their values, and how the message will read.

import { html, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Dialog, Select, TextField } from "../ui/index.js";

const PLACE = /\{\{\s*(\w+)\s*\}\}/g;

// The names of the place-holders of a text, in order, each once.
export function places(text) {
  return [...new Set([...text.matchAll(PLACE)].map(([, name]) => name))];
}

export function filled(text, values) {
  const names = places(text);
  return text.replace(PLACE, (whole, name) => values[names.indexOf(name)] || whole);
}

export function TemplateDialog({ templates, allowed, onPick, onClose }) {
  const usable = templates.filter(({ name, language, approved }) => approved !== false && allowed.includes(`${name}/${language}`));
  const [key, choose] = useState(usable[0] ? nameOf(usable[0]) : "");
  const [values, put] = useState([]);
  const [head, putHead] = useState("");
  const [links, putLinks] = useState([]);
  const chosen = usable.find((one) => nameOf(one) === key);
  if (!chosen) return html`<${Dialog} title=${t("talk.template")} onClose=${onClose}><p>${t("talk.template.none")}</p><//>`;
  const names = places(chosen.body ?? "");
  const withFile = chosen.header && chosen.header !== "text";
  const ready = names.every((_, at) => values[at]?.trim()) && !withFile;
  const send = () => onPick({
    name: chosen.name, language: chosen.language, body: names.map((_, at) => values[at].trim()),
    header: head, buttons: (chosen.buttons ?? []).map((_, at) => links[at] ?? ""),
  }, filled(chosen.body ?? "", values));
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//>
    <${Button} kind="primary" icon="send" disabled=${!ready} onClick=${send}>${t("talk.send")}<//>`;
  const set = (list, take) => (at, value) => take(Object.assign([...list], { [at]: value }));
  return html`<${Dialog} title=${t("talk.template")} onClose=${onClose} footer=${footer}>
    <${Select} label=${t("talk.template.which")} value=${key} options=${usable.map((one) => [nameOf(one), `${one.name} (${one.language})`])}
      onChange=${(value) => { choose(value); put([]); putHead(""); putLinks([]); }} />
    ${chosen.header === "text" && html`<${TextField} label=${t("talk.template.header")} value=${head} onInput=${putHead} maxlength=${1000} />`}
    ${names.map((name, at) => html`<${TextField} key=${key + name} label=${t("talk.template.value", { name: `{{${name}}}` })} value=${values[at]} onInput=${(value) => set(values, put)(at, value)} maxlength=${1000} required />`)}
    ${(chosen.buttons ?? []).map((kind, at) => html`<${TextField} key=${key + at} label=${t("talk.template.button", { kind, n: at + 1 })} value=${links[at]} onInput=${(value) => set(links, putLinks)(at, value)} maxlength=${1000} />`)}
    ${withFile && html`<p class="wrong">${t("talk.template.file")}</p>`}
    <section><h3>${t("talk.template.preview")}</h3><p class="talk-bubble talk-text" dir="auto">${filled(chosen.body ?? "", values)}</p></section>
  <//>`;
}

function nameOf({ name, language }) {
  return `${name}/${language}`;
}
