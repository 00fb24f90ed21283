// Importing contacts: a file, how to read it, a try that changes nothing, and the import itself.

import { query, newKey, upload } from "../frame/api.js";
import { html, useEffect, useRef, useState } from "../frame/html.js";
import { href } from "../frame/router.js";
import { t } from "../frame/words.js";
import { TagChip, TagPicker } from "../contact/tags.js";
import { Button, Card, Icon, IconButton, Page, Problem, Select, TextField, inWords, useGet, useWork } from "../ui/index.js";
import { Progress, over, useJob } from "./job.js";
import { Jobs } from "./jobs.js";
import { Refused } from "./refused.js";

const TAKEN = ".xlsx,.xls,.csv,.tsv,.txt";
const KEYS = ["email", "phone", "ref"];
const MEANINGS = ["name", "email", "phone", "ref", "gender", "birthday", "language", "zone", "tags"];

function Drop({ file, choose, disabled }) {
  const input = useRef(null);
  const [over_, hover] = useState(false);
  const dropped = (event) => {
    event.preventDefault();
    hover(false);
    const [one] = event.dataTransfer.files;
    if (one && !disabled) choose(one);
  };
  return html`<div class=${`file-drop ${over_ ? "over" : ""}`} onDragOver=${(event) => { event.preventDefault(); hover(true); }} onDragLeave=${() => hover(false)} onDrop=${dropped}>
    <${Icon} name="upload" size=${26} />
    ${file ? html`<p><span class="strong" dir="auto">${file.name}</span></p>` : html`<p>${t("contacts.import.drop")}</p>`}
    <${Button} disabled=${disabled} onClick=${() => input.current.click()}>${t(file ? "contacts.import.another" : "contacts.import.choose")}<//>
    <input ref=${input} type="file" hidden accept=${TAKEN} onChange=${(event) => { if (event.target.files[0]) choose(event.target.files[0]); event.target.value = ""; }} />
    <p class="hint-text">${t("contacts.import.kinds")}</p>
  </div>`;
}

// Columns of other names: [{column, meaning}].
function Columns({ rows, put, fields, error }) {
  const meanings = [...MEANINGS.map((one) => [one, t(one === "tags" ? "contact.tags" : `contact.${one}`)]), ...fields.map((field) => [`fields.${field.name}`, field.label || field.name]), ["-", t("contacts.import.map.skip")]];
  const set = (at, more) => put(rows.map((row, index) => (index === at ? { ...row, ...more } : row)));
  return html`<fieldset class="choices"><legend>${t("contacts.import.map")}</legend>
    <p class="hint-text">${t("contacts.import.map.hint")}</p>
    ${rows.map((row, at) => html`<div class="map-row" key=${at}>
      <${TextField} label=${t("contacts.import.map.column")} value=${row.column} onInput=${(column) => set(at, { column })} />
      <${Select} label=${t("contacts.import.map.is")} value=${row.meaning} options=${meanings} onChange=${(meaning) => set(at, { meaning })} />
      <${IconButton} icon="x" label=${t("contacts.import.map.take")} onClick=${() => put(rows.filter((_, index) => index !== at))} />
    </div>`)}
    ${error && html`<p class="wrong" role="alert">${error}</p>`}
    <div><${Button} small icon="plus" onClick=${() => put([...rows, { column: "", meaning: "name" }])}>${t("contacts.import.map.add")}<//></div>
  </fieldset>`;
}

