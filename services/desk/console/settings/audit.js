// Who changed what: by filters, each change as what was and what is, and as a file.

import { query as search } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Empty, Icon, More, Problem, Select, TextField, Time, Waiting, useGet, usePages } from "../ui/index.js";
import { changes } from "./diff.js";
import { SettingsPage } from "./frame.js";

const BLANK = { actor: "", action: "", object: "", since: "", until: "" };

// A day of the reader's zone as a time with its offset; `days` later.
function timeOf(date, days = 0) {
  if (!date) return "";
  const at = new Date(`${date}T00:00`);
  at.setDate(at.getDate() + days);
  return Number.isNaN(at.getTime()) ? "" : at.toISOString();
}

export default function AuditView() {
  const [draft, write] = useState(BLANK);
  const [wanted, want] = useState({});
  const agents = useGet("/agents").data?.items ?? [];
  const pages = usePages("/audit", wanted);
  const names = Object.fromEntries(agents.map(({ id, name }) => [`agent:${id}`, name]));
  const set = (name) => (value) => write((old) => ({ ...old, [name]: value }));
  const find = (event) => {
    event.preventDefault();
    want({ ...draft, object: draft.object.trim(), action: draft.action.trim(), since: timeOf(draft.since), until: timeOf(draft.until, 1) });
  };
  const clear = () => {
    write(BLANK);
    want({});
  };
  const file = html`<a class="button" href=${`/api/v1/audit/export${search(wanted)}`} download="audit.csv"><${Icon} name="download" />${t("audit.export")}</a>`;
  return html`<${SettingsPage} title=${t("audit.title")} hint=${t("audit.hint")} actions=${file}>
    <form class="audit-filters" onSubmit=${find} role="search">
      <${Select} label=${t("audit.actor")} value=${draft.actor} options=${[["", t("audit.anybody")], ...agents.map(({ id, name }) => [`agent:${id}`, name])]} onChange=${set("actor")} />
      <${TextField} label=${t("audit.action")} value=${draft.action} onInput=${set("action")} placeholder="account.patch" dir="ltr" />
      <${TextField} label=${t("audit.object")} value=${draft.object} onInput=${set("object")} placeholder="account:shop" dir="ltr" />
      <${TextField} type="date" label=${t("audit.since")} value=${draft.since} onInput=${set("since")} />
      <${TextField} type="date" label=${t("audit.until")} value=${draft.until} onInput=${set("until")} />
      <div class="form-end"><${Button} kind="primary" icon="search" type="submit">${t("audit.find")}<//><${Button} onClick=${clear}>${t("audit.clear")}<//></div>
    </form>
    ${pages.error && html`<${Problem} error=${pages.error} retry=${pages.reload} />`}
    ${!pages.items.length && !pages.error && (pages.loading ? html`<${Waiting} />` : html`<${Empty} icon="list-checks" title=${t("audit.none")}>${t("audit.none_do")}<//>`)}
    ${pages.items.length > 0 && html`<ul class="card lined audit">${pages.items.map((one) => html`<${Entry} key=${one.id} entry=${one} name=${names[one.actor] ?? one.actor} />`)}</ul>`}
    <${More} pages=${pages} />
  <//>`;
}

function Entry({ entry, name }) {
  const [open, put] = useState(false);
  const kind = entry.before === null ? "good" : entry.after === null ? "bad" : "";
  const word = entry.before === null && entry.after === null ? "did" : entry.before === null ? "made" : entry.after === null ? "deleted" : "changed";
  return html`<li>
    <span><b>${name}</b> <span class=${`chip ${kind}`}>${t(`audit.${word}`)}</span> <bdi><code>${entry.object}</code></bdi>
      <small><${Time} at=${entry.at} /> · <code>${entry.action}</code></small></span>
    <${Button} small aria-expanded=${String(open)} aria-label=${`${t("audit.show")}: ${entry.action} ${entry.object}`} onClick=${() => put(!open)}>${t("audit.show")}<//>
    ${open && html`<${Diff} before=${entry.before} after=${entry.after} />`}
  </li>`;
}

export function Diff({ before, after }) {
  const rows = changes(before, after);
  if (!rows.length) return html`<p class="delivery dim">${t("audit.same")}</p>`;
  return html`<dl class="diff delivery">
    ${rows.map(({ path, old, now }) => html`<div key=${path}>
      <dt><bdi>${path || t("audit.whole")}</bdi></dt>
      <dd>${old !== undefined && html`<del><span class="apart">${t("audit.before")} </span>${shown(old)}</del>`}${now !== undefined && html`<ins><span class="apart">${t("audit.after")} </span>${shown(now)}</ins>`}</dd>
    </div>`)}
  </dl>`;
}

function shown(value) {
  return typeof value === "string" ? value || "“”" : JSON.stringify(value);
}
