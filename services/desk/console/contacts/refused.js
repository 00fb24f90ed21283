// The rows that an import refused, each with its reason, as a table.

import { html, useEffect, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Problem, Table, Waiting } from "../ui/index.js";
import { rowsOf } from "./csv.js";
import { jobFile } from "./job.js";

const MOST = 100; // more are in the file that can be downloaded
const CELLS = 4;

// {head: [names], rows: [{row, column, reason, cells}]} of the file of refused rows.
export function refusedRows(text) {
  const [head = [], ...rows] = rowsOf(text);
  return {
    head: head.slice(3, 3 + CELLS),
    rows: rows.map(([row, column, reason, ...cells]) => ({ row, column, reason, cells: cells.slice(0, CELLS) })),
  };
}

export function Refused({ job }) {
  const [found, put] = useState(null);
  const [error, fail] = useState(null);
  const read = async () => {
    fail(null);
    try {
      const answer = await fetch(jobFile(job, "errors?format=csv"), { credentials: "same-origin", cache: "no-store" });
      if (!answer.ok) throw new Error(t("ui.refused", { status: answer.status }));
      put(refusedRows(await answer.text()));
    } catch (problem) {
      fail(problem);
    }
  };
  useEffect(() => void (job.errors && read()), [job.id, job.errors]);
  if (!job.errors) return job.state === "done" && job.counts.total ? html`<p class="good-word">${t(job.dry_run ? "contacts.refused.none.dry" : "contacts.refused.none")}</p>` : null;
  if (error) return html`<${Problem} error=${error} retry=${read} />`;
  if (!found) return html`<${Waiting} />`;
  const columns = [
    { name: "row", label: t("contacts.refused.row"), show: ({ row }) => row },
    { name: "column", label: t("contacts.refused.column"), show: ({ column }) => column },
    { name: "reason", label: t("contacts.refused.reason"), show: ({ reason }) => html`<span class="wrong">${reason}</span>` },
    ...found.head.map((label, at) => ({ name: `cell-${at}`, label, show: ({ cells }) => html`<span dir="auto">${cells[at]}</span>` })),
  ];
  return html`<div class="refused-rows">
    <h3>${t("contacts.refused", { n: job.counts.failed })}</h3>
    <${Table} caption=${t("contacts.refused.caption")} columns=${columns} rows=${found.rows.slice(0, MOST)} rowKey=${({ row, column }) => `${row} ${column}`} />
    ${found.rows.length > MOST && html`<p class="dim">${t("contacts.refused.more", { n: found.rows.length - MOST })}</p>`}
  </div>`;
}
