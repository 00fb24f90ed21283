// The third pane of the inbox: who the visitor is, and all that is known of them.

import { html, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { go, href } from "../frame/router.js";
import { t } from "../frame/words.js";
import { contactName } from "../frame/who.js";
import { Avatar, ChannelIcon, Menu, Problem, Waiting, toast, useGet, useWork, inWords } from "../ui/index.js";
import { EraseDialog } from "./erase.js";
import { exportContact } from "./export.js";
import { Facts, NameFact, editable, localTime } from "./facts.js";
import { useContact } from "./load.js";
import { Duplicates, MergeDialog, Merged } from "./merge.js";
import { Notes } from "./notes.js";
import { NewScheduled, Scheduled } from "./scheduled.js";
import { Section } from "./section.js";
import { Channels, Origin, Sessions } from "./sessions.js";
import { Tags } from "./tags.js";

function Head({ source, acts, alone }) {
  const { contact } = source;
  const local = contact.zone && localTime(contact.zone);
  return html`<header class="contact-head">
    <${Avatar} name=${contactName(contact)} id=${contact.id} size="big" />
    <div class="contact-who">
      <${NameFact} source=${source} />
      <p class="dim">${contact.channels.map((channel) => html`<${ChannelIcon} key=${channel} channel=${channel} size=${14} label=${t(`frame.channel.${channel}`)} />`)}
        ${local && html`<span>${t("contact.local", { time: local })}</span>`}</p>
    </div>
    <${Menu} label=${t("contact.acts")} items=${[
      { label: t("contact.open"), icon: "external-link", hidden: alone, run: () => go(`/contacts/${contact.id}`) },
      ...acts,
    ]} />
  </header>`;
}

// Everything about the contact that `source` has read, as parts for a pane or a page. `session` is
// the row that is open beside it, or null.
export function useParts(source, session, alone = false) {
  const { contact } = source;
  const id = contact ? encodeURIComponent(contact.id) : "";
  const [open, put] = useState(""); // the dialog: merge, erase, later
  const twins = useGet(contact ? `/contacts/${id}/duplicates` : null, [contact?.email, contact?.phone, contact?.merged_into]);
  const merges = useGet(contact ? `/contacts/${id}/merges` : null);
  const exporting = useWork(() => exportContact(contact.id));
  if (!contact) return null;
  const again = async () => {
    await source.reload();
    await Promise.all([twins.reload(), merges.reload()]);
  };
  const merged = (kept) => (kept === contact.id ? again() : go(`/contacts/${kept}`));
  const acts = [
    { label: t("contact.merge.menu"), icon: "git-merge", hidden: !editable(contact), run: () => put("merge") },
    { label: t("contact.export"), icon: "download", run: async () => { if (!(await exporting.run())) toast(t("contact.export.failed"), { kind: "bad" }); } },
    { label: t("contact.erase"), icon: "trash", danger: true, hidden: !may("admin"), run: () => put("erase") },
  ];
  const close = () => put("");
  return {
    head: html`<${Head} key="head" source=${source} acts=${acts} alone=${alone} />
      ${contact.merged_into && html`<p class="problem">${t("contact.merged_into")} <a href=${href(`/contacts/${contact.merged_into}`)}>${t("contact.merged_into.open")}</a></p>`}
      <${Duplicates} contact=${contact} found=${twins.data?.items ?? []} merged=${merged} />`,
    tags: html`<${Section} key="tags" name="tags" title=${t("contact.tags")}><${Tags} source=${source} /><//>`,
    facts: html`<${Section} key="facts" name="facts" title=${t("contact.facts")}><${Facts} source=${source} /><${Origin} session=${session} /><//>`,
    notes: html`<${Section} key="notes" name="notes" title=${t("contact.notes")}><${Notes} key=${contact.id} contact=${contact} /><//>`,
    channels: html`<${Section} key="channels" name="channels" title=${t("contact.channels")} count=${contact.identities.length}><${Channels} contact=${contact} session=${session} /><//>`,
    later: html`<${Section} key="later" name="later" title=${t("contact.later")} actions=${editable(contact) && contact.identities.length > 0 && html`<${NewScheduled} open=${() => put("later")} />`}>
      <${Scheduled} contact=${contact} session=${session} dialog=${open === "later"} close=${close} /><//>`,
    sessions: html`<${Section} key="sessions" name="sessions" title=${session ? t("contact.sessions.before") : t("contact.sessions")} count=${contact.sessions.filter((one) => one.id !== session?.id).length}><${Sessions} contact=${contact} session=${session} /><//>`,
    merged: merges.data?.items.length > 0 && html`<${Section} key="merged" name="merged" title=${t("contact.merges")} count=${merges.data.items.length}><${Merged} list=${merges.data} after=${again} /><//>`,
    dialogs: html`${open === "merge" && html`<${MergeDialog} contact=${contact} duplicates=${twins.data?.items ?? []} onDone=${(kept) => { close(); if (kept) merged(kept); }} />`}
      ${open === "erase" && html`<${EraseDialog} contact=${contact} onDone=${(begun) => { close(); if (begun) go("/contacts"); }} />`}`,
  };
}

export function ContactPane({ session, contact: id }) {
  const source = useContact(id);
  const parts = useParts(source, session);
  if (source.error && !source.contact) {
    const gone = source.error.status === 404;
    return html`<div class="contact-pane">${gone ? html`<p class="empty">${t("contact.gone")}</p>` : html`<${Problem} error=${source.error} retry=${source.reload} />`}</div>`;
  }
  if (!parts) return html`<div class="contact-pane"><${Waiting} /></div>`;
  const { head, tags, facts, notes, channels, later, sessions, merged, dialogs } = parts;
  return html`<div class="contact-pane">
    ${head}${source.error && html`<p class="problem" role="alert">${inWords(source.error)}</p>`}
    ${tags}${facts}${notes}${later}${channels}${sessions}${merged}${dialogs}
  </div>`;
}
