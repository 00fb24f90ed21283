// Where a contact can be met, and what they talked about before.

import { html } from "../frame/html.js";
import { href } from "../frame/router.js";
import { has, t } from "../frame/words.js";
import { contactName } from "../frame/who.js";
import { ChannelIcon, Time } from "../ui/index.js";

export function Channels({ contact, session }) {
  if (!contact.identities.length) return html`<p class="dim">${t("contact.channels.none")}</p>`;
  return html`<ul class="identities">
    ${contact.identities.map(
      (one) => html`<li key=${`${one.account} ${one.visitor}`} aria-current=${session?.account === one.account ? "true" : undefined}>
        <${ChannelIcon} channel=${one.channel} />
        <div>
          <p><span class="strong" dir="auto">${one.name || one.username || contactName(contact)}</span> ${one.username && one.name && html`<span class="dim" dir="auto">@${one.username}</span>`}</p>
          <p class="dim">${t(`frame.channel.${one.channel}`)} · ${one.account} · ${t("contact.since")} <${Time} at=${one.first_seen_at} /></p>
        </div>
      </li>`,
    )}
  </ul>`;
}

// The page, ad or code by which the visitor of the open session came.
export function Origin({ session }) {
  const from = session?.referral;
  if (!from || !(from.url || from.headline || from.ref || from.source)) return null;
  const safe = /^https?:\/\//.test(from.url ?? "");
  return html`<dl class="contact-facts"><div class="fact"><dt>${t("contact.origin")}</dt>
    <dd><span class="fact-value" dir="auto">${safe ? html`<a href=${from.url} target="_blank" rel="noopener noreferrer">${from.headline || from.url}</a>` : from.headline || from.ref || from.source}</span></dd></div></dl>`;
}

export function endWord(reason) {
  if (!reason) return "";
  return has(`contact.end.${reason}`) ? t(`contact.end.${reason}`) : reason;
}

export function Sessions({ contact, session }) {
  const rows = contact.sessions.filter(({ id }) => id !== session?.id);
  if (!rows.length) return html`<p class="dim">${t("contact.sessions.none")}</p>`;
  return html`<ul class="past">
    ${rows.map(
      (one) => html`<li key=${one.id}><a href=${href(`/sessions/${one.id}`)}>
        <${ChannelIcon} channel=${one.channel} />
        <span><span><${Time} at=${one.created_at} /></span>
          <span class="dim">${one.ended_at ? html`${t("contact.ended")} <${Time} at=${one.ended_at} />${one.end_reason ? ` · ${endWord(one.end_reason)}` : ""}` : t(`contact.list.${one.list}`)}</span></span>
      </a></li>`,
    )}
  </ul>`;
}
