// The columns of the list of contacts, of which each browser shows those that were chosen.

import { genderWord, languageName } from "../contact/facts.js";
import { TagChip } from "../contact/tags.js";
import { html, useState } from "../frame/html.js";
import { href } from "../frame/router.js";
import { t } from "../frame/words.js";
import { contactName } from "../frame/who.js";
import { Avatar, ChannelIcon, Icon, Menu, Time } from "../ui/index.js";

const KEY = "relaydesk:contact-columns";
const FIRST = ["email", "phone", "channels", "tags", "first_seen"];

const FIXED = {
  email: { show: (row) => html`<span dir="auto">${row.email}</span>` },
  phone: { show: (row) => html`<bdi>${row.phone}</bdi>` },
  channels: { show: (row) => html`<span class="person-channels">${row.channels.map((one) => html`<${ChannelIcon} key=${one} channel=${one} size=${15} label=${t(`frame.channel.${one}`)} />`)}</span>` },
  tags: { show: (row) => html`<span class="tag-list">${row.tags.map((tag) => html`<${TagChip} key=${tag.id} tag=${tag} />`)}</span>` },
  gender: { show: (row) => genderWord(row.gender) },
  age: { show: (row) => row.age ?? "" },
  language: { show: (row) => languageName(row.language) },
  zone: { show: (row) => row.zone },
  ref: { show: (row) => row.ref },
  first_seen: { show: (row) => html`<${Time} at=${row.first_seen_at} />` },
};

const NAME = {
  name: "name",
  show: (row) => html`<a class="contact-link" href=${href(`/contacts/${row.id}`)}><${Avatar} name=${contactName(row)} id=${row.id} size="small" /><span class="strong" dir="auto">${contactName(row)}</span></a>`,
};

function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY));
    return Array.isArray(found) ? found : FIRST;
  } catch {
    return FIRST;
  }
}

// {columns for a Table, menu}: `fields` are the workspace's own.
export function useColumns(fields) {
  const [chosen, choose] = useState(kept);
  const own = fields.map((field) => ({ name: `own-${field.name}`, label: field.label || field.name, show: (row) => html`<span dir="auto">${row.fields[field.name]}</span>` }));
  const all = [...Object.entries(FIXED).map(([name, column]) => ({ name, label: t(`contacts.column.${name}`), ...column })), ...own];
  const toggle = (name) => {
    const next = chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name];
    choose(next);
    try {
      localStorage.setItem(KEY, JSON.stringify(next));
    } catch {
      // chosen for this visit alone
    }
  };
  const menu = html`<${Menu} class="button" label=${t("contacts.columns")} button=${html`<${Icon} name="list-checks" />${t("contacts.columns")}`}
    items=${all.map(({ name, label }) => ({ label, checked: chosen.includes(name), run: () => toggle(name) }))} />`;
  return { columns: [{ ...NAME, label: t("contact.name") }, ...all.filter(({ name }) => chosen.includes(name))], menu };
}

