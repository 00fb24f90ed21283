// Webhook endpoints: where events go, and what came of each delivery.

import { ask, call, newKey } from "../frame/api.js";
import { html, useMemo, useState } from "../frame/html.js";
import { go } from "../frame/router.js";
import { t } from "../frame/words.js";
import {
  Button, Choices, Dialog, Empty, Menu, Problem, Table, TextField, Time, Waiting, confirm, toast, useGet, useWork, wrongWith,
} from "../ui/index.js";
import { Note, Once } from "./copy.js";
import { Deliveries } from "./deliveries.js";
import { SettingsPage } from "./frame.js";

export const EVENTS = [
  "message.received", "message.sent", "message.status", "session.created", "session.moved", "session.assigned", "session.handoff",
  "session.tagged", "session.ended", "contact.changed", "alert.raised", "account.unhealthy", "import.finished",
];

export default function WebhooksView({ query }) {
  const list = useGet("/webhook-endpoints");
  const [edited, edit] = useState(null); // an endpoint, or {} for a new one
  const [secret, show] = useState(null);
  const open = list.data?.items.find(({ id }) => id === query.open);
  const add = html`<${Button} kind="primary" icon="plus" onClick=${() => edit({})}>${t("webhooks.add")}<//>`;
  const work = useWork(async (doing) => {
    await doing();
    list.reload();
  });
  const path = ({ id }) => `/webhook-endpoints/${encodeURIComponent(id)}`;
  const test = (one) => work.run(async () => {
    await call("POST", `${path(one)}/test`, undefined, { key: newKey() });
    toast(t("webhooks.tested"));
    go("/settings/webhooks", { open: one.id });
  });
  const rotate = (one) => work.run(async () => {
    if (!(await confirm({ title: t("webhooks.rotate_title"), text: t("webhooks.rotate_text"), action: t("webhooks.rotate") }))) return;
    show({ url: one.url, secret: (await call("POST", `${path(one)}/rotate-secret`)).secret });
  });
  const toggle = (one) => work.run(() => call("PATCH", path(one), { enabled: !one.enabled }));
  const gone = (one) => work.run(async () => {
    if (!(await confirm({ title: t("webhooks.delete_title"), text: t("webhooks.delete_text", { url: one.url }), action: t("ui.delete"), danger: true }))) return;
    await call("DELETE", path(one));
  });
  const items = (one) => [
    { label: t("webhooks.deliveries"), icon: "list", run: () => go("/settings/webhooks", { open: one.id }) },
    { label: t("webhooks.test"), icon: "play", hidden: !one.enabled, run: () => test(one) },
    { label: t("ui.edit"), icon: "pencil", run: () => edit(one) },
    { label: t(one.enabled ? "webhooks.off" : "webhooks.on"), icon: "power", run: () => toggle(one) },
    { label: t("webhooks.rotate"), icon: "key", run: () => rotate(one) },
    { label: t("ui.delete"), icon: "trash", danger: true, run: () => gone(one) },
  ];
  const columns = [
    { name: "url", label: t("webhooks.url"), show: (one) => html`<button type="button" class="link-like" onClick=${() => go("/settings/webhooks", { open: one.id })}><bdi>${one.url}</bdi></button>${one.description && html`<small class="dim"> ${one.description}</small>`}` },
    { name: "events", label: t("webhooks.events"), show: (one) => (one.events.length ? one.events.map((name) => html`<code key=${name} class="chip">${name}</code> `) : t("webhooks.all")) },
    { name: "state", label: t("webhooks.state"), show: (one) => html`<${State} endpoint=${one} />` },
    { name: "do", label: "", end: true, show: (one) => html`<${Menu} label=${t("webhooks.do", { url: one.url })} items=${items(one)} />` },
  ];
  return html`<${SettingsPage} title=${t("webhooks.title")} hint=${t("webhooks.hint")} actions=${add}>
    ${list.error && html`<${Problem} error=${list.error} retry=${list.reload} />`}
    ${work.error && html`<${Problem} error=${work.error} />`}
    ${!list.data && list.loading && html`<${Waiting} />`}
    ${list.data?.items.length === 0 && html`<${Empty} icon="webhook" title=${t("webhooks.none")} action=${add}>${t("webhooks.none_do")}<//>`}
    ${list.data?.items.length > 0 && html`<${Table} caption=${t("webhooks.title")} columns=${columns} rows=${list.data.items} />`}
    ${open && html`<${Deliveries} key=${open.id} endpoint=${open} onClose=${() => go("/settings/webhooks")} />`}
    ${edited && html`<${Edit} endpoint=${edited} onClose=${() => edit(null)} onDone=${(made) => { edit(null); list.reload(); if (made?.secret) show(made); }} />`}
    ${secret && html`<${Dialog} title=${t("webhooks.secret")} onClose=${() => show(null)}><${Once} title=${secret.url} text=${t("webhooks.secret_once")} rows=${[[t("webhooks.secret"), secret.secret]]} /><//>`}
  <//>`;
}

