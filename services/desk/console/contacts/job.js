// Imports and exports as jobs: how far one is, what it made, and which rows it refused.

import { call } from "../frame/api.js";
import { html, useEffect, useState } from "../frame/html.js";
import { number, t } from "../frame/words.js";
import { Button, Icon, Problem, useWork } from "../ui/index.js";

const ASK_MS = 700;
const OVER = new Set(["done", "failed", "cancelled"]);
const LOOKS = { done: "good", failed: "bad", cancelled: "late", running: "", waiting: "" };

export function over(job) {
  return OVER.has(job.state);
}

// The job as it goes on, asked for until it is over.
export function useJob(given) {
  const [known, put] = useState(given);
  const [error, fail] = useState(null);
  const job = known?.id === given?.id ? known : given; // another is shown from its first moment
  useEffect(() => {
    if (!job || over(job)) return undefined;
    const timer = setTimeout(() => {
      call("GET", `/jobs/${encodeURIComponent(job.id)}`).then(
        (now) => { fail(null); put(now); },
        (problem) => { fail(problem); if (!problem.status || problem.status >= 429) put({ ...job }); // ask again
        },
      );
    }, ASK_MS);
    return () => clearTimeout(timer);
  }, [job]);
  return { job, error, put };
}

export function jobFile(job, what) {
  return `/api/v1/jobs/${encodeURIComponent(job.id)}/${what}`;
}

export function JobState({ job }) {
  return html`<span class=${`chip ${LOOKS[job.state]}`}>${t(`contacts.job.${job.state}`)}</span>`;
}

export function Counts({ job }) {
  const { counts } = job;
  const rows = job.kind === "contacts.export" ? [["done", counts.done]] : ["created", "updated", "unchanged", "failed"].map((name) => [name, counts[name]]);
  return html`<dl class="job-counts">${rows.map(
    ([name, value]) => html`<div key=${name} class=${name === "failed" && value > 0 ? "bad" : ""}><dt>${t(`contacts.count.${job.dry_run && name !== "done" ? "would." : ""}${name}`)}</dt><dd>${number(value)}</dd></div>`,
  )}</dl>`;
}

export function Stop({ job, stopped }) {
  const stop = useWork(async () => stopped(await call("POST", `/jobs/${encodeURIComponent(job.id)}/cancel`, {})));
  return html`<${Button} small icon="x" busy=${stop.busy} onClick=${stop.run}>${t("contacts.job.stop")}<//><${Problem} error=${stop.error} />`;
}

// How far it is, with what can be done: cancel it, or take what it made.
export function Progress({ watched, actions }) {
  const { job, error, put } = watched;
  if (!job) return null;
  const { done, total } = job.counts;
  return html`<div class="job-progress" role="group" aria-label=${t(`contacts.kind.${job.kind}`)}>
    <p class="progress-head"><span class="strong">${t(`contacts.kind.${job.kind}`)}</span> ${job.source_name && html`<span class="dim" dir="auto">${job.source_name}</span>`} <${JobState} job=${job} /></p>
    ${!over(job) && html`<progress max=${total || 1} value=${total ? done : undefined} aria-label=${t("contacts.job.progress")}></progress>
      <p class="dim" role="status">${total ? t("contacts.job.rows", { done, n: total }) : t("contacts.job.begins")}</p>`}
    ${over(job) && job.state !== "failed" && html`<div role="status"><${Counts} job=${job} /></div>`}
    ${job.reason && html`<p class="problem" role="alert"><${Icon} name="circle-alert" />${job.reason}</p>`}
    <${Problem} error=${error} />
    <div class="form-end">
      ${!over(job) && html`<${Stop} job=${job} stopped=${put} />`}
      <${Files} job=${job} />
      ${actions}
    </div>
  </div>`;
}

export function Files({ job }) {
  return html`
    ${job.result && html`<a class="button small" href=${jobFile(job, "result")} download><${Icon} name="download" />${t("contacts.job.result")}</a>`}
    ${job.errors && over(job) && ["xlsx", "csv"].map((format) => html`<a key=${format} class="button small" href=${jobFile(job, `errors?format=${format}`)} download><${Icon} name="download" />${t("contacts.job.errors", { format: format.toUpperCase() })}</a>`)}
  `;
}

