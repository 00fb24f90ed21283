// Reports: what is asked (period, channel, team), which report, and the dashboard of all.

import { query as asQuery } from "../frame/api.js";
import { html } from "../frame/html.js";
import { go, href } from "../frame/router.js";
import { has, t } from "../frame/words.js";
import { Card, Page, Problem, Select, TextField, Waiting, useGet } from "../ui/index.js";
import { DRAWN, columnName } from "./figures.js";
import { Report, Tiles } from "./one.js";
import { Plot } from "./plot.js";

const PERIODS = [7, 30, 90];
const DAY_MS = 86_400_000;
const ON_DASHBOARD = ["volume", "response", "waiting", "resolution", "bots", "satisfaction"];

export default function ReportsView({ params, query }) {
  const every = useGet("/reports");
  const report = every.data?.items.find(({ name }) => name === params.name);
  const path = params.name ? `/reports/${params.name}` : "/reports";
  const set = (more) => go(path, { ...query, ...more });
  const asked = asAsked(query);
  return html`<${Page} title=${t("reports.title")} hint=${t("reports.hint")}>
    <nav class="tabs" aria-label=${t("reports.title")}>
      <a href=${href("/reports", query)} aria-current=${params.name ? undefined : "page"}>${t("reports.dashboard")}</a>
      ${every.data?.items.map(
        ({ name }) => html`<a key=${name} href=${href(`/reports/${name}`, query)} aria-current=${name === params.name ? "page" : undefined}>
          ${has(`reports.name.${name}`) ? t(`reports.name.${name}`) : name}
        </a>`,
      )}
    </nav>
    <${Filters} query=${query} set=${set} />
    <${Problem} error=${every.error} retry=${every.reload} />
    ${!every.data && !every.error && html`<${Waiting} />`}
    ${report && html`<${Report} key=${report.name + asQuery(asked)} report=${report} asked=${asked} />`}
    ${every.data && !params.name &&
    html`<div class="dashboard">${ON_DASHBOARD.filter((name) => every.data.items.some((one) => one.name === name)).map(
      (name) => html`<${Summary} key=${name + asQuery(asked)} name=${name} asked=${asked} query=${query} />`,
    )}</div>`}
  <//>`;
}

// From and to as days; a period of the last days where none are given.
function asAsked({ days = "30", from, to, channel, team }) {
  if (from && to) return { from, to, channel, team };
  const midnight = new Date(new Date().toDateString());
  const day = (ms) => new Date(ms - midnight.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
  return { from: day(midnight.getTime() - (Number(days) - 1) * DAY_MS), to: day(midnight.getTime() + DAY_MS), channel, team };
}

function Filters({ query, set }) {
  const accounts = useGet("/accounts");
  const teams = useGet("/teams");
  const own = Boolean(query.from && query.to);
  const asked = asAsked(query);
  const channels = [...new Set(accounts.data?.items.map(({ channel }) => channel) ?? [])];
  const choose = (value) => set(value === "own" ? { from: asked.from, to: asked.to, days: "" } : { days: value, from: "", to: "" });
  return html`<form class="filters" onSubmit=${(event) => event.preventDefault()}>
    <${Select} label=${t("reports.period")} value=${own ? "own" : (query.days ?? "30")} onChange=${choose}
      options=${[...PERIODS.map((n) => [String(n), t("reports.last_days", { n })]), ["own", t("reports.own_period")]]} />
    ${own && html`
      <${TextField} type="date" label=${t("reports.from")} value=${query.from} onInput=${(from) => from && set({ from })} />
      <${TextField} type="date" label=${t("reports.to")} value=${query.to} onInput=${(to) => to && set({ to })} />`}
    <${Select} label=${t("reports.by.channel")} value=${query.channel ?? ""} onChange=${(channel) => set({ channel })}
      options=${[["", t("reports.all")], ...channels.map((one) => [one, has(`frame.channel.${one}`) ? t(`frame.channel.${one}`) : one])]} />
    ${teams.data?.items.length > 0 &&
    html`<${Select} label=${t("reports.by.team")} value=${query.team ?? ""} onChange=${(team) => set({ team })}
      options=${[["", t("reports.all")], ...teams.data.items.map(({ id, name }) => [id, name || id])]} />`}
  </form>`;
}

function Summary({ name, asked, query }) {
  const read = useGet(`/reports/${name}${asQuery({ ...asked, by: "day" })}`);
  const { columns, stacked } = DRAWN[name];
  const more = html`<a href=${href(`/reports/${name}`, query)} aria-label=${t("reports.more_of", { name: t(`reports.name.${name}`) })}>${t("reports.more")}</a>`;
  return html`<${Card} title=${t(`reports.name.${name}`)} actions=${more}>
    <${Problem} error=${read.error} retry=${read.reload} />
    ${!read.data && !read.error && html`<${Waiting} />`}
    ${read.data && html`
      <${Tiles} name=${name} totals=${read.data.totals} />
      <${Plot} rows=${read.data.rows} columns=${columns} stacked=${stacked} label=${t("reports.plot_of", { what: columns.map(columnName).join(", ") })} />`}
  <//>`;
}
