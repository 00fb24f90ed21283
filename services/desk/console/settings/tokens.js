// Access for programs: tokens that open no more than their agent's role.

import { call, newKey } from "../frame/api.js";
import { html, useMemo, useState } from "../frame/html.js";
import { me } from "../frame/me.js";
import { t } from "../frame/words.js";
import { Button, Dialog, Empty, More, Problem, Select, Table, TextField, Time, Waiting, confirm, toast, useGet, usePages, useWork, wrongWith } from "../ui/index.js";
import { Once } from "./copy.js";
import { SettingsPage } from "./frame.js";

export default function TokensView() {
  const pages = usePages("/tokens");
  const agents = useGet("/agents").data?.items ?? [];
  const [adding, add] = useState(false);
  const gone = useWork(async (one) => {
    if (!(await confirm({ title: t("people.token_end", { name: one.name }), text: t("people.token_end_text"), action: t("people.token_end_do"), danger: true }))) return;
    await call("DELETE", `/tokens/${encodeURIComponent(one.id)}`);
    toast(t("people.token_ended", { name: one.name }));
    pages.reload();
  });
  const whose = (id) => (id === me.value.agent.id ? t("people.you") : (agents.find((one) => one.id === id)?.name ?? id));
  const make = html`<${Button} kind="primary" icon="plus" onClick=${() => add(true)}>${t("people.token_add")}<//>`;
  const columns = [
    { name: "name", label: t("people.name"), show: (one) => html`<b>${one.name}</b>` },
    { name: "agent", label: t("people.token_of"), show: (one) => whose(one.agent) },
    { name: "scopes", label: t("people.scopes"), show: (one) => (one.scopes.length ? one.scopes.map((scope) => html`<code key=${scope} class="chip">${scope}</code> `) : t("people.scopes_all")) },
    { name: "used", label: t("people.used"), show: (one) => (one.last_used_at ? html`<${Time} at=${one.last_used_at} relative />` : t("people.never_used")) },
    { name: "ends", label: t("people.ends"), show: (one) => (one.expires_at ? html`<${Time} at=${one.expires_at} />` : "–") },
    { name: "do", label: "", end: true, show: (one) => html`<${Button} small kind="quiet" aria-label=${`${t("people.token_end_do")}: ${one.name}`} onClick=${() => gone.run(one)}>${t("people.token_end_do")}<//>` },
  ];
  return html`<${SettingsPage} title=${t("people.tokens_title")} hint=${t("people.tokens_hint")} actions=${make}>
    ${pages.error && html`<${Problem} error=${pages.error} retry=${pages.reload} />`}
    ${gone.error && html`<${Problem} error=${gone.error} />`}
    ${pages.items.length > 0 && html`<${Table} caption=${t("people.tokens_title")} columns=${columns} rows=${pages.items} />`}
    ${!pages.items.length && !pages.error && (pages.loading ? html`<${Waiting} />` : html`<${Empty} icon="key" title=${t("people.no_tokens")} action=${make}>${t("people.no_tokens_do")}<//>`)}
    <${More} pages=${pages} />
    ${adding && html`<${Add} onClose=${() => { add(false); pages.reload(); }} />`}
  <//>`;
}

function Add({ onClose }) {
  const key = useMemo(newKey, []);
  const [given, put] = useState({ name: "", opens: "all", scopes: "", days: 90 });
  const [made, done] = useState(null);
  const set = (name) => (value) => put((old) => ({ ...old, [name]: value }));
  const scopes = { all: [], read: ["*:read"], some: given.scopes.split(/[\s,]+/).filter(Boolean) }[given.opens];
  const work = useWork(async () => done(await call("POST", "/tokens", { name: given.name, scopes, expires_in_days: Number(given.days) }, { key })));
  const submit = (event) => {
    event.preventDefault();
    work.run();
  };
  const wrong = (field) => wrongWith(work.error, field);
  const footer = made
    ? html`<${Button} kind="primary" onClick=${onClose}>${t("people.done")}<//>`
    : html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//><${Button} kind="primary" type="submit" form="token" busy=${work.busy}>${t("people.token_make")}<//>`;
  return html`<${Dialog} title=${t("people.token_add")} onClose=${onClose} footer=${footer}>
    ${made ? html`<${Once} title=${made.token.name} text=${t("people.token_once")} rows=${[[t("people.token"), made.secret]]} />` : html`<form id="token" class="form" onSubmit=${submit}>
      <${TextField} label=${t("people.name")} hint=${t("people.token_name_hint")} value=${given.name} onInput=${set("name")} error=${wrong("name")} required maxlength="100" autofocus />
      <${Select} label=${t("people.scopes")} value=${given.opens} options=${["all", "read", "some"].map((one) => [one, t(`people.opens.${one}`)])} onChange=${set("opens")} />
      ${given.opens === "some" && html`<${TextField} label=${t("people.scopes_list")} hint=${t("people.scopes_hint")} value=${given.scopes} onInput=${set("scopes")} error=${wrong("scopes")} required dir="ltr" placeholder="contacts:read sessions:write" />`}
      <${TextField} type="number" min="1" max="365" label=${t("people.days_left")} value=${given.days} onInput=${set("days")} error=${wrong("expires_in_days")} required />
      ${work.error && !["name", "scopes", "expires_in_days"].some(wrong) && html`<${Problem} error=${work.error} />`}
    </form>`}
  <//>`;
}
