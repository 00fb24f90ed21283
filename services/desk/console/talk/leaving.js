// What this browser keeps of what an agent has written (drafts.js, outbox.js), when that agent logs
// out: the next one at this computer finds none of it. A login that lapsed is no logging out: then it
// stays, and goes on with the next login.

import { me } from "../frame/me.js";
import { t } from "../frame/words.js";
import { confirm } from "../ui/index.js";
import { uploads } from "./drafts.js";
import { forgetWaiting, waiting } from "./outbox.js";

function kept(kind) {
  const begins = `relaydesk:${kind}:${me.value.workspace}:${me.value.agent.id}:`;
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(begins));
  } catch {
    return []; // the browser keeps nothing
  }
}

// Asks where something would be lost; answers whether to log out.
export async function mayLeave() {
  const messages = Math.max(waiting.value.length, kept("out").length); // other pages may hold some
  const drafts = kept("draft").length;
  if (!messages && !drafts) return true;
  const said = [messages && t("frame.leave.waiting", { n: messages }), drafts && t("frame.leave.drafts", { n: drafts })];
  return confirm({
    title: t("frame.leave.title"), text: `${said.filter(Boolean).join(" ")} ${t("frame.leave.text")}`,
    action: t("frame.logout"), cancel: t("frame.leave.stay"), danger: true,
  });
}

export function forgetWritten() {
  forgetWaiting();
  uploads.clear();
  for (const key of [...kept("draft"), ...kept("out")]) localStorage.removeItem(key);
}