function How({ form, set, fields, error }) {
  const [picking, pick] = useState(false);
  const picked = (tag) => {
    set({ tags: [...form.tags, tag] });
    pick(false);
  };
  return html`<div class="form">
    <${Select} label=${t("contacts.import.key")} hint=${t("contacts.import.key.hint")} value=${form.key} options=${KEYS.map((one) => [one, t(`contact.${one}`)])} onChange=${(key) => set({ key })} />
    <${Select} label=${t("contacts.import.blank")} value=${form.blank} options=${["keep", "clear"].map((one) => [one, t(`contacts.import.blank.${one}`)])} onChange=${(blank) => set({ blank })} />
    <div class="field"><p class="strong">${t("contacts.import.tags")}</p>
      <ul class="tag-list">${form.tags.map((tag) => html`<li key=${tag.id}><${TagChip} tag=${tag} onTake=${() => set({ tags: form.tags.filter(({ id }) => id !== tag.id) })} /></li>`)}
        ${!picking && html`<li><${Button} small kind="quiet" icon="plus" onClick=${() => pick(true)}>${t("contact.tag.add")}<//></li>`}</ul>
      ${picking && html`<${TagPicker} has=${form.tags.map(({ id }) => id)} pick=${picked} leave=${() => pick(false)} />`}</div>
    <${Columns} rows=${form.map} put=${(map) => set({ map })} fields=${fields} error=${error?.problem?.field === "map" ? inWords(error) : ""} />
  </div>`;
}

function order(form, dry) {
  const map = form.map.filter(({ column }) => column.trim()).map(({ column, meaning }) => `${column.trim()}:${meaning}`);
  return query({ key: form.key, on_blank: form.blank, map, tag: form.tags.map(({ id }) => id), name: form.file.name, dry_run: dry ? "true" : undefined });
}

export default function Import() {
  const [form, put] = useState({ file: null, key: "email", blank: "keep", tags: [], map: [] });
  const [tried, setTried] = useState(null); // the job of the last try of exactly this
  const [made, setMade] = useState(null);
  const [sent, tell] = useState(null); // how much of the file is sent, 0 to 1
  const [turn, next] = useState(0);
  const fields = useGet("/contact-fields");
  const key = useRef(newKey());
  const trial = useJob(tried);
  const import_ = useJob(made);
  const begin = useWork(async (dry) => {
    tell(0);
    try {
      const job = await upload(`/contacts/import${order(form, dry)}`, form.file, {
        progress: tell, headers: { "Content-Type": "application/octet-stream", ...(!dry && { "Idempotency-Key": key.current }) },
      });
      if (dry) setTried(job);
      else setMade(job);
      next((n) => n + 1);
    } finally {
      tell(null);
    }
  });
  const set = (more) => {
    put((old) => ({ ...old, ...more }));
    setTried(null);
    setMade(null);
    begin.clear();
    key.current = newKey();
  };
  const running = [trial.job, import_.job].some((job) => job && !over(job));
  useEffect(() => void (!running && next((n) => n + 1)), [running]);
  const ready = form.file && !running;
  const { error } = begin;
  return html`<${Page} title=${t("contacts.import.title")} hint=${t("contacts.import.hint")} back=${{ href: href("/contacts"), label: t("contacts.title") }}
    actions=${html`<a class="button" href="/api/v1/contacts/import/template.xlsx" download><${Icon} name="download" />${t("contacts.import.template")}</a>`}>
    <div class="import-cards">
      <${Card} title=${t("contacts.import.file")}>
        <${Drop} file=${form.file} choose=${(file) => set({ file })} disabled=${running || begin.busy} />
        ${error && error.problem?.field !== "map" && html`<${Problem} error=${error} />`}
      <//>
      <${Card} title=${t("contacts.import.how")}><${How} form=${form} set=${set} fields=${fields.data?.items ?? []} error=${error} /><//>
    </div>
    <${Card} title=${t("contacts.import.run")} hint=${form.file ? t("contacts.import.try.hint") : t("contacts.import.nofile")}
      actions=${html`<${Button} icon="eye" disabled=${!ready} busy=${begin.busy} onClick=${() => begin.run(true)}>${t("contacts.import.try")}<//>
        <${Button} kind="primary" icon="upload" disabled=${!ready || Boolean(made)} busy=${begin.busy} onClick=${() => begin.run(false)}>${t("contacts.import.do")}<//>`}>
      ${sent !== null && html`<progress max="1" value=${sent} aria-label=${t("contacts.import.sending")}></progress>`}
      ${!made && trial.job && html`<${Progress} watched=${trial} />${over(trial.job) && html`<${Refused} job=${trial.job} />`}`}
      ${made && html`<${Progress} watched=${import_} />${over(import_.job) && html`<${Refused} job=${import_.job} />`}`}
    <//>
    <${Jobs} turn=${turn} />
  <//>`;
}
