// One session in the list: who, where, what was said last, and what wants attention.

import { classes, html, signal } from "../frame/html.js";
import { me } from "../frame/me.js";
import { href } from "../frame/router.js";
import { clock, duration, fullTime, language, t } from "../frame/words.js";
import { contactName } from "../frame/who.js";
import { Avatar, ChannelIcon, Icon } from "../ui/index.js";
import { addressOf } from "./filters.js";
import { accountName } from "./start.js";

export const now = signal(Date.now()); // waiting times grow
setInterval(() => document.visibilityState === "visible" && (now.value = Date.now()), 30_000);

const LATE_S = 600; // after which a waiting time is shown as too long
const TAGS = 2;

export { contactName as nameOf };

// The row's time, short: the hour today, else the day.
function short(text) {
  const at = new Date(text);
  const today = new Date(now.value).toDateString() === at.toDateString();
  return at.toLocaleString(language.value, today ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" });
}

// Since when the customer waits for a person; null: they do not.
export function waitsSince(row) {
  if (row.list === "ended" || row.list === "bot_hosted") return null;
  if (row.waiting_since) return row.waiting_since;
  return row.last_message?.direction === "in" ? row.last_message.at : null;
}

export function Row({ row, filters, current, cursor, picked, gone, why, onPick, place }) {
  const link = href(`/sessions/${encodeURIComponent(row.id)}`, addressOf(filters));
  const name = contactName(row.contact);
  const at = row.last_message?.at ?? row.updated_at;
  return html`<li
    class=${classes("session-row", row.unread > 0 && "unread", current && "current", cursor && "cursor", gone && "gone", picked && "picked")}
    style=${{ transform: `translateY(${place.start}px)` }} data-session=${row.id}
    aria-setsize=${place.of} aria-posinset=${place.index + 1}
  >
    <label class="row-pick" title=${t("inbox.pick", { name })}>
      <input type="checkbox" checked=${picked} aria-label=${t("inbox.pick", { name })} onClick=${(event) => onPick(row.id, event.shiftKey)} tabindex=${cursor ? 0 : -1} />
      <${Avatar} name=${name} id=${row.contact.id} /><${ChannelIcon} channel=${row.channel} size=${12} />
    </label>
    <a class="row-link" href=${link} aria-current=${current ? "true" : undefined} tabindex=${cursor ? 0 : -1}>
      <span class="row-line">
        <bdi class="row-name">${name}</bdi>
        <time class="row-time" datetime=${at} title=${fullTime(at)}>${short(at)}</time>
      </span>
      <span class="row-line">
        <span class="row-words" dir="auto"><${LastWords} row=${row} /></span>
        ${row.unread > 0 && html`<b class="badge"><span class="apart">${t("inbox.unread", { n: row.unread })}</span><span aria-hidden="true">${row.unread > 99 ? "99+" : row.unread}</span></b>`}
      </span>
      <span class="row-line row-signs">${gone ? html`<${Gone} why=${why} />` : html`<${Signs} row=${row} one=${filters.list.length === 1} />`}</span>
    </a>
  </li>`;
}

function LastWords({ row }) {
  const last = row.last_message;
  if (!last) return t("inbox.nowords");
  const by = last.sender === "visitor" ? "" : t(`inbox.said.${last.sender}`);
  const words = last.deleted ? t("inbox.unsent") : last.excerpt || t("inbox.attachment");
  return html`${by && html`<span class="row-by">${by} </span>`}<bdi>${words}</bdi>`;
}

function Signs({ row, one }) {
  const waits = waitsSince(row);
  const waited = waits ? Math.max(0, (now.value - Date.parse(waits)) / 1000) : 0;
  return html`
    ${row.snoozed_until && html`<span class="sign" title=${fullTime(row.snoozed_until)}><${Icon} name="moon" size=${13} />${t("inbox.until", { at: clock(row.snoozed_until) })}</span>`}
    ${waited >= 60 && html`<span class=${classes("sign", waited >= LATE_S && "late")} title=${t("inbox.waits.hint", { at: fullTime(waits) })}><${Icon} name="hourglass" size=${13} />${duration(60 * Math.floor(waited / 60))}</span>`}
    ${!one && row.list !== "assigned" && html`<span class=${classes("sign", row.list === "unassigned" && "new")}>${t(`inbox.list.${row.list}`)}</span>`}
    <span class=${classes("sign bot-sign", row.bot && "on")} title=${t(row.bot ? "inbox.bot.on" : "inbox.bot.off")}><${Icon} name="bot" size=${15} label=${t(row.bot ? "inbox.bot.on" : "inbox.bot.off")} /></span>
    <${Assignees} row=${row} />
    ${row.tags.slice(0, TAGS).map((tag) => html`<span class="sign tag" key=${tag}><${Icon} name="tag" size=${11} /><bdi>${tag}</bdi></span>`)}
    ${row.tags.length > TAGS && html`<span class="sign" title=${row.tags.slice(TAGS).join(", ")}>+${row.tags.length - TAGS}</span>`}
    <span class="row-account">${accountName(row.account)}</span>
  `;
}

function Assignees({ row }) {
  if (!row.assignees.length) return null;
  const names = row.assignees.map(({ id, name }) => (id === me.value.agent.id ? t("inbox.you") : name));
  const [first] = row.assignees;
  return html`<span class="sign assignees" title=${names.join(", ")}>
    <${Avatar} name=${first.name} id=${first.id} size="tiny" /><bdi>${names[0]}</bdi>${names.length > 1 && html`<span>+${names.length - 1}</span>`}
  </span>`;
}

// What became of a row that is no longer among those that are shown.
function Gone({ why }) {
  return html`<span class="sign late"><${Icon} name="arrow-right" size=${13} />${reason(why)}</span>`;
}

export function reason(why) {
  if (!why) return t("inbox.gone");
  if (why.list === "ended") return t("inbox.gone.ended");
  if (why.snoozed_until) return t("inbox.gone.snoozed");
  if (why.owner?.id === me.value.agent.id) return t("inbox.gone.mine");
  if (why.owner) return t("inbox.gone.taken", { name: why.owner.name });
  return t("inbox.gone.moved", { list: t(`inbox.list.${why.list}`) });
}
