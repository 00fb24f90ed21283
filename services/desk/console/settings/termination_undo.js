// What has ended by itself, and taking it back: one, or all of a time.

import { call } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { href } from "../frame/router.js";
import { duration, number, t } from "../frame/words.js";
import { Button, Card, ChannelIcon, Empty, Problem, Select, Table, Time, Waiting, confirm, toast, useGet, useWork } from "../ui/index.js";

const SPANS_S = [3600, 6 * 3600, 86_400, 7 * 86_400, 30 * 86_400];
const AUTOMATIC = "auto_terminated";

export function UndoCard({ undo }) {
  const ended = useGet("/sessions?list=ended&limit=200&counts=false&snoozed=all");
  const [span, put] = useState(undo);
  const [sum, show] = useState(null);
  const since = new Date(Date.now() - span * 1000);
  const rows = (ended.data?.items ?? []).filter((row) => row.because === AUTOMATIC && new Date(row.ended_at) >= since);
  const all = useWork(() => undone(since.toISOString(), show));
  const spans = [...new Set([...SPANS_S.filter((one) => one < undo), undo])];
  const take = async () => {
    if (!(await confirm({ title: t("switches.undo.all"), text: t("switches.undo.confirm", { span: duration(span) }), action: t("switches.undo.all") }))) return;
    show(null);
    await all.run();
    ended.reload();
  };
  return html`<${Card} title=${t("switches.undo")} hint=${t("switches.undo.hint", { span: duration(undo) })}
    actions=${undo > 0 && rows.length > 0 && html`<${Button} icon="undo-2" busy=${all.busy} onClick=${take}>${t("switches.undo.all")}<//>`}>
    ${undo === 0 ? html`<p>${t("switches.undo.never")}</p>` : html`
      <div class="undo-span"><${Select} label=${t("switches.undo.since")} value=${String(span)} options=${spans.map((one) => [String(one), t("switches.undo.span", { span: duration(one) })])} onChange=${(text) => put(Number(text))} /></div>
      <${Problem} error=${all.error} /><${Problem} error=${ended.error} retry=${ended.reload} />
      ${sum && html`<p class="notice" role="status" data-undone>${["restored", "another_open", "too_late", "failed"].filter((name) => name === "restored" || sum[name]).map((name) => t(`switches.undo.${name}`, { n: sum[name] })).join(" ")}</p>`}
      ${ended.loading && !ended.data && html`<${Waiting} />`}
      ${ended.data && html`<${Ended} rows=${rows} reload=${ended.reload} />`}`}
  <//>`;
}

// Page after page, until there is no next; the sums so far are shown meanwhile.
async function undone(since, show) {
  const sum = { restored: 0, another_open: 0, too_late: 0, failed: 0 };
  let cursor = "";
  do {
    const part = await call("POST", "/termination/undo", { since, limit: 200, cursor });
    for (const name of Object.keys(sum)) sum[name] += part[name];
    show({ ...sum });
    cursor = part.next ?? "";
  } while (cursor);
  return sum;
}

function Ended({ rows, reload }) {
  if (!rows.length) return html`<${Empty} icon="undo-2" title=${t("switches.undo.empty")} />`;
  const columns = [
    { name: "who", label: t("switches.preview.session"), show: (row) => html`<a href=${href(`/sessions/${row.id}`)}><${ChannelIcon} channel=${row.channel} label=${t(`frame.channel.${row.channel}`)} /> ${row.contact?.name || t("switches.preview.nameless")}</a>` },
    { name: "at", label: t("switches.undo.at"), show: (row) => html`<${Time} at=${row.ended_at} relative />` },
    { name: "do", label: html`<span class="apart">${t("switches.undo.one")}</span>`, end: true, show: (row) => html`<${One} row=${row} reload=${reload} />` },
  ];
  return html`<p class="dim">${t("switches.undo.count", { n: rows.length })}</p>
    <${Table} caption=${t("switches.undo")} columns=${columns} rows=${rows.slice(0, 50)} />
    ${rows.length > 50 && html`<p class="dim">${t("switches.undo.more", { n: number(rows.length - 50) })}</p>`}`;
}

function One({ row, reload }) {
  const work = useWork(() => call("POST", `/sessions/${encodeURIComponent(row.id)}/restore`, {}));
  const back = async () => {
    if (await work.run()) {
      toast(t("switches.undo.restored", { n: 1 }));
      reload();
    }
  };
  return html`<${Button} small busy=${work.busy} onClick=${back}>${t("switches.undo.one")}<//><${Problem} error=${work.error} />`;
}
