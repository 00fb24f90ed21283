// What was said with a contact over all sessions and channels, to read.

import { html } from "../frame/html.js";
import { href } from "../frame/router.js";
import { t } from "../frame/words.js";
import { Button, ChannelIcon, Empty, Icon, Problem, Time, Waiting, usePages } from "../ui/index.js";

const SIDES = { in: "theirs", out: "ours" };

function File({ file }) {
  const name = file.name || t(`contacts.file.${file.kind}`);
  if (file.state !== "stored") return html`<span class="chip"><${Icon} name="file" size=${14} />${name}</span>`;
  return html`<a class="chip" href=${file.url} target="_blank" rel="noopener noreferrer"><${Icon} name="paperclip" size=${14} />${name}</a>`;
}

function Entry({ entry }) {
  if (entry.kind === "system") {
    return html`<li class="said-line dim">${entry.text || entry.what} · <${Time} at=${entry.at} /></li>`;
  }
  const side = entry.kind === "note" ? "note" : SIDES[entry.direction];
  const who = entry.sender.name || t(`contacts.sender.${entry.sender.kind}`);
  return html`<li class=${`said-entry ${side}`}>
    <p class="said-who"><span class="strong" dir="auto">${who}</span> ${entry.kind === "note" && html`<span class="chip">${t("contacts.note")}</span>`} <span class="dim"><${Time} at=${entry.at} /></span></p>
    ${entry.deleted ? html`<p class="dim">${t("contacts.deleted")}</p>` : html`<p class="note-text" dir="auto">${entry.text}</p>`}
    ${entry.attachments.length > 0 && html`<p class="said-files">${entry.attachments.map((file) => html`<${File} key=${file.id} file=${file} />`)}</p>`}
    ${!entry.deleted && !entry.text && !entry.attachments.length && html`<p class="dim">${t("contacts.other")}</p>`}
  </li>`;
}

// Entries in the order of time, in stretches of one session.
export function stretches(newestFirst) {
  const found = [];
  for (const one of [...newestFirst].reverse()) {
    if (found.at(-1)?.session !== one.session) found.push({ session: one.session, channel: one.channel, account: one.account, entries: [] });
    found.at(-1).entries.push(one.entry);
  }
  return found;
}

export function History({ contact }) {
  const pages = usePages(`/contacts/${encodeURIComponent(contact.id)}/messages`, { limit: 100 });
  if (pages.loading && !pages.items.length) return html`<${Waiting} />`;
  if (pages.error && !pages.items.length) return html`<${Problem} error=${pages.error} retry=${pages.reload} />`;
  if (!pages.items.length) return html`<${Empty} icon="message-square" title=${t("contacts.history.none")}>${t("contacts.history.none.more")}<//>`;
  return html`<div class="all-said">
    ${pages.next && html`<p class="more"><${Button} busy=${pages.loading} onClick=${pages.more}>${t("contacts.history.earlier")}<//></p>`}
    <${Problem} error=${pages.error} retry=${pages.more} />
    ${stretches(pages.items).map(
      ({ session, channel, account, entries }) => html`<section key=${entries[0].id}>
        ${session
          ? html`<h3><${ChannelIcon} channel=${channel} /> ${t(`frame.channel.${channel}`)} <span class="dim">${account}</span>
              <a href=${href(`/sessions/${session}`)}>${t("contacts.history.open")}</a></h3>`
          : html`<h3><${Icon} name="sticky-note" size=${16} /> ${t("contacts.history.about")}</h3>`}
        <ol>${entries.map((entry) => html`<${Entry} key=${entry.id} entry=${entry} />`)}</ol>
      </section>`,
    )}
  </div>`;
}
