// Kept filters: to choose one, keep what is chosen, share it, or let a login show it.

import { call, newKey } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { t } from "../frame/words.js";
import { Button, Checkbox, Dialog, Menu, Problem, TextField, confirm, inWords, toast, useWork, wrongWith } from "../ui/index.js";
import { Icon } from "../ui/index.js";
import { EVERYTHING, completed, kept, same } from "./filters.js";
import { choose } from "./facets.js";
import { first, readSaved, saved } from "./start.js";

const USUAL = [
  ["all", {}], ["with_agent", { with: ["agent"] }], ["with_bot", { with: ["bot"] }],
  ["mine", { assignee: ["me"] }], ["new", { assignee: ["new"] }], ["others", { assignee: ["others"] }],
];

export function currentOf(filters) {
  const found = saved.value.find(({ query }) => same(completed(query), { ...filters, q: "" }));
  const usual = USUAL.find(([, query]) => same(completed(query), { ...filters, q: "" }));
  return { kept: found, name: found?.name ?? (usual ? t(`inbox.usual.${usual[0]}`) : t("inbox.usual.chosen")) };
}

export function FilterMenu({ filters }) {
  const { kept: current, name } = currentOf(filters);
  const item = (label, query, icon) => ({
    label, icon, checked: same(completed(query), { ...filters, q: "" }), run: () => choose(completed(query)),
  });
  const items = [
    ...USUAL.map(([one, query]) => item(t(`inbox.usual.${one}`), query)),
    ...saved.value.map((one) => item(one.shared ? t("inbox.saved.shared", { name: one.name }) : one.name, one.query)),
  ];
  const button = html`<span class="filter-name">${current ? current.name : name}</span><${Icon} name="chevron-down" size=${16} />`;
  return html`<${Menu} label=${t("inbox.show", { name })} class="filter-button" button=${button} items=${items} />`;
}

export function FilterActions({ filters }) {
  const [form, put] = useState(null);
  const { kept: current } = currentOf(filters);
  const own = current && (current.mine || (current.shared && may("lead")));
  const isFirst = same(completed(first.value.query), { ...filters, q: "" });
  const doing = (work, said) => async () => {
    try {
      await work();
      await readSaved();
      toast(said);
    } catch (error) {
      toast(inWords(error), { kind: "bad" });
    }
  };
  const start = (body) => () => call("PUT", "/inbox/default", body);
  const remove = async () => {
    const sure = await confirm({ title: t("inbox.saved.delete.sure", { name: current.name }), action: t("ui.delete"), danger: true });
    if (sure) await doing(() => call("DELETE", `/filters/${current.id}`), t("inbox.saved.deleted"))();
  };
  const items = [
    { label: t("inbox.saved.keep"), icon: "plus", run: () => put({}) },
    { label: t("inbox.saved.rename"), icon: "pencil", hidden: !own, run: () => put(current) },
    { label: t("inbox.saved.delete"), icon: "trash", danger: true, hidden: !own, run: remove },
    { label: t("inbox.first.set"), icon: "star", hidden: isFirst, run: doing(start(current ? { filter: current.id } : { query: kept(filters) }), t("inbox.first.done")) },
    { label: t("inbox.first.back"), icon: "rotate-ccw", hidden: !first.value.filter && isUsual(), run: doing(start({}), t("inbox.first.done")) },
    { label: t("inbox.clear"), icon: "x", hidden: same(filters, EVERYTHING), run: () => choose(EVERYTHING) },
  ];
  return html`<${Menu} label=${t("inbox.saved.more")} items=${items} />${form && html`<${FilterForm} filters=${filters} kept=${form} onClose=${() => put(null)} />`}`;
}

function isUsual() {
  return same(completed(first.value.query), completed({ with: ["agent"] }));
}

function FilterForm({ filters, kept: known, onClose }) {
  const [name, put] = useState(known.name ?? "");
  const [shared, share] = useState(false);
  const work = useWork(async () => {
    if (known.id) await call("PATCH", `/filters/${known.id}`, { name });
    else await call("POST", "/filters", { name, shared, query: kept(filters) }, { key: newKey() });
    await readSaved();
    toast(t("inbox.saved.done"));
    onClose();
  });
  const send = (event) => {
    event.preventDefault();
    work.run();
  };
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//><${Button} kind="primary" busy=${work.busy} type="submit" form="filter-form">${t("ui.save")}<//>`;
  const wrong = wrongWith(work.error, "name");
  return html`<${Dialog} title=${t(known.id ? "inbox.saved.rename" : "inbox.saved.keep")} onClose=${onClose} footer=${footer}>
    <form id="filter-form" class="form" onSubmit=${send}>
      <${TextField} label=${t("inbox.saved.name")} value=${name} onInput=${put} error=${wrong} required maxlength="100" autofocus />
      ${!known.id && may("lead") && html`<${Checkbox} label=${t("inbox.saved.share")} checked=${shared} onChange=${share} />`}
      ${!wrong && html`<${Problem} error=${work.error} />`}
    </form>
  <//>`;
}
