// What a webhook endpoint was told: each delivery with its tries, and telling it again.

import { call } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { number, t } from "../frame/words.js";
import { Button, Dialog, Empty, More, Problem, Select, Time, Waiting, toast, useGet, usePages, useWork } from "../ui/index.js";

const KINDS = { delivered: "good", failed: "bad", pending: "late", cancelled: "" };

export function Deliveries({ endpoint, onClose }) {
  const path = `/webhook-endpoints/${encodeURIComponent(endpoint.id)}`;
  const [state, choose] = useState("");
  const pages = usePages(`${path}/deliveries`, { state });
  const again = useWork(async (since) => {
    let count = 0;
    let cursor = "";
    do {
      const told = await call("POST", `${path}/redeliver`, { since, cursor });
      count += told.count;
      cursor = told.next ?? "";
    } while (cursor);
    toast(t("webhooks.again", { n: count }));
    pages.reload();
  });
  const day = () => again.run(new Date(Date.now() - 86_400_000).toISOString());
  return html`<${Dialog} side title=${t("webhooks.deliveries")} onClose=${onClose}>
    <p class="dim"><bdi>${endpoint.url}</bdi></p>
    <div class="audit-filters">
      <${Select} label=${t("webhooks.state")} value=${state} options=${[["", t("webhooks.every")], ...Object.keys(KINDS).map((one) => [one, t(`webhooks.delivery.${one}`)])]} onChange=${choose} />
      <${Button} icon="refresh-cw" onClick=${pages.reload}>${t("webhooks.refresh")}<//>
      <${Button} busy=${again.busy} disabled=${!endpoint.enabled} onClick=${day}>${t("webhooks.redeliver_day")}<//>
    </div>
    ${(pages.error || again.error) && html`<${Problem} error=${pages.error ?? again.error} retry=${pages.reload} />`}
    ${!pages.items.length && !pages.error && (pages.loading ? html`<${Waiting} />` : html`<${Empty} icon="webhook" title=${t("webhooks.no_deliveries")}>${t("webhooks.no_deliveries_do")}<//>`)}
    <ul class="lined">${pages.items.map((one) => html`<${Delivery} key=${one.id} row=${one} path=${path} onAgain=${pages.reload} />`)}</ul>
    <${More} pages=${pages} />
  <//>`;
}

function Delivery({ row, path, onAgain }) {
  const [open, put] = useState(false);
  const answer = row.last ? (row.last.status ? `HTTP ${row.last.status}` : row.last.error) : "";
  return html`<li>
    <span><b>${t(`webhooks.event.${row.type}`)}</b> <span class=${`chip ${KINDS[row.state]}`}>${t(`webhooks.delivery.${row.state}`)}</span>
      <small><${Time} at=${row.created_at} /> · ${t("webhooks.tries", { n: row.tries })}${answer && html` · <code>${answer}</code>`}</small></span>
    <${Button} small aria-expanded=${String(open)} aria-label=${`${t("webhooks.details")}: ${row.type}`} onClick=${() => put(!open)}>${t("webhooks.details")}<//>
    ${open && html`<${Details} path=${`${path}/deliveries/${encodeURIComponent(row.id)}`} onAgain=${onAgain} />`}
  </li>`;
}

function Details({ path, onAgain }) {
  const found = useGet(path);
  const work = useWork(async () => {
    await call("POST", `${path}/redeliver`);
    toast(t("webhooks.again", { n: 1 }));
    onAgain();
    found.reload();
  });
  if (found.error) return html`<${Problem} error=${found.error} retry=${found.reload} />`;
  if (!found.data) return html`<${Waiting} />`;
  return html`<div class="delivery">
    ${found.data.attempts.map((one) => html`<p key=${one.at} class="dim"><${Time} at=${one.at} /> · <code>${one.status ? `HTTP ${one.status}` : one.error}</code> · ${number(one.took_ms, { style: "unit", unit: "millisecond" })}${one.answer && html` · <q>${one.answer}</q>`}</p>`)}
    <pre class="body" dir="ltr" tabindex="0">${pretty(found.data.body)}</pre>
    ${work.error && html`<${Problem} error=${work.error} />`}
    <div class="form-end"><${Button} small icon="rotate-ccw" busy=${work.busy} onClick=${work.run}>${t("webhooks.redeliver")}<//></div>
  </div>`;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
