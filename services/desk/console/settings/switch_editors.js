// How a switch that is no mere on and off is set: by its kind. An editor is a component of
// {row, value, onChange, error, locked, label, hint}.

import { Fragment, html, useEffect, useState } from "../frame/html.js";
import { duration, has, number, t } from "../frame/words.js";
import { Choices, Field, Select, TextArea, TextField, useGet } from "../ui/index.js";
import { CHANNELS } from "./switch_rows.js";

const UNITS = [[86_400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];

function unitOf(seconds) {
  return (UNITS.find(([size]) => seconds && seconds % size === 0) ?? UNITS[2])[0];
}

// Seconds as a number and its unit; 0 says never where it may be 0.
export function DurationField({ row = {}, value, onChange, error, locked, label, hint }) {
  const [unit, put] = useState(() => unitOf(value));
  useEffect(() => {
    if (value % unit) put(unitOf(value));
  }, [value]);
  const count = value / unit;
  const limits = row.most ? t("switches.range", { least: row.least ? duration(row.least) : number(0), most: duration(row.most) }) : "";
  return html`<${Field} label=${label} hint=${[hint, limits].filter(Boolean).join(" ")} error=${error}>
    ${(given) => html`<div class="duration">
      <input ...${given} type="number" min="0" step="any" required disabled=${locked} value=${Number.isFinite(count) ? count : ""}
        onInput=${(event) => onChange(Math.round(Number(event.target.value) * unit))} />
      <select aria-label=${t("switches.unit", { name: label })} disabled=${locked} value=${unit}
        onChange=${(event) => { const size = Number(event.target.value); put(size); onChange(Math.round(count * size)); }}>
        ${UNITS.map(([size, name]) => html`<option key=${name} value=${size} selected=${size === unit}>${t(`switches.unit.${name}`)}</option>`)}
      </select>
    </div>`}
  <//>`;
}

function NumberField({ row, value, onChange, locked, hint, ...rest }) {
  const range = t("switches.range", { least: row.least, most: row.most });
  return html`<${TextField} ...${rest} hint=${`${hint} ${range}`} type="number" class="short" min=${row.least} max=${row.most} disabled=${locked}
    value=${value} onInput=${(text) => onChange(text === "" ? null : Number(text))} />`;
}

function ChoiceField({ row, value, onChange, locked, ...rest }) {
  const options = row.values.map((one) => [one, t(`switches.${row.name}.name.${one || "none"}`)]);
  return html`<${Select} ...${rest} disabled=${locked} value=${value ?? ""} options=${options}
    onChange=${(one) => onChange(one === "" && "empty" in row ? row.empty : one)} />`;
}

// One a line: words may hold spaces and commas.
function WordsField({ value, onChange, locked, hint, ...rest }) {
  const [text, put] = useState(value.join("\n"));
  useEffect(() => {
    if (JSON.stringify(lines(text)) !== JSON.stringify(value)) put(value.join("\n"));
  }, [JSON.stringify(value)]);
  return html`<${TextArea} ...${rest} hint=${`${hint} ${t("switches.one_a_line")}`} disabled=${locked} rows=${Math.min(8, Math.max(3, value.length + 1))} value=${text}
    onInput=${(next) => { put(next); onChange(lines(next)); }} />`;
}

export function lines(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean);
}

function WholeText({ row, value, onChange, locked, ...rest }) {
  return html`<${TextArea} ...${rest} rows=${2} maxlength=${row.most} required=${row.least > 0} disabled=${locked} value=${value} onInput=${onChange} />`;
}

function ChannelsField({ value, onChange, label, hint, error, locked }) {
  if (locked) return html`<${Fragment}><p class="strong">${label}</p><p>${shownValue({ kind: "channels" }, value)}</p><//>`;
  return html`<${Choices} label=${label} hint=${hint} error=${error} value=${value} onChange=${onChange} options=${CHANNELS.map((one) => [one, t(`frame.channel.${one}`)])} />`;
}

function CalendarField({ value, onChange, locked, ...rest }) {
  const { data } = useGet("/calendars");
  const named = (data?.items ?? []).map(({ id, name }) => [id, name || id]);
  const options = [["", t("switches.calendar.none")], ...named];
  if (value && !options.some(([id]) => id === value)) options.push([value, value]);
  return html`<${Select} ...${rest} disabled=${locked} value=${value} options=${options} onChange=${onChange} />`;
}

function ZoneField({ value, onChange, locked, ...rest }) {
  const zones = ["UTC", ...(Intl.supportedValuesOf?.("timeZone") ?? [])];
  return html`<${TextField} ...${rest} disabled=${locked} list="known-zones" required value=${value} onInput=${onChange} />
    <datalist id="known-zones">${zones.map((zone) => html`<option key=${zone} value=${zone}></option>`)}</datalist>`;
}

function QuietField({ value, onChange, label, hint, error, locked }) {
  const set = value !== null;
  return html`<fieldset class="choices">
    <legend>${label}</legend>
    <p class="hint-text">${hint}</p>
    <label class="check"><input type="checkbox" disabled=${locked} checked=${set} onChange=${(event) => onChange(event.target.checked ? { start: "22:00", end: "08:00" } : null)} /><span>${t("switches.quiet_hours.set")}</span></label>
    ${set && html`<div class="two">
      <${TextField} type="time" label=${t("switches.quiet_hours.start")} disabled=${locked} required value=${value.start} onInput=${(start) => onChange({ ...value, start })} />
      <${TextField} type="time" label=${t("switches.quiet_hours.end")} disabled=${locked} required value=${value.end} onInput=${(end) => onChange({ ...value, end })} />
    </div>`}
    ${error && html`<p class="wrong" role="alert">${error}</p>`}
  </fieldset>`;
}

export const EDITORS = {
  seconds: DurationField, number: NumberField, choice: ChoiceField, words: WordsField, text: WholeText,
  channels: ChannelsField, calendar: CalendarField, zone: ZoneField, quiet: QuietField,
};

// A value as people say it, for history and conflicts.
export function shownValue(row, value) {
  if (value === true) return t("switches.on");
  if (value === false) return t("switches.off");
  if (value === null || value === "" || value === undefined) return t("switches.nothing");
  if (row?.kind === "seconds") return value === 0 ? number(0) : duration(value);
  if (row?.kind === "choice" && has(`switches.${row.name}.name.${value}`)) return t(`switches.${row.name}.name.${value}`);
  if (row?.kind === "quiet") return `${value.start}–${value.end}`;
  if (row?.kind === "channels") return value.length ? value.map((one) => t(`frame.channel.${one}`)).join(", ") : t("switches.nothing");
  if (Array.isArray(value) && value.every((one) => typeof one !== "object")) return value.join(", ") || t("switches.nothing");
  if (typeof value === "number") return number(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
