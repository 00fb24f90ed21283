// Erasing a contact for good: what will be gone is said, and a word is typed before.

import { call, newKey } from "../frame/api.js";
import { html, useEffect, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { contactName } from "../frame/who.js";
import { Button, Dialog, TextField, Waiting, inWords, useWork } from "../ui/index.js";

const ASK_MS = 1500;
const GONE = ["talk", "beside", "files", "streams"];

// onDone(true): it was begun, and the contact is gone or will be.
export function EraseDialog({ contact, onDone }) {
  const [asked, put] = useState(null); // {summary, token} of the first call
  const [typed, type] = useState("");
  const [job, tell] = useState(null);
  const path = `/contacts/${encodeURIComponent(contact.id)}/erase`;
  const word = contact.name || t("contact.erase.word");
  const asking = useWork(async (confirm) => {
    try {
      tell(await call("POST", path, confirm ? { confirm } : {}, { key: newKey() }));
    } catch (error) {
      if (error.problem?.code !== "confirmation_required") throw error;
      put(error.problem.facts); // the token of before may be too old: here is another
    }
  });
  useEffect(() => void asking.run(""), []);
  useEffect(() => {
    if (!job || ["done", "failed", "cancelled"].includes(job.state)) return undefined;
    const timer = setTimeout(() => call("GET", `/jobs/${job.id}`).then(tell, () => tell({ ...job })), ASK_MS);
    return () => clearTimeout(timer);
  }, [job]);
  const close = () => onDone(Boolean(job));
  const submit = (event) => {
    event.preventDefault();
    if (typed.trim() === word.trim()) asking.run(asked.token);
  };
  const footer = job
    ? html`<${Button} kind="primary" onClick=${close}>${t("ui.close")}<//>`
    : html`<${Button} onClick=${close}>${t("ui.cancel")}<//>
        <${Button} kind="danger" icon="trash" type="submit" form="erase-form" busy=${asking.busy} disabled=${!asked || typed.trim() !== word.trim()}>${t("contact.erase.do")}<//>`;
  return html`<${Dialog} title=${t("contact.erase.title", { name: contactName(contact) })} onClose=${close} footer=${footer}>
    ${!asked && !job && asking.busy && html`<${Waiting} />`}
    ${!job && asked && html`<form id="erase-form" class="form" onSubmit=${submit}>
      <p class="problem">${t("contact.erase.never")}</p>
      <p>${asked.summary}</p>
      <ul class="listed">${GONE.map((one) => html`<li key=${one}>${t(`contact.erase.gone.${one}`)}</li>`)}</ul>
      <p class="hint-text">${t("contact.erase.stays")}</p>
      <${TextField} label=${t("contact.erase.type", { word })} value=${typed} onInput=${type} autocomplete="off" spellcheck=${false} />
    </form>`}
    ${job && html`<p role="status">${job.state === "failed" ? `${t("contact.erase.failed")} ${job.reason}` : t(`contact.erase.${job.state === "done" ? "done" : "running"}`)}</p>`}
    ${asking.error && html`<p class="problem" role="alert">${inWords(asking.error)}</p>`}
  <//>`;
}
