// Making a contact by hand.

import { call, newKey } from "../frame/api.js";
import { html, useRef, useState } from "../frame/html.js";
import { go } from "../frame/router.js";
import { t } from "../frame/words.js";
import { Button, Dialog, TextField, inWords, useWork, wrongWith } from "../ui/index.js";

const FIELDS = ["name", "email", "phone", "ref"];

export function CreateDialog({ onClose }) {
  const [form, put] = useState({});
  const key = useRef(newKey());
  const making = useWork(async () => {
    const given = Object.entries(form).map(([name, value]) => [name, value.trim()]).filter(([, value]) => value);
    const made = await call("POST", "/contacts", Object.fromEntries(given), { key: key.current });
    go(`/contacts/${made.id}`);
  });
  const submit = async (event) => {
    event.preventDefault();
    if (!(await making.run())) key.current = newKey();
  };
  const { error } = making;
  const ready = FIELDS.some((name) => form[name]?.trim());
  const taken = error?.problem?.code === "ref_taken";
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//>
    <${Button} kind="primary" type="submit" form="new-contact" busy=${making.busy} disabled=${!ready}>${t("contacts.create.do")}<//>`;
  return html`<${Dialog} title=${t("contacts.create")} onClose=${onClose} footer=${footer}>
    <form id="new-contact" class="form" onSubmit=${submit}>
      <p class="hint-text">${t("contacts.create.hint")}</p>
      ${FIELDS.map((name) => html`<${TextField} key=${name} label=${t(`contact.${name}`)} value=${form[name]} onInput=${(value) => put({ ...form, [name]: value })}
        autofocus=${name === "name"} autocomplete="off" hint=${["phone", "ref"].includes(name) ? t(`contact.hint.${name}`) : ""}
        error=${name === "ref" && taken ? inWords(error) : wrongWith(error, name)} />`)}
      ${error && !taken && !FIELDS.some((name) => wrongWith(error, name)) && html`<p class="problem" role="alert">${inWords(error)}</p>`}
    </form>
  <//>`;
}
