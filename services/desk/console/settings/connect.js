// Connecting an account: which channel, what it needs, then its address and a test.

import { call, newKey } from "../frame/api.js";
import { html, useMemo, useState } from "../frame/html.js";
import { has, t } from "../frame/words.js";
import {
  Button, ChannelIcon, Dialog, Problem, TextField, Waiting, useGet, useWork, wrongWith,
} from "../ui/index.js";
import { Address, Test } from "./channel_test.js";
import { Copy, Once } from "./copy.js";
import { tagOf } from "./website.js";

export function Connect({ onClose, known }) {
  const kinds = useGet("/channels/kinds");
  const [kind, choose] = useState(null);
  const [made, put] = useState(null);
  const title = made ? t("channels.connected", { name: made.name || made.slug }) : kind ? t("channels.connect_one", { channel: titleOf(kind) }) : t("channels.connect");
  return html`<${Dialog} wide title=${title} onClose=${() => onClose(made?.slug)}>
    ${kinds.error && html`<${Problem} error=${kinds.error} retry=${kinds.reload} />`}
    ${!kinds.data && kinds.loading && html`<${Waiting} />`}
    ${kinds.data && !kind && html`<${Kinds} kinds=${kinds.data.items} onChoose=${choose} />`}
    ${kind && !made && html`<${Form} kind=${kind} known=${known} apiBase=${kinds.data.api_base} onMade=${put} onBack=${() => choose(null)} />`}
    ${made && html`<${Made} account=${made} kind=${kind} onClose=${onClose} />`}
  <//>`;
}

function titleOf({ channel, title }) {
  return has(`frame.channel.${channel}`) ? t(`frame.channel.${channel}`) : title;
}

function Kinds({ kinds, onChoose }) {
  return html`<p>${t("channels.which")}</p>
    <ul class="kinds">
      ${kinds.map(
        (kind) => html`<li key=${kind.channel}>
          <button type="button" class="kind" onClick=${() => onChoose(kind)}>
            <${ChannelIcon} channel=${kind.channel} size=${24} /><b>${titleOf(kind)}</b>
          </button>
        </li>`,
      )}
    </ul>`;
}

// The steps of the setup, in this language where we have them, else in the API's words.
export function Steps({ kind, done = [] }) {
  const of = kind.shares_app ? "meta" : kind.channel;
  const words = (step) => {
    const key = `channels.step.${of}.${step.code}`;
    return has(key) ? t(key, { fields: step.words.split(" fields ").at(-1).replace(/\.$/, "") }) : step.words;
  };
  return html`<ol class="steps">
    ${kind.steps.map((step) => html`<li key=${step.code} class=${done.includes(step.code) ? "done" : ""}>${words(step)}</li>`)}
  </ol>`;
}

function slugOf(text) {
  return text.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 48);
}

