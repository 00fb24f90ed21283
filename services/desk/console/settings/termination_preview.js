// What automatic ends would do: counts, when, and some of the sessions.

import { html } from "../frame/html.js";
import { href } from "../frame/router.js";
import { number, t } from "../frame/words.js";
import { Button, Card, ChannelIcon, Empty, Problem, Table, Time, Waiting } from "../ui/index.js";

export function PreviewCard({ counts, stale, work, look }) {
  return html`<${Card} title=${t("switches.preview")} hint=${t("switches.preview.hint")}
    actions=${html`<${Button} icon="eye" kind=${stale ? "primary" : ""} busy=${work.busy} onClick=${look}>${t("switches.preview.look")}<//>`}>
    <${Problem} error=${work.error} />
    ${!counts && work.busy && html`<${Waiting} />`}
    ${stale && html`<p class="notice" role="status">${t("switches.preview.stale")}</p>`}
    ${counts && html`<div class=${stale ? "outdated" : ""}><${Counts} counts=${counts} /></div>`}
  <//>`;
}

function Counts({ counts }) {
  const figures = [["idle", counts.idle], ["within_hour", counts.within_hour], ["within_day", counts.within_day], ["looked_at", counts.looked_at]];
  const parts = [
    ["rules", Object.entries(counts.rules).map(([n, sum]) => [t("switches.ends.rule", { n: Number(n) }), sum])],
    ["channels", Object.entries(counts.channels).map(([name, sum]) => [t(`frame.channel.${name}`), sum])],
    ["lists", Object.entries(counts.lists).map(([name, sum]) => [t(`switches.list.${name}`), sum])],
  ].filter(([, rows]) => rows.length);
  return html`<dl class="figures" data-preview>
      ${figures.map(([name, value]) => html`<div key=${name}><dt>${t(`switches.preview.${name}`)}</dt><dd data-figure=${name}>${number(value)}</dd></div>`)}
    </dl>
    ${counts.cut && html`<p class="hint-text">${t("switches.preview.cut")}</p>`}
    ${counts.first_at && html`<p>${t("switches.preview.first")} <${Time} at=${counts.first_at} />. ${t("switches.preview.last")} <${Time} at=${counts.last_at} />. ${t("switches.preview.pace", { n: counts.per_minute })}</p>`}
    ${parts.length > 0 && html`<div class="splits">${parts.map(([name, rows]) => html`<section key=${name}><h3>${t(`switches.preview.by.${name}`)}</h3>
      <ul>${rows.map(([label, sum]) => html`<li key=${label}><span>${label}</span><b>${number(sum)}</b></li>`)}</ul></section>`)}</div>`}
    <${Samples} rows=${counts.samples ?? []} counts=${counts} />`;
}

function Samples({ rows, counts }) {
  if (!rows.length) return counts.first_at ? null : html`<${Empty} icon="hourglass" title=${t("switches.preview.nothing")} />`;
  const columns = [
    { name: "who", label: t("switches.preview.session"), show: (row) => html`<a href=${href(`/sessions/${row.session}`)}><${ChannelIcon} channel=${row.channel} label=${t(`frame.channel.${row.channel}`)} /> ${row.contact_name || t("switches.preview.nameless")}</a>` },
    { name: "list", label: t("switches.preview.list"), show: (row) => t(`switches.list.${row.list}`) },
    { name: "rule", label: t("switches.preview.rule"), show: (row) => number(row.rule) },
    { name: "idle", label: t("switches.preview.idle_since"), show: (row) => html`<${Time} at=${row.idle_since} relative />` },
    { name: "due", label: t("switches.preview.due"), show: (row) => html`<${Time} at=${row.due} />` },
  ];
  return html`<h3>${t("switches.preview.samples")}</h3><${Table} caption=${t("switches.preview.samples")} columns=${columns} rows=${rows} rowKey=${(row) => row.session} />`;
}
