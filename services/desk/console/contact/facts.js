// What is known of a contact: the facts that every contact has, and the workspace's own fields.

import { ask } from "../frame/api.js";
import { html, useMemo } from "../frame/html.js";
import { may } from "../frame/me.js";
import { contactName } from "../frame/who.js";
import { language, t } from "../frame/words.js";
import { Time, useGet } from "../ui/index.js";
import { InlineFact } from "./inline.js";

const HINTED = new Set(["phone", "birthday", "language", "zone", "ref"]);
const GENDERS = ["", "female", "male", "other"];

export function genderWord(value) {
  return value ? t(`contact.gender.${value}`) : "";
}

export function languageName(tag) {
  if (!tag) return "";
  try {
    const name = new Intl.DisplayNames([language.value], { type: "language" }).of(tag);
    return name && name !== tag ? `${name} (${tag})` : tag;
  } catch {
    return tag; // not a tag that the browser knows
  }
}

export function localTime(zone) {
  try {
    return new Intl.DateTimeFormat(language.value, { timeZone: zone, weekday: "short", hour: "2-digit", minute: "2-digit" }).format(new Date());
  } catch {
    return "";
  }
}

function birthdayWord(value) {
  const [, month, day] = value.match(/^--(\d\d)-(\d\d)$/) ?? [];
  const at = new Date(month ? `2000-${month}-${day}T12:00` : `${value}T12:00`);
  if (Number.isNaN(at.getTime())) return value;
  return at.toLocaleDateString(language.value, { day: "numeric", month: "long", ...(month ? {} : { year: "numeric" }) });
}

const SAID = { gender: genderWord, language: languageName, birthday: (value) => value && birthdayWord(value) };

function yesNo(value) {
  return { true: t("contact.yes"), false: t("contact.no") }[value] ?? value;
}

function dateWord(value) {
  const at = new Date(`${value}T12:00`);
  return value && !Number.isNaN(at.getTime()) ? at.toLocaleDateString(language.value, { dateStyle: "medium" }) : value;
}

const KINDS = {
  text: {}, number: { kind: "number" }, url: { kind: "url" },
  date: { kind: "date", say: dateWord },
  boolean: { kind: "choice", say: yesNo, options: () => [["", "–"], ["true", t("contact.yes")], ["false", t("contact.no")]] },
  choice: { kind: "choice", options: (field, value) => {
    const all = value && !field.choices.includes(value) ? [value, ...field.choices] : field.choices;
    return [["", "–"], ...all.map((one) => [one, one])];
  } },
};

// What changes a fact of the contact that `source` (of useContact) has read.
function changing(source) {
  const path = `/contacts/${encodeURIComponent(source.contact.id)}`;
  return (body) => async (text, etag) => source.took(await ask("PATCH", path, body(text), { etag }));
}

export function NameFact({ source }) {
  const { contact, etag } = source;
  return html`<dl class="name-fact"><${InlineFact} key=${contact.id}
    label=${t("contact.name")} value=${contact.name} blank=${contactName(contact)} etag=${etag} canEdit=${editable(contact)} fresh=${source.fresh}
    valueOf=${(one) => one.name} change=${changing(source)((name) => ({ name }))}
    hint=${contact.set_by.name ? t("contact.set_by_us") : t("contact.hint.keys")}
  /></dl>`;
}

export function editable(contact) {
  return may("agent") && !contact.merged_into;
}

export function Facts({ source }) {
  const { contact, etag } = source;
  const fields = useGet("/contact-fields");
  const common = { etag, canEdit: editable(contact), fresh: source.fresh };
  const change = changing(source);
  const own = useMemo(() => ownFields(fields.data?.items ?? [], contact.fields), [fields.data, contact.fields]);
  const zones = useMemo(() => Intl.supportedValuesOf?.("timeZone") ?? [], []);
  const fact = (name, more = {}) => html`<${InlineFact} key=${name} ...${common} label=${t(`contact.${name}`)}
    value=${contact[name] ?? ""} valueOf=${(one) => one[name] ?? ""} change=${change((text) => ({ [name]: text }))}
    say=${SAID[name]} kind=${name} hint=${HINTED.has(name) ? t(`contact.hint.${name}`) : t("contact.hint.keys")} ...${more} />`;
  return html`<dl class="contact-facts">
    ${fact("email")}${fact("phone")}
    ${fact("gender", { kind: "choice", choices: GENDERS.map((one) => [one, genderWord(one) || "–"]) })}
    ${fact("birthday", { kind: "text", extra: contact.age !== null && html`<span class="dim">${t("contact.years", { n: contact.age })}</span>` })}
    ${fact("language")}
    ${fact("zone", { list: "contact-zones", extra: contact.zone && html`<span class="dim">${localTime(contact.zone)}</span>` })}
    ${fact("ref")}
    ${own.map((field) => {
      const { kind = "text", say, options } = KINDS[field.type];
      const value = contact.fields[field.name] ?? "";
      return html`<${InlineFact} key=${`own-${field.name}`} ...${common} label=${field.label || field.name} value=${value} kind=${kind} say=${say}
        choices=${options?.(field, value)} valueOf=${(one) => one.fields[field.name] ?? ""} hint=${t("contact.hint.keys")}
        change=${change((text) => ({ fields: { [field.name]: text || null } }))}
        extra=${field.type === "url" && /^https?:/.test(value) && html`<a href=${value} target="_blank" rel="noopener noreferrer">${t("contact.visit")}</a>`} />`;
    })}
    <datalist id="contact-zones">${zones.map((zone) => html`<option key=${zone} value=${zone}></option>`)}</datalist>
    <div class="fact"><dt>${t("contact.first_seen")}</dt><dd><span class="fact-value"><${Time} at=${contact.first_seen_at} /></span></dd></div>
    ${lastSeen(contact) && html`<div class="fact"><dt>${t("contact.last_seen")}</dt><dd><span class="fact-value"><${Time} at=${lastSeen(contact)} /></span></dd></div>`}
  </dl>`;
}

// When they last wrote, wherever that was; "": nothing is known of it.
export function lastSeen(contact) {
  const times = contact.sessions.map(({ last_inbound_at: at }) => at).filter(Boolean).sort();
  return times.at(-1) ?? "";
}

// The workspace's fields in their order, then those of the contact that have no definition.
export function ownFields(defined, values) {
  const known = [...defined].sort((a, b) => a.order - b.order || a.label.localeCompare(b.label));
  const names = new Set(known.map(({ name }) => name));
  const others = Object.keys(values).filter((name) => !names.has(name)).sort();
  return [...known, ...others.map((name) => ({ name, label: name, type: "text" }))];
}

