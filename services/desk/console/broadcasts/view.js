// Broadcasts, newest first, with how far each came; and drafting one (B03).

import { html, useState } from "../frame/html.js";
import { go, href } from "../frame/router.js";
import { number, t } from "../frame/words.js";
import { Button, Empty, More, Page, Problem, Table, Time, Waiting, usePages } from "../ui/index.js";
import { Form } from "./form.js";

const STATES = ["draft", "scheduled", "running", "paused", "done", "cancelled"];
const TONES = { running: "good", paused: "late", scheduled: "late", done: "good" };

export function State({ state }) {
  return html`<span class=${`chip ${TONES[state] ?? ""}`}>${t(`broadcasts.state.${state}`)}</span>`;
}

export default function View({ query }) {
  const state = query.state ?? "";
  const pages = usePages("/broadcasts", { state, limit: 50 });
  const [open, put] = useState(false);
  const columns = [
    { name: "name", label: t("broadcasts.name"), show: (one) => html`<a class="strong" dir="auto" href=${href(`/broadcasts/${one.id}`)}>${one.name}</a>` },
    { name: "state", label: t("broadcasts.state"), show: (one) => html`<${State} state=${one.state} />` },
    { name: "total", label: t("broadcasts.recipients"), end: true, show: (one) => (one.gathered ? number(one.total) : "–") },
    { name: "when", label: t("broadcasts.when"), show: (one) => (one.at ? html`<span>${one.at.replace("T", " ")} <span class="dim">${one.zone === "contact" ? t("broadcasts.zone_contact_short") : one.zone}</span></span>` : html`<${Time} at=${one.started_at} />`) },
    { name: "author", label: t("broadcasts.author"), show: (one) => one.author.name },
    { name: "changed", label: t("broadcasts.changed"), show: (one) => html`<${Time} at=${one.updated_at} relative />` },
  ];
  return html`<${Page} title=${t("broadcasts.title")} hint=${t("broadcasts.hint")} actions=${html`<${Button} kind="primary" icon="plus" onClick=${() => put(true)}>${t("broadcasts.new")}<//>`}>
    <div class="words-filters"><div class="segments" role="group" aria-label=${t("broadcasts.state")}>
      ${["", ...STATES].map((one) => html`<button key=${one} type="button" aria-pressed=${String(one === state)} onClick=${() => go("/broadcasts", { state: one }, { replace: true })}>${t(one ? `broadcasts.state.${one}` : "broadcasts.state.all")}</button>`)}
    </div></div>
    <${Problem} error=${pages.error} retry=${pages.reload} />
    ${pages.loading && !pages.items.length && html`<${Waiting} />`}
    ${pages.whole && !pages.items.length && !pages.error && html`<${Empty} icon="megaphone" title=${t(state ? "broadcasts.none_such" : "broadcasts.none")}>${t("broadcasts.none_hint")}<//>`}
    ${pages.items.length > 0 && html`<${Table} caption=${t("broadcasts.title")} columns=${columns} rows=${pages.items} />`}
    <${More} pages=${pages} />
    ${open && html`<${Form} onClose=${() => put(false)} onSaved=${({ id }) => go(`/broadcasts/${id}`, {}, { saved: true })} />`}
  <//>`;
}
