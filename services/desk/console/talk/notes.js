// A note of the timeline: agents alone see it. Its author may change it; what it said before is kept.

import { call, newKey } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { may, me } from "../frame/me.js";
import { fullTime, t } from "../frame/words.js";
import { Button, Dialog, Icon, Menu, Problem, TextArea, confirm, inWords, useGet, useWork } from "../ui/index.js";
import { Linked } from "./links.js";
import { When } from "./marks.js";

function path(thread, entry) {
  return `/sessions/${encodeURIComponent(thread.id)}/notes/${encodeURIComponent(entry.id)}`;
}

export function Note({ entry, thread }) {
  const [open, put] = useState(""); // "", "edit" or "history"
  const mine = entry.sender.id === me.value.agent.id;
  const remove = useWork(async () => {
    const sure = await confirm({ title: t("talk.note.delete"), text: t("talk.note.delete.text"), action: t("ui.delete"), danger: true });
    if (!sure) return;
    await call("DELETE", path(thread, entry), undefined, { key: newKey() });
    thread.put({ ...entry, deleted: true, text: "", parts: [] });
  });
  const items = [
    { label: t("ui.edit"), icon: "pencil", run: () => put("edit"), hidden: !(mine || may("lead")) || !may("agent") },
    { label: t("talk.note.history"), icon: "rotate-ccw", run: () => put("history"), hidden: !entry.edited },
    { label: t("ui.delete"), icon: "trash", danger: true, run: remove.run, hidden: !(mine || may("lead")) || !may("agent") },
  ];
  return html`<article class="talk-note">
    <p class="talk-name"><${Icon} name="sticky-note" size=${14} /> <strong>${t("talk.note.by", { name: mine ? t("talk.you") : entry.sender.name })}</strong>
      <${When} at=${entry.at} />
      ${entry.edited && !entry.deleted && html`<button type="button" class="talk-plain" onClick=${() => put("history")}>${t("talk.edited")}</button>`}
      ${!entry.deleted && items.some(({ hidden }) => !hidden) && html`<${Menu} label=${t("talk.note.menu")} items=${items} />`}</p>
    ${entry.deleted ? html`<p class="dim">${t("talk.note.deleted")}</p>` : html`<p class="talk-text" dir="auto"><${Linked} text=${entry.text} /></p>`}
    ${remove.error && html`<p class="wrong" role="alert">${inWords(remove.error)}</p>`}
    ${open === "edit" && html`<${Edit} entry=${entry} thread=${thread} onClose=${() => put("")} />`}
    ${open === "history" && html`<${History} entry=${entry} thread=${thread} onClose=${() => put("")} />`}
  </article>`;
}

function Edit({ entry, thread, onClose }) {
  const [text, put] = useState(entry.text);
  const [key] = useState(newKey);
  const save = useWork(async () => {
    const note = await call("PATCH", path(thread, entry), { text }, { key });
    thread.put({ ...entry, text: note.text, parts: [{ type: "text", text: note.text }], edited: true });
    onClose();
  });
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//>
    <${Button} kind="primary" busy=${save.busy} onClick=${save.run}>${t("ui.save")}<//>`;
  return html`<${Dialog} title=${t("talk.note.edit")} onClose=${onClose} footer=${footer}>
    <${TextArea} label=${t("talk.note")} value=${text} onInput=${put} rows=${5} maxlength=${10000} error=${inWords(save.error)} autofocus />
  <//>`;
}

function History({ entry, thread, onClose }) {
  const { data, error, loading, reload } = useGet(path(thread, entry));
  return html`<${Dialog} title=${t("talk.note.history")} onClose=${onClose}>
    <${Problem} error=${error} retry=${reload} />
    ${loading && html`<p class="dim">${t("ui.loading")}</p>`}
    ${data && html`<ol class="talk-history">
      ${data.history.map(({ by_name, at, before }) => html`<li>
        <p class="dim">${t("talk.note.changed", { name: by_name, at: fullTime(at) })}</p>
        <p class="talk-text" dir="auto"><s>${before}</s></p>
      </li>`)}
      <li><p class="dim">${t("talk.note.now")}</p><p class="talk-text" dir="auto">${data.text}</p></li>
    </ol>`}
  <//>`;
}
