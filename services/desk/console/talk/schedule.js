// A message for later (B25): what the composer holds, a name, a time with its zone; and the ones of
// this session that wait.

import { call, newKey, query } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { clock, t } from "../frame/words.js";
import { href } from "../frame/router.js";
import { Button, Checkbox, Dialog, Icon, Problem, Select, TextArea, TextField, confirm, inWords, toast, useWork, wrongWith } from "../ui/index.js";

const OWN = Intl.DateTimeFormat().resolvedOptions().timeZone;
const FIELDS = ["name", "text", "at", "zone", "when_closed"];

function local(date) {
  const two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}`;
}

function tomorrow() {
  const now = new Date();
  return local(new Date(now.getFullYear(), now.getMonth(), now.getDate() + 1, 9));
}

export function ScheduleDialog({ thread, draft, onDone, onClose }) {
  const [key] = useState(newKey);
  const [given, put] = useState({
    name: "", text: draft.text, at: tomorrow(), zone: OWN, only_if_no_reply: false, when_closed: "hold",
  });
  const set = (name) => (value) => put((old) => ({ ...old, [name]: value }));
  const save = useWork(async () => {
    const body = {
      ...given, session: thread.id, name: given.name.trim() || given.text.trim().slice(0, 60) || t("talk.schedule.unnamed"),
      attachments: draft.files.map(({ id }) => id),
    };
    const made = await call("POST", "/scheduled-messages", body, { key: `${key}:${hash(body)}` });
    toast(t("talk.schedule.done", { at: clock(made.due_at) }));
    onDone(made);
  });
  const wrong = (field) => wrongWith(save.error, field);
  const other = save.error && !FIELDS.some(wrong);
  const ready = given.at && (given.text.trim() || draft.files.length);
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//>
    <${Button} kind="primary" icon="calendar-clock" busy=${save.busy} disabled=${!ready} onClick=${save.run}>${t("talk.schedule.save")}<//>`;
  return html`<${Dialog} title=${t("talk.schedule")} onClose=${onClose} footer=${footer}>
    ${other && html`<${Problem} error=${save.error} />`}
    <${TextField} label=${t("talk.schedule.name")} hint=${t("talk.schedule.name.hint")} value=${given.name} onInput=${set("name")} maxlength=${200} error=${wrong("name")} autofocus />
    <${TextArea} label=${t("talk.schedule.text")} value=${given.text} onInput=${set("text")} maxlength=${10000} error=${wrong("text")} />
    ${draft.files.length > 0 && html`<p class="talk-under"><${Icon} name="paperclip" size=${13} />${draft.files.map(({ name }) => name).join(", ")}</p>`}
    <div class="talk-pair">
      <${TextField} type="datetime-local" label=${t("talk.schedule.at")} value=${given.at} onInput=${set("at")} error=${wrong("at")} />
      <${Select} label=${t("talk.schedule.zone")} value=${given.zone} options=${zones()} onChange=${set("zone")} error=${wrong("zone")} />
    </div>
    <${Checkbox} label=${t("talk.schedule.noreply")} checked=${given.only_if_no_reply} onChange=${(on) => put((old) => ({ ...old, only_if_no_reply: on, when_closed: on ? "fail" : "hold" }))} />
    <${Select} label=${t("talk.schedule.closed")} value=${given.when_closed} onChange=${set("when_closed")} error=${wrong("when_closed")}
      options=${[...(given.only_if_no_reply ? [] : [["hold", t("talk.schedule.hold")]]), ["fail", t("talk.schedule.fail")]]} />
  <//>`;
}

// A changed request is another one: its key has what it says in it.
function hash(body) {
  let sum = 0;
  for (const one of JSON.stringify(body)) sum = (31 * sum + one.codePointAt(0)) >>> 0;
  return sum.toString(36);
}

function zones() {
  const all = Intl.supportedValuesOf?.("timeZone") ?? [OWN];
  return [["contact", t("talk.schedule.zone.contact")], ...[...new Set([OWN, ...all])].map((zone) => [zone, zone.replaceAll("_", " ")])];
}

export function scheduledPath(session) {
  return `/scheduled-messages${query({ session, state: "pending", limit: 20 })}`;
}

// Those of the session that are to come.
export function ScheduledStrip({ list }) {
  const cancel = useWork(async (item) => {
    const sure = await confirm({ title: t("talk.schedule.cancel"), text: item.name, action: t("talk.schedule.cancel"), danger: true, cancel: t("talk.schedule.keep") });
    if (!sure) return;
    await call("POST", `/scheduled-messages/${encodeURIComponent(item.id)}/cancel`, {});
    list.reload();
  });
  const items = list.data?.items ?? [];
  if (!items.length) return null;
  return html`<details class="talk-scheduled"><summary><${Icon} name="calendar-clock" size=${15} /> ${t("talk.schedule.count", { n: items.length })}</summary>
    <ul>${items.map((item) => html`<li key=${item.id}>
      <span class="talk-grow"><strong><bdi>${item.name}</bdi></strong> <span class="dim">${clock(item.due_at)}${item.held && ` · ${t("talk.schedule.held")}`}${item.only_if_no_reply && ` · ${t("talk.schedule.noreply")}`}</span></span>
      <a href=${href("/scheduled", { session: item.session })}>${t("ui.edit")}</a>
      ${may("agent") && html`<${Button} small kind="quiet" busy=${cancel.busy} onClick=${() => cancel.run(item)}>${t("ui.cancel")}<//>`}
    </li>`)}</ul>
    ${cancel.error && html`<p class="wrong" role="alert">${inWords(cancel.error)}</p>`}
  </details>`;
}
