// What a reply would do, and what may be sent now and until when (A04, D08, D12): words above the
// composer, and whether the composer can send.

import { html, useEffect, useState } from "../frame/html.js";
import { may, me } from "../frame/me.js";
import { clock, number, t } from "../frame/words.js";
import { Button, Icon } from "../ui/index.js";
import { restore } from "./actions.js";

const SOON_MS = 24 * 3_600_000;
const TICK_MS = 20_000;

export function useNow(on) {
  const [now, put] = useState(Date.now());
  useEffect(() => {
    if (!on) return undefined;
    const timer = setInterval(() => put(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, [on]);
  return now;
}

// What may go out at *now* (ms): {open, until, closed, person, templates}. The API's answer grows old:
// a window that closes meanwhile is closed.
export function standing(can, now) {
  if (!can) return { open: false, until: null, person: false, templates: [] };
  const until = can.can_free_text_until ? Date.parse(can.can_free_text_until) : null;
  const free = can.can_free_text && (until === null || until > now) && can.sends_left !== 0;
  const later = can.human_agent_until ? Date.parse(can.human_agent_until) : null;
  const person = !free && can.can_human_agent && (later === null || later > now);
  return { open: free || person, until: free ? until : later, person, templates: can.allowed_templates };
}

// "23 hr 54 min"; at least a minute.
function hoursAndMinutes(ms) {
  const minutes = Math.max(1, Math.floor(ms / 60_000));
  const parts = [[Math.floor(minutes / 60), "hour"], [minutes % 60, "minute"]].filter(([n]) => n > 0);
  return parts.map(([n, unit]) => number(n, { style: "unit", unit, unitDisplay: "short" })).join(" ");
}

// A sentence about the window, and whether it is a warning.
export function windowWords(can, now) {
  const { open, until, person } = standing(can, now);
  if (!can) return { text: t("talk.window.unknown"), bad: true };
  if (person) return { text: t("talk.window.person", { until: until ? clock(until) : "" }), late: true };
  if (!open) {
    const reason = can.reason || "window_closed";
    const at = can.can_free_text_until;
    return { text: at && reason === "window_closed" ? t("talk.window.closed.at", { at: clock(at) }) : t(`talk.window.${reason}`), bad: true };
  }
  if (can.reason === "standby") return { text: t("talk.window.standby"), late: true };
  const left = can.sends_left !== null ? ` ${t("talk.window.left", { n: can.sends_left })}` : "";
  if (until === null) return left ? { text: left.trim() } : null;
  const ms = until - now;
  if (ms > SOON_MS) return { text: t("talk.window.until", { until: clock(until) }) + left };
  return { text: t("talk.window.open", { left: hoursAndMinutes(ms) }) + left, late: ms < 3_600_000 };
}

// What a reply does to who has the session.
function takesOver({ list, assignees, owner }) {
  if (list === "bot_hosted") return t("talk.takes.bot");
  if (list === "unassigned") return t("talk.takes.new");
  const mine = assignees.some(({ id }) => id === me.value.agent.id);
  return list === "assigned" && !mine ? t("talk.takes.joins", { name: owner?.name ?? "" }) : "";
}

export function Notices({ thread, mode, now, onTemplates }) {
  const session = thread.session.value;
  if (session.list === "ended") return html`<${Ended} thread=${thread} session=${session} />`;
  if (mode === "note") return null;
  const can = session.capabilities;
  const said = windowWords(can, now);
  const taken = takesOver(session);
  const { open, templates } = standing(can, now);
  if (!said && !taken) return null;
  return html`<div class="talk-notices">
    ${taken && html`<p class="talk-notice"><${Icon} name=${session.list === "bot_hosted" ? "bot" : "info"} size=${15} /><span>${taken}</span></p>`}
    ${said && html`<p class="talk-notice" data-kind=${said.bad ? "bad" : said.late ? "late" : ""}>
      <${Icon} name=${said.bad ? "lock" : "hourglass"} size=${15} />
      <span>${said.text} ${!open && html`<span>${t(templates.length ? "talk.window.can.template" : "talk.window.can.wait")}</span>`}</span>
      ${!open && templates.length > 0 && html`<${Button} small icon="file-text" onClick=${onTemplates}>${t("talk.template")}<//>`}
    </p>`}
  </div>`;
}

function Ended({ thread, session }) {
  const undo = session.end_reason === "terminated" && may("agent");
  return html`<div class="talk-notices"><p class="talk-notice">
    <${Icon} name="circle-check" size=${15} />
    <span>${t(undo ? "talk.ended.auto" : "talk.ended")} ${t("talk.ended.next")}</span>
    ${undo && html`<${Button} small icon="rotate-ccw" onClick=${() => restore(thread)}>${t("talk.restore")}<//>`}
  </p></div>`;
}
