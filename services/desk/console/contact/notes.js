// Notes about a contact: for agents alone. Each tells who wrote it, when, and what it said before.

import { ask, call, newKey } from "../frame/api.js";
import { html, useRef, useState } from "../frame/html.js";
import { may, me } from "../frame/me.js";
import { t } from "../frame/words.js";
import { Button, IconButton, More, Problem, TextArea, Time, Waiting, confirm, inWords, toast, usePages, useWork, wrongWith } from "../ui/index.js";
import { editable } from "./facts.js";

const LONGEST = 10_000;

function sent(event, run) {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  run();
}

function Writing({ value, label, work, leave, hint }) {
  const [text, put] = useState(value);
  const save = () => text.trim() && work.run(text.trim());
  const keyed = (event) => {
    if (event.key === "Escape" && leave) {
      event.stopPropagation();
      leave();
    } else sent(event, save);
  };
  return html`<div class="note-form" onKeyDown=${keyed}>
    <${TextArea} label=${label} value=${text} onInput=${put} rows=${3} maxlength=${LONGEST} hint=${hint} dir="auto"
      error=${wrongWith(work.error, "text") || (work.error && inWords(work.error))} />
    <div class="form-end">
      <${Button} small kind="primary" busy=${work.busy} disabled=${!text.trim()} onClick=${save}>${t("ui.save")}<//>
      ${leave && html`<${Button} small onClick=${leave}>${t("ui.cancel")}<//>`}
    </div>
  </div>`;
}

function History({ note }) {
  return html`<ol class="note-history">
    ${[...note.history].reverse().map(
      (edit) => html`<li key=${edit.at}>
        <p class="dim">${t("contact.note.before", { name: edit.by_name || t("contact.somebody") })} <${Time} at=${edit.at} /></p>
        <p class="note-text" dir="auto">${edit.before}</p>
      </li>`,
    )}
  </ol>`;
}

function Note({ note, path, canEdit, changed, gone }) {
  const [editing, edit] = useState(null); // {text, etag} of what is changed
  const [history, show] = useState(false);
  const own = canEdit && (note.author === me.value.agent.id || note.author === `agent:${me.value.agent.id}` || may("lead"));
  const begin = async () => {
    try {
      const { body, etag } = await ask("GET", path);
      changed(body);
      edit({ text: body.text, etag });
    } catch (error) {
      toast(inWords(error), { kind: "bad" });
    }
  };
  const saving = useWork(async (text) => {
    changed((await ask("PATCH", path, { text }, { etag: editing.etag })).body);
    edit(null);
  });
  const remove = async () => {
    if (!(await confirm({ title: t("contact.note.delete"), text: t("contact.note.delete.text"), action: t("ui.delete"), danger: true }))) return;
    try {
      await call("DELETE", path);
      gone();
    } catch (error) {
      toast(inWords(error), { kind: "bad" });
    }
  };
  return html`<li class="about-note">
    <header>
      <span class="strong" dir="auto">${note.author_name || t("contact.somebody")}</span>
      <span class="dim"><${Time} at=${note.at} /></span>
      ${own && !editing && html`<span class="note-acts">
        <${IconButton} icon="pencil" size=${15} label=${t("contact.note.edit")} onClick=${begin} />
        <${IconButton} icon="trash" size=${15} label=${t("contact.note.delete")} onClick=${remove} />
      </span>`}
    </header>
    ${editing
      ? html`<${Writing} value=${editing.text} label=${t("contact.note.edit")} work=${saving} leave=${() => { saving.clear(); edit(null); }} />`
      : html`<p class="note-text" dir="auto">${note.text}</p>`}
    ${note.edited_at && html`<button type="button" class="linkish" aria-expanded=${String(history)} onClick=${() => show(!history)}>${t("contact.note.edited")} <${Time} at=${note.edited_at} /></button>`}
    ${history && html`<${History} note=${note} />`}
  </li>`;
}

export function Notes({ contact }) {
  const path = `/contacts/${encodeURIComponent(contact.id)}/notes`;
  const pages = usePages(path, { limit: 20 });
  const [turn, next] = useState(0); // an empty field after each note
  const key = useRef(newKey());
  const adding = useWork(async (text) => {
    const note = await call("POST", path, { text }, { key: key.current });
    key.current = newKey();
    pages.set([note, ...pages.items.filter(({ id }) => id !== note.id)]);
    next(turn + 1);
  });
  const put = (note) => pages.set(pages.items.map((one) => (one.id === note.id ? note : one)));
  const can = editable(contact);
  return html`<div class="notes-of">
    ${can && html`<${Writing} key=${turn} value="" label=${t("contact.note.add")} work=${adding} hint=${t("contact.note.hint")} />`}
    ${pages.loading && !pages.items.length && html`<${Waiting} />`}
    <${Problem} error=${pages.error} retry=${pages.reload} />
    ${pages.whole && !pages.items.length && !pages.error && html`<p class="dim">${t("contact.note.none")}</p>`}
    <ul class="note-list">
      ${pages.items.map((note) => html`<${Note} key=${note.id} note=${note} path=${`${path}/${encodeURIComponent(note.id)}`} canEdit=${can}
        changed=${put} gone=${() => pages.set(pages.items.filter(({ id }) => id !== note.id))} />`)}
    </ul>
    <${More} pages=${pages} />
  </div>`;
}
