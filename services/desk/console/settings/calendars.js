// Business hours: when it is open, holidays, and what is said when it is closed.

import { ask, call } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { language, t } from "../frame/words.js";
import { Button, Card, Dialog, Empty, IconButton, Problem, TextArea, TextField, Waiting, confirm, toast, useChanged, useGet, useWork, wrongWith } from "../ui/index.js";
import { SettingsPage } from "./frame.js";
import { idOf } from "./teams.js";

const WEEK = [0, 1, 2, 3, 4, 5, 6];

// 0 is Monday, as the API counts; 2024-01-01 was one.
function day(n, weekday = "short") {
  return new Date(Date.UTC(2024, 0, 1 + n)).toLocaleDateString(language.value, { weekday, timeZone: "UTC" });
}

function inWords({ days, opens, closes }) {
  return `${[...days].sort().map((n) => day(n)).join(", ")} ${opens}–${closes}`;
}

export default function CalendarsView() {
  const list = useGet("/calendars");
  const settings = useGet("/settings");
  const [edited, edit] = useState(null);
  const blank = { id: "", name: "", zone: settings.data?.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone, spans: [{ days: [0, 1, 2, 3, 4], opens: "09:00", closes: "18:00" }], holidays: [], away_text: "" };
  const add = html`<${Button} kind="primary" icon="plus" onClick=${() => edit(blank)}>${t("people.calendar_add")}<//>`;
  const done = () => {
    edit(null);
    list.reload();
  };
  return html`<${SettingsPage} title=${t("people.calendars_title")} hint=${t("people.calendars_hint")} actions=${add}>
    ${list.error && html`<${Problem} error=${list.error} retry=${list.reload} />`}
    ${!list.data && list.loading && html`<${Waiting} />`}
    ${list.data?.items.length === 0 && html`<${Empty} icon="calendar" title=${t("people.no_calendars")} action=${add}>${t("people.no_calendars_do")}<//>`}
    ${list.data?.items.map((one) => html`<${Calendar} key=${one.id} calendar=${one} whole=${settings.data?.calendar === one.id} onEdit=${() => edit(one)} />`)}
    ${edited && html`<${Edit} calendar=${edited} onClose=${() => edit(null)} onDone=${done} />`}
  <//>`;
}

function Calendar({ calendar, whole, onEdit }) {
  const edit = html`<${Button} small icon="pencil" aria-label=${`${t("ui.edit")}: ${calendar.name || calendar.id}`} onClick=${onEdit}>${t("ui.edit")}<//>`;
  return html`<${Card} title=${calendar.name || calendar.id} hint=${calendar.zone} actions=${edit}>
    <p class="chip-list">${whole && html`<span class="chip good">${t("people.whole_workspace")}</span>`}
      ${calendar.spans.map((span) => html`<span key=${inWords(span)} class="chip">${inWords(span)}</span>`)}
      ${calendar.holidays.length > 0 && html`<span class="chip late">${t("people.holidays_n", { n: calendar.holidays.length })}</span>`}</p>
    ${calendar.away_text && html`<p class="dim">${calendar.away_text}</p>`}
  <//>`;
}

