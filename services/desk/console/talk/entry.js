// One entry of the timeline: a message, a note or a system line.

import { classes, html } from "../frame/html.js";
import { may, me } from "../frame/me.js";
import { fullTime, t } from "../frame/words.js";
import { contactName } from "../frame/who.js";
import { Avatar, Icon, IconButton } from "../ui/index.js";
import { lineIcon, lineOf } from "./lines.js";
import { Failure, Mark, When } from "./marks.js";
import { Note } from "./notes.js";
import { Parts, inShort } from "./parts.js";
import { Outside, safeUrl } from "./links.js";

// Who wrote it, in words; an agent without an id answered in the provider's own inbox.
export function nameOf({ kind, id, name }, contact) {
  if (kind === "visitor") return name || contactName(contact);
  if (kind === "agent") return id === me.value.agent.id ? t("talk.you") : name || t("talk.outside");
  return name || t(`talk.sender.${kind}`);
}

// The contact has one face; in a group others write, too.
function faceOf({ kind, id, name }, contact) {
  return kind === "visitor" && (!name || name === contact?.name) ? contact?.id : id;
}

function sideOf({ direction, sender }) {
  if (direction === "in") return "theirs";
  return sender.kind === "agent" ? "ours" : "machine";
}

function Quote({ entry, thread }) {
  if (!entry.reply_to) return null;
  const quoted = thread.entries.value.find(({ id }) => id === entry.reply_to);
  if (!quoted) return html`<p class="talk-quote dim">${t("talk.quote.gone")}</p>`;
  const jump = () => document.getElementById(quoted.id)?.scrollIntoView({ block: "center" });
  return html`<button type="button" class="talk-quote" onClick=${jump}>
    <strong>${nameOf(quoted.sender, thread.session.value?.contact)}</strong>
    <span dir="auto">${inShort(quoted)}</span>
  </button>`;
}

function Chips({ entry, thread }) {
  const outside = entry.direction === "out" && entry.sender.kind === "agent" && !entry.sender.id;
  const { thread: place } = entry;
  const link = safeUrl(place?.permalink ?? "");
  const chips = [
    outside && t("talk.chip.outside"),
    entry.origin.startsWith("scheduled:") && t("talk.chip.scheduled"),
    entry.origin.startsWith("broadcast:") && t("talk.chip.broadcast"),
    entry.retry_of && t("talk.chip.retry"),
    entry.way && t(`talk.chip.${entry.way}`),
    entry.hidden && t("talk.chip.hidden"),
    entry.emailed_at && t("talk.chip.emailed"),
    place && entry.direction === "in" && t("talk.chip.comment"),
  ].filter(Boolean);
  const referral = entry.kind === "message" && entry.referral;
  return html`${chips.map((said) => html`<span class="chip" key=${said}>${said}</span>`)}
    ${entry.not_emailed && html`<span class="chip bad">${t("talk.chip.not_emailed", { why: entry.not_emailed })}</span>`}
    ${referral && html`<span class="chip">${t("talk.chip.referral", { what: referral.headline || referral.ref || referral.source })}</span>`}
    ${link && html`<${Outside} href=${link} class="chip">${t("talk.chip.permalink")}<//>`}`;
}

function Reactions({ entry }) {
  const counts = new Map();
  for (const { emoji } of entry.reactions) counts.set(emoji, (counts.get(emoji) ?? 0) + 1);
  if (!counts.size) return null;
  return html`<ul class="talk-reactions" aria-label=${t("talk.reactions")}>
    ${[...counts].map(([emoji, n]) => html`<li key=${emoji}>${emoji}${n > 1 && html` <small>${n}</small>`}</li>`)}
  </ul>`;
}

function Message({ entry, thread, first, onLook, onReply }) {
  const side = sideOf(entry);
  const contact = thread.session.value?.contact;
  const name = nameOf(entry.sender, contact);
  const can = may("agent") && !entry.deleted && thread.session.value?.capabilities?.carries.includes("quote");
  return html`<article class=${classes("talk-message", side, first && "first")} aria-label=${`${name}, ${fullTime(entry.at)}`}>
    ${side === "theirs" && html`<span class="talk-face">${first && html`<${Avatar} name=${name} id=${faceOf(entry.sender, contact)} size="small" />`}</span>`}
    <div class="talk-column">
      ${first && html`<p class="talk-name"><bdi>${name}</bdi>${entry.sender.kind !== "visitor" && entry.sender.kind !== "agent" && html` <span class="chip"><${Icon} name=${entry.sender.kind === "bot" ? "bot" : "zap"} size=${12} />${t(`talk.sender.${entry.sender.kind}`)}</span>`}</p>`}
      <div class="talk-line">
        <div class=${classes("talk-bubble", entry.deleted && "gone")}>
          <${Quote} entry=${entry} thread=${thread} />
          ${entry.deleted ? html`<p class="talk-text">${t("talk.deleted")}</p>` : html`<${Parts} entry=${entry} onLook=${onLook} />`}
        </div>
        ${can && html`<${IconButton} class="talk-reply" icon="reply" size=${16} label=${t("talk.reply")} onClick=${() => onReply(entry)} />`}
      </div>
      <${Reactions} entry=${entry} />
      <p class="talk-foot"><${When} at=${entry.at} />${entry.edited && html`<${Edited} entry=${entry} />`}
        <${Chips} entry=${entry} thread=${thread} /><${Mark} status=${entry.status} at=${entry.status_at} /></p>
      <${Failure} entry=${entry} thread=${thread} />
    </div>
  </article>`;
}

// What it said before, oldest first; an edit may have changed no text.
function Edited({ entry }) {
  if (!entry.before?.length) return html`<span>${t("talk.edited")}</span>`;
  return html`<details class="talk-before"><summary>${t("talk.edited")}</summary>
    ${entry.before.map((text, place) => html`<p key=${place} class="talk-text" dir="auto"><s>${text}</s></p>`)}</details>`;
}

function Line({ entry }) {
  return html`<p class="talk-event"><${Icon} name=${lineIcon(entry)} size=${14} /><span dir="auto">${lineOf(entry)}</span> <${When} at=${entry.at} /></p>`;
}

export function Entry(given) {
  const { entry } = given;
  if (entry.kind === "system") return html`<${Line} entry=${entry} />`;
  if (entry.kind === "note") return html`<${Note} ...${given} />`;
  return html`<${Message} ...${given} />`;
}
