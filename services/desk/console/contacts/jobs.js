// Imports and exports of contacts, the newest first.

import { html, useEffect } from "../frame/html.js";
import { may, me } from "../frame/me.js";
import { t } from "../frame/words.js";
import { Card, Empty, IconButton, More, Problem, Table, Time, Waiting, usePages } from "../ui/index.js";
import { Counts, Files, JobState, Stop, over } from "./job.js";

const AGAIN_MS = 3000;

export function Jobs({ turn }) {
  const pages = usePages("/jobs", { limit: 20, mine: may("lead") ? "true" : undefined });
  useEffect(() => void (turn && pages.reload()), [turn]);
  const open = pages.items.some((job) => !over(job));
  useEffect(() => {
    if (!open || pages.loading) return undefined;
    const timer = setTimeout(pages.reload, AGAIN_MS);
    return () => clearTimeout(timer);
  }, [pages.items, pages.loading]);
  const columns = [
    { name: "kind", label: t("contacts.jobs.kind"), show: (job) => html`<span class="job-kind">${t(`contacts.kind.${job.kind}`)}${job.dry_run ? ` (${t("contacts.job.dry")})` : ""}<span class="dim" dir="auto">${job.source_name}</span></span>` },
    { name: "state", label: t("contacts.jobs.state"), show: (job) => html`<${JobState} job=${job} />` },
    { name: "counts", label: t("contacts.jobs.rows"), show: (job) => html`<${Counts} job=${job} />` },
    { name: "at", label: t("contacts.jobs.at"), show: (job) => html`<${Time} at=${job.created_at} />` },
    { name: "files", label: t("contacts.jobs.files"), end: true, show: (job) => html`<span class="job-files">${!over(job) && job.agent === me.value.agent.id && html`<${Stop} job=${job} stopped=${(now) => pages.set(pages.items.map((one) => (one.id === now.id ? now : one)))} />`}<${Files} job=${job} /></span>` },
  ];
  return html`<${Card} title=${t("contacts.jobs")} hint=${t("contacts.jobs.hint")} actions=${html`<${IconButton} icon="refresh-cw" label=${t("contacts.jobs.again")} onClick=${pages.reload} />`}>
    ${pages.loading && !pages.items.length && html`<${Waiting} />`}
    <${Problem} error=${pages.error} retry=${pages.reload} />
    ${!pages.loading && !pages.error && !pages.items.length && html`<${Empty} icon="layers" title=${t("contacts.jobs.none")} />`}
    ${pages.items.length > 0 && html`<${Table} caption=${t("contacts.jobs")} columns=${columns} rows=${pages.items} />`}
    <${More} pages=${pages} />
  <//>`;
}