function Edit({ calendar, onClose, onDone }) {
  const fresh = !calendar.id;
  const found = useGet(fresh ? null : `/calendars/${calendar.id}`);
  const [given, put] = useState(calendar);
  const set = (name) => (value) => put((old) => ({ ...old, [name]: value, ...(name === "name" && fresh ? { id: idOf(value) || "hours" } : {}) }));
  const work = useWork(async () => {
    const { id, ...body } = given;
    const { warnings } = (await ask("PUT", `/calendars/${encodeURIComponent(id)}`, body, { etag: found.etag })).body;
    toast(warnings[0] ?? t("ui.saved"));
    onDone();
  });
  const gone = useWork(async () => {
    if (!(await confirm({ title: t("people.calendar_delete", { name: calendar.name || calendar.id }), text: t("people.calendar_delete_text"), action: t("ui.delete"), danger: true }))) return;
    await call("DELETE", `/calendars/${encodeURIComponent(calendar.id)}`, undefined, { etag: found.etag });
    onDone();
  });
  const submit = (event) => {
    event.preventDefault();
    work.run();
  };
  const unsaved = useChanged(given);
  const wrong = (field) => wrongWith(work.error, field);
  const footer = html`
    ${!fresh && html`<${Button} kind="danger" class="first" busy=${gone.busy} onClick=${gone.run}>${t("ui.delete")}<//>`}
    <${Button} onClick=${onClose}>${t("ui.cancel")}<//><${Button} kind="primary" type="submit" form="calendar" busy=${work.busy}>${t("ui.save")}<//>`;
  return html`<${Dialog} wide title=${fresh ? t("people.calendar_add") : calendar.name || calendar.id} onClose=${onClose} footer=${footer} unsaved=${unsaved}>
    <form id="calendar" class="form roomy" onSubmit=${submit}>
      <div class="pair">
        <${TextField} label=${t("people.name")} value=${given.name} onInput=${set("name")} error=${wrong("name")} required maxlength="100" autofocus />
        <${TextField} label=${t("people.zone")} value=${given.zone} onInput=${set("zone")} error=${wrong("zone")} list="zones" required dir="ltr" />
        <datalist id="zones">${(Intl.supportedValuesOf?.("timeZone") ?? []).map((one) => html`<option key=${one} value=${one} />`)}</datalist>
      </div>
      <${Spans} label=${t("people.open")} spans=${given.spans} onChange=${set("spans")} error=${wrong("spans")} />
      <${Holidays} holidays=${given.holidays} onChange=${set("holidays")} error=${wrong("holidays")} />
      <${TextArea} label=${t("people.away_text")} hint=${t("people.away_text_hint")} value=${given.away_text} onInput=${set("away_text")} rows=${2} error=${wrong("away_text")} />
      ${(work.error && !["name", "zone", "spans", "holidays", "away_text"].some(wrong)) || gone.error ? html`<${Problem} error=${work.error ?? gone.error} />` : null}
    </form>
  <//>`;
}

function Spans({ label, spans, onChange, error }) {
  const change = (at, changes) => onChange(spans.map((one, place) => (place === at ? { ...one, ...changes } : one)));
  const toggle = (at, n) => change(at, { days: spans[at].days.includes(n) ? spans[at].days.filter((one) => one !== n) : [...spans[at].days, n] });
  return html`<fieldset class="choices"><legend>${label}</legend>
    ${spans.map((span, at) => html`<div key=${at} class="span-row">
      <div class="days" role="group" aria-label=${t("people.days")}>${WEEK.map((n) => html`<button key=${n} type="button" aria-pressed=${String(span.days.includes(n))} aria-label=${day(n, "long")} onClick=${() => toggle(at, n)}>${day(n)}</button>`)}</div>
      <${TextField} type="time" label=${t("people.opens")} value=${span.opens} onInput=${(opens) => change(at, { opens })} required />
      <${TextField} type="time" label=${t("people.closes")} value=${span.closes === "24:00" ? "00:00" : span.closes} onInput=${(closes) => change(at, { closes: closes === "00:00" ? "24:00" : closes })} required />
      <${IconButton} icon="trash" label=${t("people.span_delete")} onClick=${() => onChange(spans.filter((_, place) => place !== at))} />
    </div>`)}
    ${error && html`<p class="wrong" role="alert">${error}</p>`}
    <div><${Button} small icon="plus" onClick=${() => onChange([...spans, { days: [0, 1, 2, 3, 4], opens: "09:00", closes: "18:00" }])}>${t("people.span_add")}<//></div>
  </fieldset>`;
}

function Holidays({ holidays, onChange, error }) {
  const change = (at, changes) => onChange(holidays.map((one, place) => (place === at ? { ...one, ...changes } : one)));
  return html`<fieldset class="choices"><legend>${t("people.holidays")}</legend><p class="hint-text">${t("people.holidays_hint")}</p>
    ${holidays.map((one, at) => html`<div key=${at} class="span-row">
      <${TextField} type="date" label=${t("people.date")} value=${one.date} onInput=${(date) => change(at, { date })} required />
      <${TextField} label=${t("people.name")} value=${one.name} onInput=${(name) => change(at, { name })} maxlength="100" />
      <span class="chip">${one.spans.length ? one.spans.map((span) => `${span.opens}–${span.closes}`).join(", ") : t("people.closed")}</span>
      <${IconButton} icon="trash" label=${t("people.holiday_delete")} onClick=${() => onChange(holidays.filter((_, place) => place !== at))} />
    </div>`)}
    ${error && html`<p class="wrong" role="alert">${error}</p>`}
    <div><${Button} small icon="plus" onClick=${() => onChange([...holidays, { date: "", name: "", spans: [] }])}>${t("people.holiday_add")}<//></div>
  </fieldset>`;
}