function Form({ kind, known, apiBase, onMade, onBack }) {
  const key = useMemo(newKey, []);
  const [given, put] = useState({ name: "", slug: "", external_id: "", app: "", api_base: "", secrets: {} });
  const [own, typed] = useState(false); // the slug was typed: it follows the name no more
  const apps = useMemo(() => [...new Set(known.map(({ webhook_path: path }) => path.match(/^\/webhooks\/meta\/(.+)$/)?.[1]).filter(Boolean))], [known]);
  const set = (name) => (value) => put((old) => ({ ...old, [name]: value }));
  const named = (value) => put((old) => ({ ...old, name: value, slug: own ? old.slug : slugOf(`${value} ${kind.channel}`.trim()) }));
  const secret = (name) => (value) => put((old) => ({ ...old, secrets: { ...old.secrets, [name]: value } }));
  const work = useWork(async () => {
    const secrets = Object.fromEntries(Object.entries(given.secrets).filter(([, text]) => text));
    onMade(await call("POST", "/accounts", { ...given, channel: kind.channel, secrets }, { key }));
  });
  const submit = (event) => {
    event.preventDefault();
    work.run();
  };
  const wrong = (field) => wrongWith(work.error, field);
  const shown = ["name", "slug", "external_id", "app", "api_base", "secrets"].some(wrong);
  return html`<div class="connect">
    <div><h3>${t("channels.guide")}</h3><${Steps} kind=${kind} /></div>
    <form class="form" onSubmit=${submit}>
      <${TextField} label=${t("channels.name")} hint=${t("channels.name_hint")} value=${given.name} onInput=${named} error=${wrong("name")} maxlength="200" autofocus />
      <${TextField} label=${t("channels.slug")} hint=${t("channels.slug_hint")} value=${given.slug} onInput=${(value) => { typed(true); set("slug")(value); }} error=${wrong("slug")} required dir="ltr" maxlength="48" />
      <${TextField}
        label=${t("channels.external_id")} hint=${kind.external_id} placeholder=${kind.external_id_example} value=${given.external_id}
        onInput=${set("external_id")} error=${wrong("external_id")} required=${kind.channel !== "web"} dir="ltr"
      />
      ${kind.shares_app && html`<${TextField} label=${t("channels.app")} hint=${t("channels.app_hint")} value=${given.app} onInput=${set("app")} error=${wrong("app")} required dir="ltr" list="apps" />
        <datalist id="apps">${apps.map((one) => html`<option key=${one} value=${one} />`)}</datalist>`}
      ${kind.secrets.filter(({ needed }) => needed).map((one) => html`<${Secret} key=${one.name} secret=${one} value=${given.secrets[one.name]} onInput=${secret(one.name)} error=${wrong(`secrets.${one.name}`)} />`)}
      <${Optional} kind=${kind} given=${given} secret=${secret} wrong=${wrong} />
      ${apiBase && html`<${TextField} label=${t("channels.api_base")} hint=${t("channels.api_base_hint")} value=${given.api_base} onInput=${set("api_base")} error=${wrong("api_base")} dir="ltr" />`}
      ${work.error && !shown && html`<${Problem} error=${work.error} />`}
      <div class="form-end">
        <${Button} kind="primary" type="submit" busy=${work.busy}>${t("channels.save")}<//>
        <${Button} onClick=${onBack}>${t("channels.other")}<//>
      </div>
    </form>
  </div>`;
}

function Optional({ kind, given, secret, wrong }) {
  const rest = kind.secrets.filter(({ needed }) => !needed);
  if (!rest.length) return null;
  return html`<details class="more-fields"><summary>${t("channels.more_secrets")}</summary>
    ${rest.map((one) => html`<${Secret} key=${one.name} secret=${one} value=${given.secrets[one.name]} onInput=${secret(one.name)} error=${wrong(`secrets.${one.name}`)} />`)}
  </details>`;
}

// A secret's field: what is typed is checked by its form as one goes, without being in the way.
export function Secret({ secret, value = "", onInput, error, required }) {
  const odd = value && secret.pattern && !new RegExp(`^(?:${secret.pattern})$`).test(value);
  const hint = [secret.where, odd && t(secret.strict ? "channels.wrong_form" : "channels.unusual_form")].filter(Boolean).join(" ");
  return html`<${TextField}
    type="password" autocomplete="off" spellcheck=${false} dir="ltr" label=${secret.title} hint=${hint} value=${value} onInput=${onInput} error=${error}
    required=${required ?? (secret.needed && !secret.chosen)} placeholder=${secret.chosen ? t("channels.made_for_you") : ""}
  />`;
}

function Made({ account, kind, onClose }) {
  const rows = Object.entries(account.made)
    .filter(([name]) => name !== "verify_token")
    .map(([name, value]) => [kind.secrets.find((one) => one.name === name)?.title ?? name, value]);
  return html`
    <${Address} account=${account} />
    ${account.channel === "web" && html`<${Copy} label=${t("channels.script")} value=${tagOf(account)} lines=${2} />`}
    ${rows.length > 0 && account.channel !== "web" && html`<${Once} title=${t("channels.made")} text=${t("channels.made_once")} rows=${rows} />`}
    <details class="more-fields" open=${account.channel !== "web"}><summary>${t("channels.guide")}</summary><${Steps} kind=${kind} done=${["app", "channel", "bot", "account", "secrets", "save"]} /></details>
    <${Test} slug=${account.slug} />
    <div class="form-end"><${Button} kind="primary" onClick=${() => onClose(account.slug)}>${t("channels.open")}<//></div>
  `;
}

