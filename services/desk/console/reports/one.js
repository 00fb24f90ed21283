// One report: its totals, its course over time, and its rows by what is chosen.

import { query } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Card, Empty, Problem, Select, Table, Waiting, useGet } from "../ui/index.js";
import { DRAWN, TILES, columnName, rowName, shown } from "./figures.js";
import { Heat } from "./heat.js";
import { Plot } from "./plot.js";

const ROWS_BY = ["channel", "account", "team", "agent", "day", "hour"];

// `asked`: from, to and filters, as GET /reports/{name} takes them.
export function Report({ report, asked }) {
  const { name, by } = report;
  const inDays = by.includes("day");
  const days = useGet(`/reports/${name}${query({ ...asked, by: inDays ? "day" : by[0] })}`);
  if (days.error) return html`<${Problem} error=${days.error} retry=${days.reload} />`;
  if (!days.data) return html`<${Waiting} label=${t("reports.reckoning")} />`;
  return html`
    <${Tiles} name=${name} totals=${days.data.totals} definitions=${report.definitions} />
    ${inDays &&
    html`<${Card} title=${t("reports.over_time")}>
      <${Plot} rows=${days.data.rows} ...${DRAWN[name]} label=${t("reports.plot_of", { what: DRAWN[name].columns.map(columnName).join(", ") })} />
    <//>`}
    <${Rows} report=${report} asked=${asked} />
    <${Meanings} definitions=${report.definitions} />
  `;
}

export function Tiles({ name, totals, definitions = {} }) {
  return html`<ul class="tiles">
    ${(TILES[name] ?? Object.keys(totals).slice(0, 4)).map(
      (column) => html`<li key=${column} class="tile" title=${definitions[column]}>
        <span class="tile-value">${shown(column, totals[column])}</span>
        <span class="dim">${columnName(column)}</span>
      </li>`,
    )}
  </ul>`;
}

function Rows({ report: { name, by }, asked }) {
  const ways = ROWS_BY.filter((one) => by.includes(one));
  const [way, choose] = useState(ways[0]);
  const read = useGet(`/reports/${name}${query({ ...asked, by: way })}`);
  const csv = `/api/v1/reports/${name}${query({ ...asked, by: way, format: "csv" })}`;
  const actions = html`
    ${ways.length > 1 &&
    html`<${Select} label=${t("reports.by")} class="inline" value=${way} onChange=${choose} options=${ways.map((one) => [one, t(`reports.by.${one}`)])} />`}
    <a class="button" href=${csv} download>${t("reports.csv")}</a>
  `;
  return html`<${Card} title=${t(`reports.by.${way}`)} actions=${actions}>
    ${read.error && html`<${Problem} error=${read.error} retry=${read.reload} />`}
    ${!read.error && !read.data && html`<${Waiting} />`}
    ${read.data && html`<${Values} name=${name} way=${way} rows=${read.data.rows} />`}
  <//>`;
}

function Values({ name, way, rows }) {
  if (!rows.length) return html`<${Empty} icon="chart-column" title=${t("reports.none")} />`;
  const columns = Object.keys(rows[0].values);
  if (way === "hour") return html`<${Heat} rows=${rows} column=${(TILES[name] ?? columns)[0]} />`;
  const first = DRAWN[name].columns[0];
  const most = Math.max(...rows.map(({ values }) => values[first] ?? 0), 0);
  const bar = (row) => html`<span class="bar-cell">
    <meter min="0" max=${most || 1} value=${row.values[first] ?? 0} aria-label=${columnName(first)}></meter>
  </span>`;
  return html`<${Table}
    caption=${t(`reports.name.${name}`)} rows=${rows} rowKey=${(row) => row.key}
    columns=${[
      { name: "key", label: t(`reports.by.${way}`), show: (row) => html`<strong>${rowName(way, row)}</strong>` },
      ...(way === "day" ? [] : [{ name: "bar", label: html`<span class="apart">${columnName(first)}</span>`, show: bar }]),
      ...columns.map((column) => ({ name: column, label: columnName(column), end: true, show: ({ values }) => shown(column, values[column]) })),
    ]}
  />`;
}

function Meanings({ definitions }) {
  return html`<details class="meanings">
    <summary>${t("reports.meanings")}</summary>
    <dl>${Object.entries(definitions).map(([column, text]) => html`<div key=${column}><dt>${columnName(column)}</dt><dd lang="en">${text}</dd></div>`)}</dl>
  </details>`;
}