function State({ endpoint: { enabled, disabled_reason: why, disabled_at: at, failing_since: since } }) {
  if (!enabled) return html`<span class=${`chip ${why === "person" ? "" : "bad"}`}>${t(`webhooks.disabled.${why || "person"}`)}</span> <${Time} at=${at} relative />`;
  if (since) return html`<span class="chip late">${t("webhooks.failing")}</span> <${Time} at=${since} relative />`;
  return html`<span class="chip good">${t("webhooks.works")}</span>`;
}

function Edit({ endpoint, onClose, onDone }) {
  const fresh = !endpoint.id;
  const key = useMemo(newKey, []);
  const path = `/webhook-endpoints/${endpoint.id}`;
  const found = useGet(fresh ? null : path);
  const accounts = useGet("/accounts").data?.items ?? [];
  const [given, put] = useState({ url: "", description: "", events: [], accounts: [], per_s: 0, ...endpoint });
  const set = (name) => (value) => put((old) => ({ ...old, [name]: value }));
  const work = useWork(async () => {
    const { url, description, events, accounts: of, per_s } = given;
    const body = { url, description, events, accounts: of, per_s: Number(per_s) };
    const { body: made } = await (fresh ? ask("POST", "/webhook-endpoints", body, { key }) : ask("PATCH", path, body, { etag: found.etag }));
    onDone(made);
  });
  const submit = (event) => {
    event.preventDefault();
    work.run();
  };
  const wrong = (field) => wrongWith(work.error, field);
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//><${Button} kind="primary" type="submit" form="endpoint" busy=${work.busy}>${t("ui.save")}<//>`;
  return html`<${Dialog} title=${t(fresh ? "webhooks.add" : "webhooks.edit")} onClose=${onClose} footer=${footer}>
    <form id="endpoint" class="form" onSubmit=${submit}>
      <${TextField} type="url" label=${t("webhooks.url")} hint=${t("webhooks.url_hint")} value=${given.url} onInput=${set("url")} error=${wrong("url")} required dir="ltr" autofocus />
      <${TextField} label=${t("webhooks.description")} value=${given.description} onInput=${set("description")} error=${wrong("description")} maxlength="200" />
      <${Choices} label=${t("webhooks.events")} hint=${t("webhooks.none_all")} value=${given.events} options=${EVENTS.map((one) => [one, t(`webhooks.event.${one}`)])} onChange=${set("events")} error=${wrong("events")} />
      ${accounts.length > 0 && html`<${Choices} label=${t("webhooks.accounts")} hint=${t("webhooks.none_all")} value=${given.accounts} options=${accounts.map(({ slug, name }) => [slug, name || slug])} onChange=${set("accounts")} error=${wrong("accounts")} />`}
      <${TextField} type="number" min="0" max="1000" label=${t("webhooks.per_s")} hint=${t("webhooks.per_s_hint")} value=${given.per_s} onInput=${set("per_s")} error=${wrong("per_s")} />
      ${fresh && html`<${Note} icon="key">${t("webhooks.secret_comes")}<//>`}
      ${work.error && !["url", "description", "events", "accounts", "per_s"].some(wrong) && html`<${Problem} error=${work.error} />`}
    </form>
  <//>`;
}
