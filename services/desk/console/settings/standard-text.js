// A text with variables: the field, the menu that puts one in, and files.

import { upload, query } from "../frame/api.js";
import { html, useEffect, useRef, useState } from "../frame/html.js";
import { number, t } from "../frame/words.js";
import { Button, Dialog, Field, Icon, IconButton, Menu, TextField, inWords } from "../ui/index.js";
import { everything } from "./standard-scope.js";

const VARIABLES = [
  "contact.name", "contact.phone", "contact.email", "contact.language", "contact.zone", "agent.name", "account.name", "channel",
];

function useFields() {
  const [fields, put] = useState([]);
  useEffect(() => {
    everything("/contact-fields").then(put, () => {}); // the others are offered without
  }, []);
  return fields;
}

// The names that may stand in braces, each with what people call it.
function offered(fields, names) {
  const own = fields.map(({ name, label }) => [`contact.field.${name}`, label || name]);
  return [...names.map((name) => [name, t(`standard.variable.${name}`)]), ...own];
}

// `names`: the variables that may stand here; left out, those of messages.
export function TextWithVariables({ label, hint, error, value, onInput, rows = 6, names = VARIABLES, ...rest }) {
  const field = useRef(null);
  const [asked, ask] = useState(null); // the variable whose fallback is asked for
  const fields = useFields();
  const put = (name, fallback) => {
    const box = field.current;
    const text = `{{${name}${fallback ? `|${fallback}` : ""}}}`;
    const [from, to] = [box.selectionStart ?? value.length, box.selectionEnd ?? value.length];
    onInput(value.slice(0, from) + text + value.slice(to));
    requestAnimationFrame(() => {
      box.focus();
      box.setSelectionRange(from + text.length, from + text.length);
    });
  };
  return html`<div class="variable-text">
    <${Field} label=${label} hint=${hint} error=${error}>
      ${(given) => html`<textarea ...${given} ...${rest} ref=${field} rows=${rows} dir="auto" value=${value ?? ""} onInput=${(event) => onInput(event.target.value)}></textarea>`}
    <//>
    <div class="variable-menu">
      <${Menu}
        label=${t("standard.insert")} class="button small"
        button=${html`<${Icon} name="plus" size=${15} />${t("standard.insert")}`}
        items=${offered(fields, names).map(([name, said]) => ({ label: said, icon: "hash", run: () => ask(name) }))}
      />
    </div>
    ${asked && html`<${Fallback} name=${asked} onClose=${() => ask(null)} onPut=${(fallback) => { ask(null); put(asked, fallback); }} />`}
  </div>`;
}

function Fallback({ name, onClose, onPut }) {
  const [text, put] = useState("");
  const wrong = /[{}|]/.test(text) ? t("standard.fallback_wrong") : "";
  const submit = (event) => {
    event.preventDefault();
    event.stopPropagation();
    if (!wrong) onPut(text.trim());
  };
  return html`<${Dialog} title=${t("standard.fallback_title", { name: `{{${name}}}` })} onClose=${onClose}>
    <form class="form" onSubmit=${submit}>
      <${TextField} autofocus label=${t("standard.fallback")} hint=${t("standard.fallback_hint")} error=${wrong} value=${text} onInput=${put} maxlength="200" />
      <div class="form-end"><${Button} kind="primary" type="submit">${t("standard.insert_it")}<//></div>
    </form>
  <//>`;
}

export function size(bytes) {
  const [unit, by] = bytes >= 1_000_000 ? ["megabyte", 1_000_000] : ["kilobyte", 1000];
  return number(Math.max(bytes / by, 0.1), { style: "unit", unit, maximumFractionDigits: 1 });
}

// Files of a message: value is a list of {id, name, kind, size_bytes, url}.
export function Files({ label, value, onChange, error }) {
  const [under, say] = useState(null); // {name, share} of what is being sent
  const [wrong, tell] = useState("");
  const input = useRef(null);
  const add = async (files) => {
    tell("");
    let now = value;
    for (const file of files) {
      say({ name: file.name, share: 0 });
      try {
        const view = await upload(`/attachments${query({ name: file.name })}`, file, {
          headers: { "Content-Type": "application/octet-stream" }, progress: (share) => say({ name: file.name, share }),
        });
        now = [...now, view];
        onChange(now);
      } catch (failed) {
        tell(inWords(failed));
      }
    }
    say(null);
  };
  return html`<div class="field files" role="group" aria-label=${label}
    onDragOver=${(event) => event.preventDefault()} onDrop=${(event) => { event.preventDefault(); add([...event.dataTransfer.files]); }}>
    <span class="strong">${label}</span>
    ${value.length > 0 &&
    html`<ul class="file-list">
      ${value.map(
        (file) => html`<li key=${file.id}>
          <${Icon} name=${{ image: "image", video: "video", audio: "mic" }[file.kind] ?? "file"} size=${16} />
          <span class="grow">${file.url ? html`<a href=${file.url} target="_blank" rel="noreferrer">${file.name || file.id}</a>` : file.name || file.id}</span>
          ${file.size_bytes > 0 && html`<span class="dim">${size(file.size_bytes)}</span>`}
          <${IconButton} icon="x" size=${15} label=${t("standard.file_remove", { name: file.name })} onClick=${() => onChange(value.filter((one) => one.id !== file.id))} />
        </li>`,
      )}
    </ul>`}
    ${under && html`<p role="status"><progress max="1" value=${under.share} aria-label=${under.name}></progress> ${under.name}</p>`}
    <div><${Button} small icon="paperclip" busy=${Boolean(under)} onClick=${() => input.current.click()}>${t("standard.file_add")}<//></div>
    <input ref=${input} type="file" multiple hidden onChange=${(event) => { add([...event.target.files]); event.target.value = ""; }} />
    ${(wrong || error) && html`<p class="wrong" role="alert">${wrong || error}</p>`}
  </div>`;
}
