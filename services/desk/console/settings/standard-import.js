// Importing a workbook: choose, try it without writing, look at what is refused, import (B35-B38).
// A job goes on when the dialog is closed; whoever began it is told by a toast when it is over.

import { call, newKey, query, upload } from "../frame/api.js";
import { html, signal, useEffect, useRef, useState } from "../frame/html.js";
import { number, t } from "../frame/words.js";
import { Button, Dialog, Icon, Problem, inWords, toast } from "../ui/index.js";
import { fetched } from "./standard-scope.js";

const LOOKS_MS = 600;
const OVER = ["done", "failed", "cancelled"];

export const running = signal(null); // {job, error, over}: the import that goes on, or the last one

async function follow(id) {
  for (;;) {
    try {
      const job = await call("GET", `/jobs/${id}`);
      running.value = { job };
      if (OVER.includes(job.state)) return job;
    } catch (error) {
      if (error.status === 404) throw error;
      running.value = { ...running.value, error }; // it goes on without us: looked at again
    }
    await new Promise((done) => setTimeout(done, LOOKS_MS));
  }
}

async function begin(file, dry) {
  const options = { headers: { "Content-Type": "application/octet-stream", "Idempotency-Key": newKey() } };
  const job = await upload(`/standard-messages/import${query({ name: file.name, dry_run: dry })}`, file, options);
  running.value = { job };
  const ended = await follow(job.id);
  if (!dry) {
    running.value = { job: ended, over: ended.id };
    toast(t(`standard.import_${ended.state}`, worded(ended)), ended.state === "failed" ? { kind: "bad" } : {});
  }
  return ended;
}

function worded({ counts, source_name: name }) {
  const { created, updated, unchanged, failed } = counts;
  return { name, created, updated, unchanged, failed, n: created };
}

export function ImportDialog({ onClose }) {
  const [file, choose] = useState(null);
  const [tried, put] = useState(null); // the dry run's job
  const [state, tell] = useState({ busy: false, error: null });
  const [done, end] = useState(null);
  const input = useRef(null);
  const run = async (dry, wanted = file) => {
    tell({ busy: true, error: null });
    try {
      const job = await begin(wanted, dry);
      (dry ? put : end)(job);
      tell({ busy: false, error: null });
    } catch (error) {
      tell({ busy: false, error });
    }
  };
  const pick = (chosen) => {
    if (!chosen) return;
    choose(chosen);
    put(null);
    end(null);
    run(true, chosen);
  };
  const shown = done ?? tried;
  const useful = tried && tried.state === "done" && tried.counts.created + tried.counts.updated > 0;
  const footer = done
    ? html`<${Button} kind="primary" onClick=${onClose}>${t("ui.close")}<//>`
    : html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//>
        <${Button} kind="primary" icon="upload" busy=${state.busy} disabled=${!useful && !state.busy} onClick=${() => run(false)}>${t("standard.import_now", { n: tried?.counts.created ?? 0 })}<//>`;
  return html`<${Dialog} title=${t("standard.import")} onClose=${onClose} footer=${footer} wide>
    <p>${t("standard.import_hint")} <button type="button" class="as-link" onClick=${() => fetched("template.xlsx")}>${t("standard.template")}</button></p>
    <table class="columns-table">
      <thead><tr>${COLUMNS.map((name) => html`<th scope="col" key=${name}>${name}</th>`)}</tr></thead>
      <tbody><tr>${COLUMNS.map((name) => html`<td key=${name}>${t(`standard.column.${name}`)}</td>`)}</tr></tbody>
    </table>
    <div class="drop" onDragOver=${(event) => event.preventDefault()} onDrop=${(event) => { event.preventDefault(); pick(event.dataTransfer.files[0]); }}>
      <${Icon} name="upload" size=${26} />
      <p>${file ? file.name : t("standard.drop")}</p>
      <${Button} disabled=${state.busy} onClick=${() => input.current.click()}>${t(file ? "standard.choose_other" : "standard.choose_file")}<//>
      <input ref=${input} type="file" hidden accept=".xlsx,.xls,application/vnd.openxmlformats-officedocument.spreadsheetml.sheet,application/vnd.ms-excel" onChange=${(event) => { pick(event.target.files[0]); event.target.value = ""; }} />
    </div>
    <${Problem} error=${state.error} />
    ${state.busy && html`<${Progress} />`}
    ${shown && !state.busy && html`<${Result} job=${shown} />`}
  <//>`;
}

const COLUMNS = ["Channels", "Folder_name", "Team", "User", "Message"];

function Progress() {
  const { job, error } = running.value ?? {};
  const { done = 0, total = null } = job?.counts ?? {};
  return html`<div role="status">
    <progress max=${total || 1} value=${total ? done : undefined} aria-label=${t("standard.progress")}></progress>
    <p class="dim">${error ? inWords(error) : t(job?.dry_run ? "standard.trying" : "standard.importing", { done, total: total ?? "…" })}</p>
  </div>`;
}

function Result({ job }) {
  const { created, updated, unchanged, failed } = job.counts;
  if (job.state === "failed") return html`<p class="problem" role="alert"><${Icon} name="circle-alert" />${t("standard.import_failed", { name: job.source_name })} ${job.reason}</p>`;
  return html`<section class="result" role="status">
    <h3>${t(job.dry_run ? "standard.would" : "standard.did")}</h3>
    <dl class="tallies">
      ${Object.entries({ created, updated, unchanged, failed }).map(
        ([name, n]) => html`<div key=${name} data-tally=${name} class=${name === "failed" && n ? "bad" : ""}><dt>${t(`standard.tally.${name}`)}</dt><dd>${number(n)}</dd></div>`,
      )}
    </dl>
    ${failed > 0 && html`<${Refused} job=${job} />`}
  </section>`;
}

// The first rows that were refused, with their reasons; all of them as a file to put right.
function Refused({ job }) {
  const [rows, put] = useState([]);
  useEffect(() => {
    fetch(`/api/v1/jobs/${job.id}/errors?format=csv`, { credentials: "same-origin" })
      .then((answer) => (answer.ok ? answer.text() : ""))
      .then((text) => put(read(text).slice(1, 21)), () => put([]));
  }, [job.id]);
  return html`<div class="refused">
    <ul>${rows.map(([row, column, reason], at) => html`<li key=${at}><strong>${t("standard.refused_row", { row, column })}</strong> ${reason}</li>`)}</ul>
    <p><a href=${`/api/v1/jobs/${job.id}/errors?format=xlsx`} download>${t("standard.refused_file")}</a></p>
  </div>`;
}

// The cells of CSV: quotes double, and a quoted cell may hold ends of lines.
export function read(text) {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.replace(/^\ufeff/, "").matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    rows.at(-1).push(quoted !== undefined ? quoted.replaceAll('""', '"') : plain);
    if (end !== "," && end !== "") rows.push([]);
    if (end === "") break;
  }
  return rows.filter((row) => row.some(Boolean));
}
