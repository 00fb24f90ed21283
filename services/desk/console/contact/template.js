// The template that goes out in place of a message whose window has closed.

import { html } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Select, TextField } from "../ui/index.js";

// What the form keeps of a template part of the API, and what it asks for.
export function templateOf(part) {
  return part ? { name: part.name, language: part.language, body: part.body, header: part.header, buttons: part.buttons } : null;
}

export function templateBody(template) {
  return template;
}

function places(body) {
  return new Set([...body.matchAll(/\{\{(\d+)\}\}/g)].map(([, n]) => n)).size;
}

export function FallbackTemplate({ templates, value, put, error }) {
  const key = ({ name, language }) => `${name}\n${language}`;
  const chosen = value && templates.find((one) => key(one) === key(value));
  const choose = (text) => {
    const found = templates.find((one) => key(one) === text);
    put(found ? { name: found.name, language: found.language, body: Array(places(found.body)).fill(""), header: "", buttons: [] } : null);
  };
  const fill = (at, text) => put({ ...value, body: value.body.map((old, index) => (index === at ? text : old)) });
  const open = templates.filter(({ approved, header }) => approved !== false && (!header || header === "text"));
  return html`<div class="later-template">
    <${Select} label=${t("contact.later.template")} value=${value ? key(value) : ""} onChange=${choose} error=${error}
      options=${[["", t("contact.later.choose")], ...open.map((one) => [key(one), `${one.name} (${one.language})`])]} />
    ${chosen?.body && html`<p class="note-text later-preview" dir="auto">${chosen.body}</p>`}
    ${value?.body.map((text, at) => html`<${TextField} key=${at} label=${t("contact.later.value", { n: at + 1 })} value=${text} onInput=${(more) => fill(at, more)} />`)}
    ${chosen?.header === "text" && html`<${TextField} label=${t("contact.later.header")} value=${value.header} onInput=${(header) => put({ ...value, header })} />`}
  </div>`;
}
