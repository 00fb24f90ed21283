// The alerts that stand now, for whoever shows them.

import { say } from "../frame/dom.js";
import { words } from "../frame/en.js";
import { signal } from "../frame/html.js";
import { headline, kind } from "./phrases.js";

export const alertsShown = signal([]);

// Said to screen readers when it comes.
export function alertTold(alert) {
  say(words.alerts.said(kind(alert), headline(alert)));
}
