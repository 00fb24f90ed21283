// How times, channels and people are put in words. Pure.

import { words } from "./en.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export function ago(ms) {
  if (!(ms >= MINUTE)) return words.ago.now;
  if (ms < HOUR) return words.ago.minutes(Math.floor(ms / MINUTE));
  if (ms < DAY) return words.ago.hours(Math.floor(ms / HOUR));
  return words.ago.days(Math.floor(ms / DAY));
}

export function channelName(channel) {
  return words.channels[channel] ?? channel ?? "";
}

// Whom or what an alert is about.
export function headline(alert) {
  if (alert.summary) return words.alerts.sessions(alert.count ?? 1);
  return alert.contact_name || (alert.session ? words.alerts.someone : alert.account || "");
}

// What the system's own notification may say of it, which stands on a lock screen, too.
export function notice(alert, lockScreen) {
  const what = words.triggers[alert.trigger] ?? words.brand;
  const counts = alert.summary
    ? words.alerts.sessions(alert.count ?? 1)
    : (alert.count ?? 1) > 1
      ? words.alerts.count(alert.count)
      : "";
  if (lockScreen === "generic" || alert.summary) {
    return { title: what, body: counts || words.notification.generic };
  }
  const channel = channelName(alert.channel);
  const title = [headline(alert), channel].filter(Boolean).join(" · ");
  const lines = [[what, counts].filter(Boolean).join(" · ")];
  if (lockScreen === "excerpt" && alert.excerpt) lines.push(alert.excerpt);
  return { title: title || what, body: lines.join("\n") };
}

export function clockTime(text) {
  const at = new Date(text);
  const today = new Date().toDateString() === at.toDateString();
  const time = { hour: "2-digit", minute: "2-digit" };
  return today
    ? at.toLocaleTimeString([], time)
    : at.toLocaleString([], { ...time, day: "numeric", month: "short" });
}
