// The page of contacts: found by words and filters, tagged many at a time, taken out as a file.

import { call, newKey, query as asQuery } from "../frame/api.js";
import { html, useEffect, useRef, useState } from "../frame/html.js";
import { useKeys } from "../frame/keys.js";
import { may } from "../frame/me.js";
import { go, href } from "../frame/router.js";
import { t } from "../frame/words.js";
import { contactName } from "../frame/who.js";
import { Button, Empty, Icon, Menu, More, Page, Problem, Table, Waiting, useGet, usePages, useWork } from "../ui/index.js";
import { Bulk } from "./bulk.js";
import { useColumns } from "./columns.js";
import { CreateDialog } from "./create.js";
import { Filters, Search, asked, count } from "./filters.js";
import { Progress, useJob } from "./job.js";

const ROWS = 50;

function step(root, by) {
  const all = [...(root.current?.querySelectorAll(".contact-link") ?? [])];
  const at = all.findIndex((one) => one === document.activeElement || one.closest("tr").contains(document.activeElement));
  all.at(Math.min(Math.max(at + by, 0), all.length - 1))?.focus();
}

function Selecting({ rows, chosen, choose }) {
  const all = rows.length > 0 && rows.every(({ id }) => chosen.includes(id));
  return html`<input type="checkbox" aria-label=${t("contacts.choose.all")} checked=${all} indeterminate=${!all && chosen.length > 0}
    onChange=${(event) => choose(event.target.checked ? rows.map(({ id }) => id) : [])} />`;
}

function selectColumn(rows, chosen, choose) {
  const toggle = (id, on) => choose(on ? [...chosen, id] : chosen.filter((one) => one !== id));
  return {
    name: "choose", label: html`<${Selecting} rows=${rows} chosen=${chosen} choose=${choose} />`,
    show: (row) => html`<input type="checkbox" aria-label=${t("contacts.choose", { name: contactName(row) })} checked=${chosen.includes(row.id)} onChange=${(event) => toggle(row.id, event.target.checked)} />`,
  };
}

function Found({ pages, columns, chosen, choose, filtered, create }) {
  if (pages.loading && !pages.items.length) return html`<${Waiting} />`;
  if (pages.error && !pages.items.length) return html`<${Problem} error=${pages.error} retry=${pages.reload} />`;
  if (!pages.items.length && !pages.next) {
    return filtered
      ? html`<${Empty} icon="search" title=${t("contacts.none.found")}>${t("contacts.none.found.more")}<//>`
      : html`<${Empty} icon="users" title=${t("contacts.none")} action=${may("agent") && html`<${Button} icon="plus" onClick=${create}>${t("contacts.create")}<//>`}>${t("contacts.none.more")}<//>`;
  }
  const all = may("agent") ? [selectColumn(pages.items, chosen, choose), ...columns] : columns;
  return html`<${Table} caption=${t("contacts.title")} columns=${all} rows=${pages.items} /><${Problem} error=${pages.error} retry=${pages.more} /><${More} pages=${pages} />`;
}

function total(first) {
  const found = first?.total;
  return found ? t(found.complete ? "contacts.total" : "contacts.total.more", { n: found.count }) : "";
}

export default function Contacts({ query }) {
  const wanted = asked(query);
  const pages = usePages("/contacts", { ...wanted, total: "true", limit: ROWS });
  const fields = useGet("/contact-fields");
  const { columns, menu } = useColumns(fields.data?.items ?? []);
  const [open, show] = useState(count(query) > 0);
  const [creating, create] = useState(false);
  const [chosen, choose] = useState([]);
  const [job, begin] = useState(null);
  const watched = useJob(job);
  const root = useRef(null);
  const box = useRef(null);
  const filters = asQuery(wanted);
  useEffect(() => choose([]), [filters]);
  const set = (more) => go("/contacts", { ...query, ...more }, { replace: true });
  const exporting = useWork(async (format) => {
    const { order, ...rest } = wanted;
    begin(await call("POST", `/contacts/export${asQuery({ ...rest, format })}`, undefined, { key: newKey() }));
  });
  const toggle = () => {
    const box_ = document.activeElement?.closest("tr")?.querySelector("input[type=checkbox]");
    box_?.click();
  };
  useKeys([
    { keys: "/", group: "contacts.title", label: "contacts.search", run: () => box.current?.focus() },
    { keys: "j", group: "contacts.title", label: "contacts.keys.next", run: () => step(root, 1) },
    { keys: "k", group: "contacts.title", label: "contacts.keys.before", run: () => step(root, -1) },
    { keys: "x", group: "contacts.title", label: "contacts.keys.choose", run: toggle },
    { keys: "n", group: "contacts.title", label: "contacts.create", run: () => may("agent") && create(true) },
  ]);
  const actions = html`
    ${may("lead") && html`<a class="button" href=${href("/contacts/import")}><${Icon} name="upload" />${t("contacts.import")}</a>`}
    ${may("agent") && html`<${Menu} class="button" label=${t("contacts.export")} button=${html`<${Icon} name="download" />${t("contacts.export")}`}
      items=${["csv", "xlsx"].map((format) => ({ label: t(`contacts.export.${format}`), icon: "file-text", run: () => exporting.run(format) }))} />
      <${Button} kind="primary" icon="plus" onClick=${() => create(true)}>${t("contacts.create")}<//>`}`;
  return html`<${Page} title=${t("contacts.title")} hint=${total(pages.first)} actions=${actions}>
    <div class="contacts-tools" role="search">
      <${Search} query=${query} set=${set} box=${box} />
      <${Button} icon="funnel" aria-expanded=${String(open)} aria-controls="contact-filters" onClick=${() => show(!open)}>${count(query) ? t("contacts.filters.n", { n: count(query) }) : t("contacts.filters")}<//>
      ${menu}
    </div>
    ${open && html`<${Filters} query=${query} set=${set} />`}
    <${Problem} error=${exporting.error} />
    ${watched.job && html`<div class="card"><${Progress} watched=${watched} actions=${html`<${Button} small kind="quiet" onClick=${() => begin(null)}>${t("ui.close")}<//>`} /></div>`}
    ${chosen.length > 0 && html`<${Bulk} chosen=${chosen} clear=${() => choose([])} done=${pages.reload} />`}
    <div ref=${root}><${Found} pages=${pages} columns=${columns} chosen=${chosen} choose=${choose} filtered=${count(query) > 0 || query.q} create=${() => create(true)} /></div>
    ${creating && html`<${CreateDialog} onClose=${() => create(false)} />`}
  <//>`;
}
