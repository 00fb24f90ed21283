// Put aside until a time; what the visitor writes takes it back at once.

import { html, useState } from "../frame/html.js";
import { clock, t } from "../frame/words.js";
import { Button, Dialog, TextField } from "../ui/index.js";
import { snooze } from "./actions.js";

// [word, when] of what is mostly wanted.
function offers(now = new Date()) {
  const at = (days, hour) => new Date(now.getFullYear(), now.getMonth(), now.getDate() + days, hour);
  const monday = ((8 - now.getDay()) % 7) || 7;
  return [
    ["hour", new Date(now.getTime() + 3_600_000)],
    ["later", new Date(now.getTime() + 3 * 3_600_000)],
    ["tomorrow", at(1, 9)],
    ["monday", at(monday, 9)],
  ];
}

export function SnoozeDialog({ thread, onClose }) {
  const [own, put] = useState("");
  const choose = async (until) => {
    onClose();
    await snooze(thread, until);
  };
  const wanted = own ? new Date(own) : null;
  const bad = wanted && !(wanted > new Date()) ? t("talk.snooze.past") : "";
  return html`<${Dialog} title=${t("talk.snooze.title")} onClose=${onClose}>
    <p class="hint-text">${t("talk.snooze.hint")}</p>
    <ul class="talk-offers">${offers().map(([word, when], at) => html`<li key=${word}>
      <${Button} autofocus=${!at} onClick=${() => choose(when)}><span>${t(`talk.snooze.${word}`)}</span> <span class="dim">${clock(when)}</span><//></li>`)}</ul>
    <form class="talk-row-form" onSubmit=${(event) => { event.preventDefault(); if (wanted && !bad) choose(wanted); }}>
      <${TextField} type="datetime-local" label=${t("talk.snooze.own")} value=${own} onInput=${put} error=${bad} />
      <${Button} type="submit" kind="primary" disabled=${!wanted || Boolean(bad)}>${t("talk.snooze")}<//>
    </form>
  <//>`;
}
