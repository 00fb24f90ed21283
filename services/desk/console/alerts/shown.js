// The alerts that stand now, for whoever shows them; and a word about each that comes.

import { importFinished } from "../contacts/finished.js";
import { say } from "../frame/dom.js";
import { signal } from "../frame/html.js";
import { go, place } from "../frame/router.js";
import { t } from "../frame/words.js";
import { toast } from "../ui/toast.js";
import { headline, kind, ownPath } from "./phrases.js";

export const alertsShown = signal([]);
let last = () => {};

// Said to screen readers, and shown for a moment to who looks at something else: the newest alone.
export function alertTold(alert) {
  const text = [kind(alert), headline(alert)].filter(Boolean).join(": ");
  say(t("alerts.said", { what: text }));
  last();
  if (document.visibilityState !== "visible" || place.value.path === "/alerts") return;
  if (alert.trigger === "import.finished") {
    importFinished(alert); // with its counts
    return;
  }
  const open = { label: t("alerts.open"), run: () => go(ownPath(alert.url).slice(2)) };
  last = toast(text, { action: open });
}
