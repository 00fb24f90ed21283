// What is done to a session from its pane. Each answers the session as it stands then.

import { Refused, call, newKey } from "../frame/api.js";
import { clock, t } from "../frame/words.js";
import { contactName } from "../frame/who.js";
import { confirm, inWords, toast } from "../ui/index.js";

function path(thread, more) {
  return `/sessions/${encodeURIComponent(thread.id)}${more}`;
}

// Changes it, and shows why not where it was refused. Answers whether it was done.
export async function act(thread, method, more, body) {
  try {
    thread.know(await call(method, path(thread, more), body, { key: newKey() }));
    return true;
  } catch (error) {
    toast(inWords(error), { kind: "bad" });
    thread.read();
    return false;
  }
}

export const claim = (thread) => act(thread, "POST", "/claim", {});
export const handOff = (thread) => act(thread, "POST", "/handoff", {});
export const wake = (thread) => act(thread, "DELETE", "/snooze");
export const restore = (thread) => act(thread, "POST", "/restore", {});
export const setBot = (thread, on) => act(thread, "PUT", "/bot", { on });
export const assign = (thread, assignees) => act(thread, "PUT", "/assignees", { assignees });
export const exclude = (thread, agents) => act(thread, "POST", "/remove", { agents });
export const tag = (thread, add, take) => act(thread, "PUT", "/tags", { add, take });

export async function snooze(thread, until) {
  if (!(await act(thread, "POST", "/snooze", { until: until.toISOString() }))) return;
  toast(t("talk.snoozed", { until: clock(until) }), { action: { label: t("talk.undo"), run: () => wake(thread) } });
}

// Ends it. Where the workspace wants that confirmed, the first answer is a token and what would end
// (A21); a token that has lapsed meanwhile is asked for, and shown, again.
export async function end(thread) {
  const key = newKey();
  try {
    thread.know(await call("POST", path(thread, "/end"), {}, { key }));
    return;
  } catch (error) {
    if (error.problem?.code === "confirmation_required") return confirmed(thread, error);
    toast(error instanceof Refused || error instanceof TypeError ? inWords(error) : t("ui.unreachable"), { kind: "bad" });
  }
}

async function confirmed(thread, refusal) {
  let asked = refusal;
  for (;;) {
    const { facts } = asked.problem;
    const sure = await confirm({
      title: t("talk.end.sure"), text: summary(thread, facts), action: t("talk.end"), danger: true,
    });
    if (!sure) return;
    try {
      thread.know(await call("POST", path(thread, "/end"), { confirm: facts.token }, { key: newKey() }));
      return;
    } catch (error) {
      if (error.problem?.code !== "confirmation_required") return void toast(inWords(error), { kind: "bad" });
      asked = error;
    }
  }
}

function summary(thread, facts) {
  const { contact, owner, inbound, channel } = thread.session.value;
  const said = t("talk.end.summary", {
    name: contactName(contact), channel: t(`frame.channel.${channel}`),
    owner: owner?.name || t("talk.nobody"), n: inbound ?? 0,
  });
  return `${said} ${t("talk.end.until", { at: clock(facts.expires_at) })}`;
}
