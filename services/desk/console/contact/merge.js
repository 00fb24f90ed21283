// Two contacts, one person: who looks like the same, what would become of both, and taking it back.

import { call, newKey } from "../frame/api.js";
import { html, useEffect, useRef, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { go, href } from "../frame/router.js";
import { t } from "../frame/words.js";
import { contactName } from "../frame/who.js";
import { Avatar, Button, ChannelIcon, Dialog, Icon, Problem, TextField, Time, Waiting, confirm, inWords, toast, useGet, useWork } from "../ui/index.js";
import { editable, genderWord, languageName, ownFields } from "./facts.js";
import { TagChip } from "./tags.js";

const FACTS = ["name", "email", "phone", "gender", "birthday", "language", "zone"];
const SAID = { gender: genderWord, language: languageName };
const TYPED_MS = 250;

async function unmerge(source) {
  return call("POST", `/contacts/${encodeURIComponent(source)}/unmerge`, {});
}

// Takes a merge back and says so; answers whether it was done.
export async function takeBack(source, name, after) {
  try {
    await unmerge(source);
    toast(t("contact.merge.undone", { name: contactName({ id: source, name }) }), { action: { label: t("contact.open"), run: () => go(`/contacts/${source}`) } });
    await after?.();
    return true;
  } catch (error) {
    toast(inWords(error), { kind: "bad" });
    return false;
  }
}

function Person({ contact }) {
  return html`<span class="person-line"><${Avatar} name=${contactName(contact)} id=${contact.id} size="small" />
    <span><span class="strong" dir="auto">${contactName(contact)}</span>
      <span class="dim" dir="auto">${[contact.email, contact.phone].filter(Boolean).join(" · ")}</span></span>
    <span class="person-channels">${contact.channels.map((channel) => html`<${ChannelIcon} key=${channel} channel=${channel} size=${14} label=${t(`frame.channel.${channel}`)} />`)}</span></span>`;
}

function Compare({ keep, goes, fields }) {
  const rows = FACTS.map((name) => ({ name, label: t(`contact.${name}`), mine: keep[name], theirs: goes[name], say: SAID[name] }));
  const own = ownFields(fields, { ...goes.fields, ...keep.fields });
  for (const { name, label } of own) rows.push({ name: `own-${name}`, label, mine: keep.fields[name] ?? "", theirs: goes.fields[name] ?? "" });
  const say = (row, value) => (value ? html`<span dir="auto">${(row.say ?? String)(value)}</span>` : html`<span class="dim">–</span>`);
  const cell = (row, value, wins) => html`<td class=${wins ? "wins" : value && row.mine !== row.theirs ? "loses" : ""}>${wins && html`<${Icon} name="check" size=${14} label=${t("contact.merge.wins")} />`}${say(row, value)}</td>`;
  return html`<div class="table-box" tabindex="0" role="region" aria-label=${t("contact.merge.compare")}><table class="merge-compare">
    <thead><tr><td></td><th scope="col">${t("contact.merge.stays")}</th><th scope="col">${t("contact.merge.goes")}</th></tr></thead>
    <tbody>${rows.filter(({ mine, theirs }) => mine || theirs).map((row) => html`<tr key=${row.name}><th scope="row">${row.label}</th>
      ${cell(row, row.mine, Boolean(row.mine))}${cell(row, row.theirs, !row.mine)}</tr>`)}</tbody>
  </table></div>`;
}

function Moves({ goes, keep }) {
  const more = goes.tags.filter((tag) => !keep.tags.some(({ id }) => id === tag.id));
  const sessions = goes.sessions.length >= 20 ? t("contact.merge.sessions.many") : t("contact.merge.sessions", { n: goes.sessions.length });
  return html`<div class="merge-moves"><h3>${t("contact.merge.moves")}</h3>
    <ul>
      ${goes.identities.length > 0 && html`<li>${t("contact.merge.identities", { n: goes.identities.length })} ${goes.identities.map((one) => html`<span key=${one.account + one.visitor} class="chip"><${ChannelIcon} channel=${one.channel} size=${13} />${one.account}</span>`)}</li>`}
      ${goes.sessions.length > 0 && html`<li>${sessions}</li>`}
      <li>${t("contact.merge.notes")}</li>
      ${more.length > 0 && html`<li>${t("contact.merge.tags")} ${more.map((tag) => html`<${TagChip} key=${tag.id} tag=${tag} />`)}</li>`}
    </ul>
    <p class="hint-text">${t("contact.merge.later")}</p></div>`;
}

function Find({ contact, duplicates, choose }) {
  const [text, put] = useState("");
  const [words, seek] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => seek(text.trim()), TYPED_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const found = useGet(words ? `/contacts?limit=10&q=${encodeURIComponent(words)}` : null);
  const rows = words ? (found.data?.items ?? []).map((one) => ({ contact: one, by: [] })) : duplicates;
  return html`<div class="merge-find">
    <${TextField} label=${t("contact.merge.find")} value=${text} onInput=${put} autofocus autocomplete="off" />
    ${found.loading && html`<${Waiting} />`}<${Problem} error=${found.error} retry=${found.reload} />
    ${words && found.data && !rows.length && html`<p class="dim" role="status">${t("contact.merge.nobody")}</p>`}
    ${!words && rows.length > 0 && html`<p class="dim">${t("contact.merge.same")}</p>`}
    <ul class="people-list">${rows.filter((row) => row.contact.id !== contact.id).map((row) => html`<li key=${row.contact.id}>
      <button type="button" onClick=${() => choose(row.contact.id)}><${Person} contact=${row.contact} />
        ${row.by.map((one) => html`<span key=${one} class="chip late">${t(`contact.merge.by.${one}`)}</span>`)}</button></li>`)}</ul>
  </div>`;
}

// `other`: whom it begins with, or "" to look for one. onDone(the id that stays) or onDone("").
export function MergeDialog({ contact, other: first = "", duplicates = [], onDone }) {
  const [other, choose] = useState(first);
  const [turned, turn] = useState(false);
  const key = useRef(newKey());
  const theirs = useGet(other ? `/contacts/${encodeURIComponent(other)}` : null);
  const fields = useGet("/contact-fields");
  const keep = turned ? theirs.data : contact;
  const goes = turned ? contact : theirs.data;
  const merging = useWork(async () => {
    await call("POST", `/contacts/${encodeURIComponent(keep.id)}/merge`, { from: goes.id }, { key: key.current });
    toast(t("contact.merge.done", { name: contactName(goes) }), {
      lasts: 12_000, action: { label: t("contact.undo"), run: () => takeBack(goes.id, goes.name) },
    });
    onDone(keep.id);
  });
  const ready = keep && goes;
  const footer = html`${other && html`<${Button} class="at-start" icon="rotate-ccw" onClick=${() => { turn(!turned); key.current = newKey(); }}>${t("contact.merge.turn")}<//>`}
    <${Button} onClick=${() => onDone("")}>${t("ui.cancel")}<//>
    ${other && html`<${Button} kind="primary" icon="git-merge" busy=${merging.busy} disabled=${!ready} onClick=${merging.run}>${t("contact.merge.do")}<//>`}`;
  return html`<${Dialog} wide title=${t("contact.merge.title")} onClose=${() => onDone("")} footer=${footer}>
    ${!other && html`<${Find} contact=${contact} duplicates=${duplicates} choose=${choose} />`}
    ${other && theirs.loading && html`<${Waiting} />`}<${Problem} error=${theirs.error} retry=${theirs.reload} />
    ${ready && html`<p>${t("contact.merge.text", { keep: contactName(keep), goes: contactName(goes) })}</p>
      <${Compare} keep=${keep} goes=${goes} fields=${fields.data?.items ?? []} /><${Moves} keep=${keep} goes=${goes} />`}
    ${merging.error && html`<${Problem} error=${merging.error} />`}
  <//>`;
}

export function Duplicates({ contact, found, merged }) {
  const [other, open] = useState("");
  if (!found.length) return null;
  return html`<section class="known twins" aria-label=${t("contact.twins", { n: found.length })}>
    <p class="strong"><${Icon} name="users" size=${15} /> ${t("contact.twins", { n: found.length })}</p>
    <ul class="people-list">${found.map((row) => html`<li key=${row.contact.id}><a href=${href(`/contacts/${row.contact.id}`)}><${Person} contact=${row.contact} /></a>
      <span class="twin-acts">${row.by.map((one) => html`<span key=${one} class="chip late">${t(`contact.merge.by.${one}`)}</span>`)}
        ${editable(contact) && html`<${Button} small icon="git-merge" onClick=${() => open(row.contact.id)}>${t("contact.merge.look")}<//>`}</span></li>`)}</ul>
    ${other && html`<${MergeDialog} contact=${contact} other=${other} onDone=${(id) => { open(""); if (id) merged(id); }} />`}
  </section>`;
}

export function Merged({ list, after }) {
  const undo = async (one) => {
    const name = contactName({ id: one.source, name: one.name });
    if (await confirm({ title: t("contact.merge.undo", { name }), text: t("contact.merge.undo.text"), action: t("contact.merge.undo.do") })) await takeBack(one.source, one.name, after);
  };
  return html`<ul class="merged-list">${list.items.map((one) => html`<li key=${one.source}>
    <span><span class="strong" dir="auto">${contactName({ id: one.source, name: one.name })}</span> <span class="dim"><${Time} at=${one.at} /></span></span>
    ${may("agent") && html`<${Button} small icon="undo-2" onClick=${() => undo(one)}>${t("contact.undo")}<//>`}</li>`)}</ul>`;
}
