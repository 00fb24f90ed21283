// A standard message: title, folder, text with variables, files; beside it, how it would read.

import { call, newKey } from "../frame/api.js";
import { html, useEffect, useRef, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Dialog, Icon, Problem, Select, TextField, inWords, useChanged, useGet, useWork, wrongWith } from "../ui/index.js";
import { Current } from "./current.js";
import { Files, TextWithVariables } from "./standard-text.js";

const PAUSE_MS = 350;

export function MessageForm(given) {
  const { id } = given.message;
  const form = (data, etag) => html`<${Form} ...${given} message=${data ?? given.message} etag=${etag} />`;
  return html`<${Current} path=${id ? `/standard-messages/${id}` : null} title=${t(given.message.id ? "standard.edit" : "standard.new")} onClose=${given.onClose} form=${form} />`;
}

function Form({ message, folders, onClose, onSaved, etag }) {
  const [given, put] = useState({
    title: message.title ?? "", folder: message.folder ?? "", text: message.text ?? "", files: message.attachments ?? [],
  });
  const key = useRef(newKey());
  const work = useWork(async () => {
    const { files, ...rest } = given;
    const before = (message.attachments ?? []).map(({ id }) => id).join();
    const now = files.map(({ id }) => id);
    if (!message.id) return call("POST", "/standard-messages", { ...rest, attachments: now }, { key: key.current });
    const body = now.join() === before ? rest : { ...rest, attachments: now };
    return call("PATCH", `/standard-messages/${message.id}`, body, { etag });
  });
  const set = (name) => (value) => {
    key.current = newKey();
    put((old) => ({ ...old, [name]: value }));
  };
  const submit = async (event) => {
    event.preventDefault();
    if (await work.run()) onSaved();
  };
  const wrong = (name) => wrongWith(work.error, name);
  const unsaved = useChanged(given);
  const known = ["title", "folder", "text", "attachments"].some(wrong);
  const options = [["", t("standard.no_folder")], ...folders.map(({ id, name }) => [id, name])];
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//>
    <${Button} kind="primary" busy=${work.busy} onClick=${submit}>${t("ui.save")}<//>`;
  return html`<${Dialog} title=${t(message.id ? "standard.edit" : "standard.new")} onClose=${onClose} footer=${footer} unsaved=${unsaved} wide>
    <div class="message-form">
      <form class="form" onSubmit=${submit}>
        <${TextField} autofocus label=${t("standard.message_title")} hint=${t("standard.message_title_hint")} value=${given.title} onInput=${set("title")} error=${wrong("title")} maxlength="100" required />
        <${Select} label=${t("standard.folder")} value=${given.folder} options=${options} onChange=${set("folder")} error=${wrong("folder")} />
        <${TextWithVariables} label=${t("standard.text")} value=${given.text} onInput=${set("text")} error=${wrong("text")} rows=${7} maxlength="10000" />
        <${Files} label=${t("standard.attachments")} value=${given.files} onChange=${set("files")} error=${wrong("attachments")} />
        ${!known && html`<${Problem} error=${work.error} />`}
        <button type="submit" hidden></button>
      </form>
      <${Preview} text=${given.text} files=${given.files} />
    </div>
  <//>`;
}

// How it reads for a contact, or for somebody of whom nothing is known. The API fills it in.
export function Preview({ text, files = [] }) {
  const [whose, choose] = useState("");
  const contacts = useGet("/contacts?order=newest&limit=8");
  const [found, put] = useState({ view: null, error: null });
  useEffect(() => {
    if (!text.trim()) return put({ view: null, error: null });
    let wanted = true;
    const timer = setTimeout(() => {
      call("POST", "/standard-messages/preview", { text, contact: whose }).then(
        (view) => wanted && put({ view, error: null }),
        (error) => wanted && put({ view: null, error }),
      );
    }, PAUSE_MS);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [text, whose]);
  const { view, error } = found;
  const people = (contacts.data?.items ?? []).filter(({ name }) => name).map(({ id, name }) => [id, name]);
  return html`<section class="preview" aria-label=${t("standard.preview")}>
    <h3>${t("standard.preview")}</h3>
    <${Select} class="inline" label=${t("standard.preview_for")} value=${whose} options=${[["", t("standard.preview_stranger")], ...people]} onChange=${choose} />
    <div class="preview-body" aria-live="polite">
      ${files.map((file) => html`<p class="bubble file" key=${file.id}><${Icon} name="paperclip" size=${14} /> ${file.name}</p>`)}
      ${view && html`<p class="bubble" dir="auto">${view.text}</p>`}
      ${!text.trim() && !files.length && html`<p class="hint-text">${t("standard.preview_empty")}</p>`}
      ${error && html`<p class="wrong">${inWords(error)}</p>`}
      ${view?.missing.length > 0 && html`<p class="hint-text">${t("standard.preview_missing", { names: view.missing.map(({ name }) => name).join(", ") })}</p>`}
    </div>
  </section>`;
}
