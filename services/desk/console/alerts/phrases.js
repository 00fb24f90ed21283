// How alerts are put in words. Pure.

import { has, t } from "../frame/words.js";

const NOBODY_REACTED = "nobody_reacted"; // why a rung alone tells an agent

export function channelName(channel) {
  return has(`frame.channel.${channel}`) ? t(`frame.channel.${channel}`) : (channel ?? "");
}

export function triggerName(trigger) {
  return has(`alerts.trigger.${trigger}`) ? t(`alerts.trigger.${trigger}`) : trigger;
}

// What happened, or that nothing did.
export function kind({ trigger, because }) {
  return because === NOBODY_REACTED ? t("alerts.nobody_reacted") : triggerName(trigger);
}

// Whom or what an alert is about.
export function headline(alert) {
  if (alert.summary) return t("alerts.sessions", { n: alert.count ?? 1 });
  return alert.contact_name || (alert.session ? t("alerts.someone") : alert.account || "");
}

// What the system's own notification says of it, as a push does: it stands on a lock screen, too.
export function notice(alert, lockScreen) {
  const { count = 1, summary } = alert;
  if (summary) return { title: t("alerts.notice.summary", { n: count }), body: "" };
  const key = `alerts.notice.${alert.trigger}`;
  const alone = alert.because === NOBODY_REACTED;
  const title = alone ? t("alerts.notice.nobody_reacted") : has(key) ? t(key) : "Relaydesk";
  const name = lockScreen === "generic" ? "" : alert.contact_name;
  const said = lockScreen === "excerpt" ? alert.excerpt : "";
  const many = count > 1 ? t("alerts.count", { n: count }) : "";
  return { title, body: [name, said || many].filter(Boolean).join(": ") };
}

// An alert leads to a place of this page, whatever it says.
export function ownPath(url) {
  return typeof url === "string" && url.startsWith("/#/") ? url : "/#/";
}
