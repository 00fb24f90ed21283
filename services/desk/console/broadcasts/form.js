// Drafting a broadcast, or changing one: what it says, to whom, when, and how fast.

import { call, newKey } from "../frame/api.js";
import { html, useEffect, useRef, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Dialog, Problem, Select, TextField, useChanged, useWork, wrongWith } from "../ui/index.js";
import { everything } from "../settings/standard-scope.js";
import { Files, TextWithVariables } from "../settings/standard-text.js";
import { zones } from "../scheduled/days.js";
import { Audience } from "./audience.js";

const EVERYBODY = { tags: [], match: "any", without: [], channels: [], accounts: [], languages: [], wrote_within_s: null };

function firstOf(one) {
  const text = one?.text ?? "";
  const kind = one?.parts?.some(({ type }) => type !== "text" && type !== "media") ? "kept" : "text";
  return {
    name: one?.name ?? "", kind, text, standard: "", files: one?.attachments ?? [], audience: one?.audience ?? EVERYBODY,
    at: one?.at ?? "", zone: one?.zone ?? "contact", per_minute: one?.per_minute ? String(one.per_minute) : "",
  };
}

export function bodyOf({ name, kind, text, standard, files, audience, at, zone, per_minute: pace }, chosen) {
  const content = { text: { text, attachments: files.map(({ id }) => id) }, standard: { standard_message: standard }, kept: {} }[kind];
  const rest = chosen ? {} : { audience, at, zone };
  return { name, ...content, ...rest, per_minute: pace ? Number(pace) : null };
}

export function Form({ one, etag, onClose, onSaved }) {
  const first = firstOf(one);
  const [given, put] = useState(first);
  const [lists, read] = useState({ tags: [], standard: [] });
  const key = useRef(newKey());
  const chosen = Boolean(one?.gathered); // recipients are chosen: audience and time hold
  useEffect(() => {
    Promise.all(["/tags", "/standard-messages?limit=200"].map((path) => everything(path).catch(() => []))).then(([tags, standard]) => read({ tags, standard }));
  }, []);
  const work = useWork(() => {
    const body = bodyOf(given, chosen);
    if (one) return call("PATCH", `/broadcasts/${one.id}`, body, { etag });
    return call("POST", "/broadcasts", body, { key: key.current });
  });
  const set = (name) => (value) => {
    key.current = newKey();
    put((old) => ({ ...old, [name]: value }));
  };
  const unsaved = useChanged(given);
  const wrong = (name) => wrongWith(work.error, name);
  const known = ["name", "text", "standard_message", "attachments", "audience", "at", "zone", "per_minute"].some(wrong);
  const submit = async (event) => {
    event.preventDefault();
    const saved = await work.run();
    if (saved) onSaved(saved);
  };
  const kinds = [...(first.kind === "kept" ? ["kept"] : []), "text", "standard"];
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//><${Button} kind="primary" busy=${work.busy} onClick=${submit}>${t(one ? "ui.save" : "broadcasts.save_draft")}<//>`;
  return html`<${Dialog} title=${t(one ? "broadcasts.edit" : "broadcasts.new")} onClose=${onClose} footer=${footer} unsaved=${unsaved} wide>
    <form class="folder-form" onSubmit=${submit}>
      <${TextField} autofocus required label=${t("broadcasts.name")} hint=${t("broadcasts.name_hint")} value=${given.name} onInput=${set("name")} error=${wrong("name")} maxlength="200" />
      <${Select} label=${t("broadcasts.content")} value=${given.kind} options=${kinds.map((kind) => [kind, t(`broadcasts.content.${kind}`)])} onChange=${set("kind")} />
      ${given.kind === "text" && html`<${TextWithVariables} label=${t("broadcasts.text")} value=${given.text} onInput=${set("text")} error=${wrong("text")} />
        <${Files} label=${t("broadcasts.files")} value=${given.files} onChange=${set("files")} error=${wrong("attachments")} />`}
      ${given.kind === "standard" && html`<${Select} label=${t("broadcasts.standard")} value=${given.standard} options=${[["", t("broadcasts.choose")], ...lists.standard.map(({ id, title }) => [id, title])]} onChange=${set("standard")} error=${wrong("standard_message")} />`}
      ${chosen
        ? html`<p class="hint-text">${t("broadcasts.chosen")}</p>`
        : html`<${Audience} value=${given.audience} onChange=${set("audience")} tags=${lists.tags} wrong=${wrong} />
            <div class="words-two">
              <${TextField} type="datetime-local" label=${t("broadcasts.at")} hint=${t("broadcasts.at_hint")} value=${given.at.slice(0, 16)} onInput=${set("at")} error=${wrong("at")} />
              <${Select} label=${t("broadcasts.zone")} value=${given.zone} options=${[["contact", t("broadcasts.zone_contact")], ...zones().map((zone) => [zone, zone])]} onChange=${set("zone")} error=${wrong("zone")} />
            </div>`}
      <${TextField} type="number" min="1" max="100000" label=${t("broadcasts.pace")} hint=${t("broadcasts.pace_hint")} value=${given.per_minute} onInput=${set("per_minute")} error=${wrong("per_minute")} />
      ${!known && html`<${Problem} error=${work.error} />`}
      <button type="submit" hidden></button>
    </form>
  <//>`;
}
