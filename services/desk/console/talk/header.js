// The head of the pane: whose conversation it is, who has it, and what can be done with it.

import { classes, html, useState } from "../frame/html.js";
import { useKeys } from "../frame/keys.js";
import { may, me } from "../frame/me.js";
import { go, href } from "../frame/router.js";
import { clock, t } from "../frame/words.js";
import { contactName } from "../frame/who.js";
import { Avatar, Button, ChannelIcon, Icon, IconButton, Menu, toast } from "../ui/index.js";
import * as acts from "./actions.js";
import { AssignDialog } from "./assign.js";
import { SnoozeDialog } from "./snooze.js";
import { TagDialog } from "./tags.js";

export function Header({ thread, account, aside }) {
  const session = thread.session.value;
  const [open, put] = useState(""); // which dialog
  const can = may("agent");
  const live = can && session.list !== "ended";
  const menu = menuOf(thread, session, can, put);
  keysOf(thread, session, live, put);
  const close = () => put("");
  const name = contactName(session.contact);
  return html`<header class="talk-head">
    <${Avatar} name=${name} id=${session.contact.id} />
    <div class="talk-who">
      <h2 tabindex="-1"><bdi>${name}</bdi></h2>
      <p class="talk-where"><${ChannelIcon} channel=${session.channel} /> <span>${t(`frame.channel.${session.channel}`)}</span>
        ${account && html`<span class="dim"><bdi>${account.name || account.slug}</bdi></span>`}
        <span class=${classes("chip", session.list === "unassigned" && "late")}>${t(`talk.list.${session.list}`)}</span>
        ${session.snoozed_until && html`<span class="chip late"><${Icon} name="clock" size=${12} />${t("talk.snoozed.chip", { until: clock(session.snoozed_until) })}</span>`}
        ${session.survey?.score != null && html`<span class="chip"><${Icon} name="star" size=${12} />${t("talk.survey", { score: session.survey.score })}</span>`}
        ${session.survey && session.survey.score == null && html`<span class="chip">${t("talk.survey.asked")}</span>`}
        ${session.tags.map((one) => html`<span class="chip" key=${one}><${Icon} name="tag" size=${11} /><bdi>${one}</bdi></span>`)}
      </p>
    </div>
    <div class="talk-acts">
      <${Assignees} session=${session} live=${live} onOpen=${() => put("assign")} />
      ${live && !session.assignees.some(({ id }) => id === me.value.agent.id) && session.list !== "assigned" && html`<${Button} small kind="primary" icon="hand" onClick=${() => acts.claim(thread)}>${t("talk.claim")}<//>`}
      ${session.list !== "ended" && html`<${BotButton} thread=${thread} session=${session} live=${live} />`}
      ${live && html`<${Button} small icon="circle-check" onClick=${() => acts.end(thread)}>${t("talk.end")}<//>`}
      <${Menu} label=${t("talk.menu")} items=${menu} />
      ${aside}
    </div>
    ${open === "assign" && html`<${AssignDialog} thread=${thread} onClose=${close} />`}
    ${open === "snooze" && html`<${SnoozeDialog} thread=${thread} onClose=${close} />`}
    ${open === "tags" && html`<${TagDialog} thread=${thread} onClose=${close} />`}
  </header>`;
}

// The robot: green while the bot answers, grey else (B11, B12).
function BotButton({ thread, session, live }) {
  const said = t(session.bot ? "talk.bot.on" : "talk.bot.off");
  if (!live) return session.bot && html`<span class="chip good"><${Icon} name="bot" size=${14} />${said}</span>`;
  return html`<${IconButton} icon="bot" size=${20} class=${classes("talk-bot", session.bot && "on")} label=${said} pressed=${session.bot}
    onClick=${() => acts.setBot(thread, !session.bot)} />`;
}

// The owner first (B15); a press opens the list.
function Assignees({ session, live, onOpen }) {
  const names = session.assignees.map(({ name, id, owner }) => html`<span class="talk-seat" key=${id} title=${t(owner ? "talk.owner" : "talk.assignee", { name })}>
    <${Avatar} name=${name} id=${id} size="small" /><bdi>${name}</bdi>${owner && html`<${Icon} name="star" size=${12} label=${t("talk.owner.is")} />`}</span>`);
  const shown = names.length ? names : html`<span class="dim">${t("talk.nobody")}</span>`;
  if (!live) return html`<div class="talk-seats">${shown}</div>`;
  return html`<button type="button" class="talk-seats" onClick=${onOpen} aria-haspopup="dialog">
    <span class="apart">${t("talk.assignees")}: </span>${shown}<${Icon} name="chevron-down" size=${14} /></button>`;
}

function menuOf(thread, session, can, put) {
  const ended = session.list === "ended";
  const copy = async () => {
    await navigator.clipboard?.writeText(new URL(href(`/sessions/${thread.id}`), location.origin).href);
    toast(t("ui.copied"));
  };
  return [
    { label: t("talk.assign"), icon: "user-plus", run: () => put("assign"), hidden: !can || ended },
    { label: t("talk.handoff"), icon: "hand", run: () => acts.handOff(thread), hidden: !can || ended || !session.bot },
    { label: t("talk.tag"), icon: "tag", run: () => put("tags"), hidden: !can },
    { label: t("talk.snooze"), icon: "clock", run: () => put("snooze"), hidden: !can || ended },
    { label: t("talk.wake"), icon: "bell", run: () => acts.wake(thread), hidden: !can || !session.snoozed_until },
    { label: t("talk.restore"), icon: "rotate-ccw", run: () => acts.restore(thread), hidden: !can || !ended || session.end_reason !== "terminated" },
    { label: t("talk.why"), icon: "circle-question-mark", run: () => go(`/sessions/${encodeURIComponent(thread.id)}/why`) },
    { label: t("talk.copy"), icon: "link", run: copy },
  ];
}

function keysOf(thread, session, live, put) {
  const row = (keys, label, run) => ({ keys, label: `talk.key.${label}`, group: "talk.keys", run });
  const rows = live
    ? [
        row("a", "assign", () => put("assign")),
        row("c", "claim", () => acts.claim(thread)),
        row("b", "bot", () => acts.setBot(thread, !thread.session.value.bot)),
        row("t", "tag", () => put("tags")),
        row("u", "snooze", () => put("snooze")),
        row("e", "end", () => acts.end(thread)),
      ]
    : [];
  useKeys(rows, [thread, live]);
}
