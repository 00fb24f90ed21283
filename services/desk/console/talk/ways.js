// By which way a reply goes: below a comment or to its author alone (D12); by email or in the plugin
// to who has left the web chat (A20).

import { html } from "../frame/html.js";
import { clock, t } from "../frame/words.js";

export function Ways({ thread, ways, onChange, now }) {
  const { channel, capabilities: can } = thread.session.value;
  if (can?.carries.includes("private_reply")) {
    const left = can.can_reply_privately && !(can.private_reply_until && Date.parse(can.private_reply_until) <= now);
    const said = left
      ? t("talk.way.once") + (can.private_reply_until ? ` ${t("talk.way.until", { until: clock(can.private_reply_until) })}` : "")
      : t("talk.way.used");
    return html`<label class="talk-way"><span>${t("talk.way")}</span>
      <select value=${ways.way || "public"} onChange=${(event) => onChange({ ...ways, way: event.target.value })}>
        <option value="public">${t("talk.way.public")}</option>
        <option value="private" disabled=${!left}>${t("talk.way.private")}</option>
      </select></label>
      <small class="dim">${ways.way === "private" || !left ? said : ""}</small>`;
  }
  if (channel !== "web") return null;
  return html`<label class="talk-way"><span>${t("talk.offline")}</span>
    <select value=${ways.offline} onChange=${(event) => onChange({ ...ways, offline: event.target.value })}>
      <option value="">${t("talk.offline.default")}</option>
      <option value="email">${t("talk.offline.email")}</option>
      <option value="plugin">${t("talk.offline.plugin")}</option>
    </select></label>`;
}
