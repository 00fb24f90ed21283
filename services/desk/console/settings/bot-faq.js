// Questions and answers as a table that is edited in place; a line of a cell is one question, keyword or answer.

import { html } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Card, Checkbox, IconButton, Select, TextField, wrongWith } from "../ui/index.js";

const LIKENESS = [101, 95, 90, 85, 80, 75, 70];
const lines = (text) => text.split("\n");
const LANGUAGES = ["", "en", "zh-Hant", "zh", "ja", "ko", "th", "vi", "id", "ar", "de", "es", "fr", "pt"];

function languageName(tag) {
  if (!tag) return t("bots.any_language");
  try {
    return new Intl.DisplayNames([document.documentElement.lang], { type: "language" }).of(tag);
  } catch {
    return tag;
  }
}

function freshId(entries) {
  const taken = new Set(entries.map(({ id }) => id));
  for (let n = entries.length + 1; ; n++) if (!taken.has(`q${n}`)) return `q${n}`;
}

export function Faq({ given, set, error }) {
  const entries = given.faq;
  const change = (at, more) => set({ faq: entries.map((one, place) => (place === at ? { ...one, ...more } : one)) });
  const add = () => set({ faq: [...entries, { id: freshId(entries), questions: [""], keywords: [], language: "", answers: [""], attachments: [], hand_off: false }] });
  const odd = [given.fuzzy, ...LIKENESS].sort((a, b) => b - a);
  return html`<${Card} title=${t("bots.faq")} hint=${t("bots.faq_hint")} actions=${html`<${Button} icon="plus" onClick=${add}>${t("bots.faq_add")}<//>`}>
    <div class="faq-table" role="table" aria-label=${t("bots.faq")}>
      <div role="row" class="faq-head">${["questions", "keywords", "answers", "language"].map((name) => html`<span role="columnheader" key=${name}>${t(`bots.faq_${name}`)}</span>`)}</div>
      ${entries.map((entry, at) => html`<${Entry} key=${entry.id} entry=${entry} at=${at} wrong=${wrongWith(error, `faq.${at}`)} onChange=${(more) => change(at, more)} onRemove=${() => set({ faq: entries.filter((_, place) => place !== at) })} />`)}
    </div>
    <div class="words-two">
      <${Select} label=${t("bots.fuzzy")} hint=${t("bots.fuzzy_hint")} value=${String(given.fuzzy)} options=${[...new Set(odd)].map((n) => [String(n), n > 100 ? t("bots.fuzzy_off") : `${n} %`])} onChange=${(n) => set({ fuzzy: Number(n) })} error=${wrongWith(error, "fuzzy")} />
      <${TextField} type="number" min="1" max="10" label=${t("bots.misses")} hint=${t("bots.misses_hint")} value=${given.misses} onInput=${(n) => set({ misses: Number(n) || 1 })} error=${wrongWith(error, "misses")} />
    </div>
  <//>`;
}

function Entry({ entry, at, wrong, onChange, onRemove }) {
  const cell = (name) => html`<div role="cell"><textarea
    rows=${Math.max(2, entry[name].length)} dir="auto" aria-label=${t("bots.faq_cell", { name: t(`bots.faq_${name}`), n: at + 1 })} placeholder=${t("bots.a_line")}
    value=${entry[name].join("\n")} onInput=${(event) => onChange({ [name]: event.target.value ? lines(event.target.value) : [] })}
  ></textarea></div>`;
  const languages = [...new Set([...LANGUAGES, entry.language])];
  return html`<div role="row" class="faq-row">
    ${cell("questions")}${cell("keywords")}${cell("answers")}
    <div role="cell" class="faq-more">
      <select aria-label=${t("bots.faq_cell", { name: t("bots.faq_language"), n: at + 1 })} value=${entry.language} onChange=${(event) => onChange({ language: event.target.value })}>
        ${languages.map((one) => html`<option key=${one} value=${one} selected=${one === entry.language}>${languageName(one)}</option>`)}
      </select>
      <${Checkbox} label=${t("bots.hand_off")} checked=${entry.hand_off} onChange=${(on) => onChange({ hand_off: on })} />
      <${IconButton} icon="trash" label=${t("bots.faq_remove", { n: at + 1 })} onClick=${onRemove} />
    </div>
    ${wrong && html`<p class="wrong" role="alert">${wrong}</p>`}
  </div>`;
}
