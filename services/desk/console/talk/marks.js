// How far a message of ours has come, and what can be done about one that did not arrive.

import { call, newKey } from "../frame/api.js";
import { html } from "../frame/html.js";
import { may } from "../frame/me.js";
import { clock, fullTime, t } from "../frame/words.js";
import { Button, Icon, inWords, useWork } from "../ui/index.js";

const SIGNS = { sending: "clock", waiting: "wifi-off", queued: "clock", sent: "check", delivered: "check-check", read: "check-check", failed: "circle-alert", unknown: "circle-question-mark" };

export function Mark({ status, at }) {
  if (!status) return null;
  const said = t(`talk.status.${status}`);
  const when = at ? ` · ${fullTime(at)}` : "";
  return html`<span class="talk-mark" data-status=${status} title=${said + when}>
    <${Icon} name=${SIGNS[status] ?? "circle"} size=${14} /><span class=${["failed", "unknown", "waiting", "sending"].includes(status) ? "" : "apart"}>${said}</span>
  </span>`;
}

export function When({ at }) {
  return html`<time datetime=${at} title=${fullTime(at)}>${clock(at)}</time>`;
}

// Why, what to do, and the button where a repeat is safe.
export function Failure({ thread, entry }) {
  const { failure } = entry;
  const retry = useWork(async () => {
    const path = `/sessions/${encodeURIComponent(thread.id)}/messages/${encodeURIComponent(entry.id)}/retry`;
    thread.put(await call("POST", path, {}, { key: newKey() }));
    thread.put({ ...entry, failure: { ...failure, can_retry: false } });
  });
  if (!failure) return null;
  const known = `talk.failure.${failure.code}`;
  return html`<div class="talk-failure" data-status=${entry.status}>
    <${Icon} name="circle-alert" size=${16} />
    <div>
      <p class="strong">${told(known, failure.text)}</p>
      <p>${told(`${known}.advice`, failure.advice)}${failure.provider_code && html` <code>${failure.provider_code}</code>`}</p>
      ${failure.can_retry && may("agent") && html`<${Button} small icon="refresh-cw" busy=${retry.busy} onClick=${retry.run}>${t("talk.retry")}<//>`}
      ${retry.error && html`<p role="alert">${inWords(retry.error)}</p>`}
    </div>
  </div>`;
}

function told(key, text) {
  const said = t(key);
  return said === key ? text : said;
}
