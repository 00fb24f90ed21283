// How times, channels and people are put in words. Pure.

import { words } from "../frame/en.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOBODY_REACTED = "nobody_reacted"; // why a rung alone tells an agent

export function ago(ms) {
  if (!(ms >= MINUTE)) return words.ago.now;
  if (ms < HOUR) return words.ago.minutes(Math.floor(ms / MINUTE));
  if (ms < DAY) return words.ago.hours(Math.floor(ms / HOUR));
  return words.ago.days(Math.floor(ms / DAY));
}

export function channelName(channel) {
  return words.channels[channel] ?? channel ?? "";
}

// What happened, or that nothing did.
export function kind({ trigger, because }) {
  if (because === NOBODY_REACTED) return words.alerts.nobodyReacted;
  return words.triggers[trigger] ?? trigger;
}

// Whom or what an alert is about.
export function headline(alert) {
  if (alert.summary) return words.alerts.sessions(alert.count ?? 1);
  return alert.contact_name || (alert.session ? words.alerts.someone : alert.account || "");
}

// What the system's own notification says of it, as a push does: it stands on a lock screen, too.
export function notice(alert, lockScreen) {
  const { count = 1, summary } = alert;
  if (summary) return { title: words.notification.summary(count), body: "" };
  const { titles, nobodyReacted } = words.notification;
  const alone = alert.because === NOBODY_REACTED;
  const title = alone ? nobodyReacted : (titles[alert.trigger] ?? words.brand);
  const name = lockScreen === "generic" ? "" : alert.contact_name;
  const said = lockScreen === "excerpt" ? alert.excerpt : "";
  const many = count > 1 ? words.alerts.count(count) : "";
  return { title, body: [name, said || many].filter(Boolean).join(": ") };
}

export function clockTime(text) {
  const at = new Date(text);
  const today = new Date().toDateString() === at.toDateString();
  const time = { hour: "2-digit", minute: "2-digit" };
  return today
    ? at.toLocaleTimeString([], time)
    : at.toLocaleString([], { ...time, day: "numeric", month: "short" });
}
