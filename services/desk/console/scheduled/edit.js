// Changing a message that waits: what it says, when it goes, and what if it cannot.

import { call } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Checkbox, Dialog, Problem, Select, TextField, Waiting, useChanged, useGet, useWork, wrongWith } from "../ui/index.js";
import { Files, TextWithVariables } from "../settings/standard-text.js";
import { zones } from "./days.js";

export function Edit({ id, onClose, onSaved }) {
  const { data, etag, error, reload } = useGet(`/scheduled-messages/${id}`);
  if (!data) {
    return html`<${Dialog} title=${t("scheduled.edit")} onClose=${onClose}>${error ? html`<${Problem} error=${error} retry=${reload} />` : html`<${Waiting} />`}<//>`;
  }
  return html`<${Form} key=${etag} one=${data} etag=${etag} onClose=${onClose} onSaved=${onSaved} />`;
}

const plain = (one) => one.parts.every(({ type }) => type === "text" || type === "media");

function Form({ one, etag, onClose, onSaved }) {
  const first = {
    name: one.name, text: one.text, files: one.attachments, at: one.local.slice(0, 16), zone: one.zone,
    only_if_no_reply: one.only_if_no_reply, unless_moved: one.unless_moved, when_closed: one.when_closed,
  };
  const [given, put] = useState(first);
  const set = (name) => (value) => put((old) => ({ ...old, [name]: value }));
  const work = useWork(() => call("PATCH", `/scheduled-messages/${one.id}`, changes(first, given), { etag }));
  const wrong = (name) => wrongWith(work.error, name);
  const unsaved = useChanged(given);
  const known = ["name", "text", "at", "zone", "when_closed", "only_if_no_reply", "attachments"].some(wrong);
  const closed = one.when_closed === "template" ? ["fail", "hold", "template"] : ["fail", "hold"];
  const submit = async (event) => {
    event.preventDefault();
    if (await work.run()) onSaved();
  };
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//><${Button} kind="primary" busy=${work.busy} onClick=${submit}>${t("ui.save")}<//>`;
  return html`<${Dialog} title=${t("scheduled.edit")} onClose=${onClose} footer=${footer} unsaved=${unsaved} wide>
    <form class="folder-form" onSubmit=${submit}>
      <${TextField} autofocus label=${t("scheduled.name")} value=${given.name} onInput=${set("name")} error=${wrong("name")} maxlength="200" />
      ${plain(one)
        ? html`<${TextWithVariables} label=${t("scheduled.text")} value=${given.text} onInput=${set("text")} error=${wrong("text")} />
            <${Files} label=${t("scheduled.files")} value=${given.files} onChange=${set("files")} error=${wrong("attachments")} />`
        : html`<p class="hint-text">${t("scheduled.not_plain")}</p>`}
      <div class="words-two">
        <${TextField} type="datetime-local" label=${t("scheduled.at")} value=${given.at} onInput=${set("at")} error=${wrong("at")} />
        <${Select} label=${t("scheduled.zone")} value=${given.zone} options=${[["contact", t("scheduled.zone_contact")], ...new Set([one.zone, ...zones()].filter((zone) => zone !== "contact"))].map((zone) => (Array.isArray(zone) ? zone : [zone, zone]))} onChange=${set("zone")} error=${wrong("zone")} />
      </div>
      <${Select} label=${t("scheduled.when_closed")} value=${given.when_closed} options=${closed.map((name) => [name, t(`scheduled.closed.${name}`)])} onChange=${set("when_closed")} error=${wrong("when_closed")} />
      <${Checkbox} label=${t("scheduled.only_if_no_reply")} checked=${given.only_if_no_reply} onChange=${set("only_if_no_reply")} />
      ${wrong("only_if_no_reply") && html`<p class="wrong" role="alert">${wrong("only_if_no_reply")}</p>`}
      <${Checkbox} label=${t("scheduled.unless_moved")} checked=${given.unless_moved} onChange=${set("unless_moved")} />
      ${!known && html`<${Problem} error=${work.error} />`}
      <button type="submit" hidden></button>
    </form>
  <//>`;
}

// What a PATCH says: only what differs; content goes as a whole, as the API replaces it.
function changes(first, { files, text, ...rest }) {
  const body = Object.fromEntries(Object.entries(rest).filter(([name, value]) => value !== first[name]));
  const ids = (list) => list.map(({ id }) => id);
  if (text !== first.text || ids(files).join() !== ids(first.files).join()) Object.assign(body, { text, attachments: ids(files) });
  return body;
}
