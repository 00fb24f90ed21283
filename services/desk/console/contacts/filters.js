// What the list of contacts is narrowed by. It stands in the address, so that a list can be kept.

import { html, useEffect, useRef, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Checkbox, ChannelIcon, Icon, Problem, Select, TextField, useGet } from "../ui/index.js";

const CHANNELS = ["messenger", "fb_comment", "instagram", "line", "whatsapp", "wechat", "telegram", "web"];
const TYPED_MS = 300;
export const FILTERS = ["tag", "match", "channel", "language", "has_email", "has_phone", "from", "before"];

// What GET /contacts takes, of what stands in the address; days are whole days of this browser.
export function asked(query) {
  const { q, tag, channel, language, has_email, has_phone, from, before, order } = query;
  const match = tag?.includes(",") ? query.match : undefined;
  return {
    q, tag, match, channel, language, has_email, has_phone, order: order ?? "newest",
    first_seen_from: day(from), first_seen_before: day(before, 1),
  };
}

function day(text, after = 0) {
  const [, year, month, date] = text?.match(/^(\d{4})-(\d\d)-(\d\d)$/) ?? [];
  if (!year) return undefined;
  return new Date(Number(year), Number(month) - 1, Number(date) + after).toISOString();
}

export function count(query) {
  return ["tag", "channel", "language", "has_email", "has_phone", "from", "before"].filter((name) => query[name]).length;
}

export function Search({ query, set, box }) {
  const [text, put] = useState(query.q ?? "");
  const mine = useRef(query.q ?? "");
  useEffect(() => {
    if ((query.q ?? "") !== mine.current) put((mine.current = query.q ?? ""));
  }, [query.q]);
  useEffect(() => {
    if (text.trim() === mine.current) return undefined;
    const timer = setTimeout(() => {
      mine.current = text.trim();
      set({ q: mine.current });
    }, TYPED_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<label class="search contacts-search"><${Icon} name="search" size=${16} /><span class="apart">${t("contacts.search")}</span>
    <input ref=${box} type="search" value=${text} onInput=${(event) => put(event.target.value)} placeholder=${t("contacts.search")} maxlength="500" /></label>`;
}

function several(value) {
  return value ? value.split(",") : [];
}

function toggled(value, one, on) {
  return (on ? [...several(value), one] : several(value).filter((other) => other !== one)).join(",");
}

const known = (name) => [["", t("contacts.filter.either")], ["true", t(`contacts.filter.${name}.yes`)], ["false", t(`contacts.filter.${name}.no`)]];

export function Filters({ query, set }) {
  const tags = useGet("/tags");
  const field = (name) => (value) => set({ [name]: value });
  return html`<section class="card contact-filters" id="contact-filters" aria-label=${t("contacts.filters")}>
    <fieldset class="choices"><legend>${t("contact.tags")}</legend>
      <${Problem} error=${tags.error} retry=${tags.reload} />
      ${tags.data && !tags.data.items.length && html`<p class="dim">${t("contacts.filter.notags")}</p>`}
      <div class="filter-many">${(tags.data?.items ?? []).map((tag) => html`<${Checkbox} key=${tag.id} checked=${several(query.tag).includes(tag.id)} onChange=${(on) => set({ tag: toggled(query.tag, tag.id, on) })}
        label=${html`<i class="tag-sign" style=${{ background: tag.color || "var(--edge)" }}></i> <span dir="auto">${tag.name}</span>`} />`)}</div>
      ${several(query.tag).length > 1 && html`<${Select} label=${t("contacts.filter.match")} value=${query.match ?? "any"} onChange=${field("match")}
        options=${["any", "all"].map((one) => [one, t(`contacts.filter.match.${one}`)])} />`}
    </fieldset>
    <fieldset class="choices"><legend>${t("contact.channels")}</legend>
      <div class="filter-many">${CHANNELS.map((one) => html`<${Checkbox} key=${one} checked=${several(query.channel).includes(one)} onChange=${(on) => set({ channel: toggled(query.channel, one, on) })}
        label=${html`<${ChannelIcon} channel=${one} size=${14} /> ${t(`frame.channel.${one}`)}`} />`)}</div>
    </fieldset>
    <div class="filter-fields">
      <${Select} label=${t("contact.email")} value=${query.has_email ?? ""} options=${known("email")} onChange=${field("has_email")} />
      <${Select} label=${t("contact.phone")} value=${query.has_phone ?? ""} options=${known("phone")} onChange=${field("has_phone")} />
      <${TextField} label=${t("contact.language")} value=${query.language} onInput=${field("language")} maxlength="64" placeholder="pt-BR" autocomplete="off" />
      <${TextField} label=${t("contacts.filter.from")} type="date" value=${query.from} onInput=${field("from")} />
      <${TextField} label=${t("contacts.filter.before")} type="date" value=${query.before} onInput=${field("before")} />
      <${Select} label=${t("contacts.order")} value=${query.order ?? "newest"} options=${["newest", "id"].map((one) => [one, t(`contacts.order.${one}`)])} onChange=${field("order")} />
    </div>
    <div class="form-end"><${Button} small icon="x" disabled=${!count(query)} onClick=${() => set(Object.fromEntries(FILTERS.map((name) => [name, ""])))}>${t("contacts.filter.clear")}<//></div>
  </section>`;
}
