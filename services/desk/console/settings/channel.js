// One connected account: its health, its address and a test, its secrets, and disconnecting it.

import { ask, call, query } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { href } from "../frame/router.js";
import { number, t } from "../frame/words.js";
import {
  Button, Card, ChannelIcon, Checkbox, Dialog, Empty, Problem, Switch, TextField, Time, Waiting, confirm, toast, useGet, useWork, wrongWith,
} from "../ui/index.js";
import { Secret, Steps } from "./connect.js";
import { Address, Test } from "./channel_test.js";
import { State } from "./channels.js";
import { Note } from "./copy.js";
import { SettingsPage, goTo } from "./frame.js";
import { Templates } from "./templates.js";
import { Website } from "./website.js";

export default function ChannelView({ params }) {
  return may("admin") ? html`<${Kept} key=${params.slug} slug=${params.slug} />` : html`<${Seen} key=${params.slug} slug=${params.slug} />`;
}

const BACK = () => ({ href: href("/settings/channels"), label: t("channels.title") });

// For whoever may only look: how the account is.
function Seen({ slug }) {
  const list = useGet("/accounts");
  const account = list.data?.items.find((one) => one.slug === slug);
  return html`<${SettingsPage} title=${account?.name || slug} back=${BACK()}>
    ${list.error && html`<${Problem} error=${list.error} retry=${list.reload} />`}
    ${list.loading && !list.data && html`<${Waiting} />`}
    ${list.data && !account && html`<${Empty} icon="plug" title=${t("channels.gone")} />`}
    ${account && html`<${Health} account=${account} /><${Note}>${t("channels.look_only")}<//>`}
  <//>`;
}

function Kept({ slug }) {
  const path = `/accounts/${encodeURIComponent(slug)}`;
  const found = useGet(path);
  const kinds = useGet("/channels/kinds");
  const account = found.data;
  const kind = kinds.data?.items.find(({ channel }) => channel === account?.channel);
  // A change is based on what is shown; what others changed meanwhile is shown before it is saved over.
  const change = async (body) => {
    try {
      const { body: after, etag } = await ask("PATCH", path, body, { etag: found.etag });
      found.set(after, etag);
      toast(t("ui.saved"));
      return after;
    } catch (error) {
      if (error.status === 412) found.reload();
      throw error;
    }
  };
  return html`<${SettingsPage} title=${account ? account.name || slug : slug} back=${BACK()} actions=${account && html`<${State} account=${account} />`}>
    ${(found.error || kinds.error) && html`<${Problem} error=${found.error ?? kinds.error} retry=${() => { found.reload(); kinds.reload(); }} />`}
    ${!account && found.loading && html`<${Waiting} />`}
    ${account && kind && html`
      <${Health} account=${account} />
      ${account.channel === "web" && html`<${Website} account=${account} />`}
      <${Card} title=${t("channels.connection")} hint=${t("channels.connection_hint")}>
        <${Address} account=${account} />
        <details class="more-fields"><summary>${t("channels.guide")}</summary><${Steps} kind=${kind} /></details>
        <${Test} slug=${slug} onDone=${found.reload} />
      <//>
      <${General} account=${account} kind=${kind} change=${change} />
      <${Secrets} account=${account} kind=${kind} change=${change} />
      ${kind.templates && html`<${Templates} account=${account} change=${change} />`}
      <${Disconnect} account=${account} path=${path} etag=${found.etag} />
    `}
  <//>`;
}

function Health({ account: { channel, health, external_id: id, slug } }) {
  const failed = Object.entries(health.errors).sort((one, other) => other[1] - one[1]);
  const sent = Object.values(health.sent).reduce((sum, one) => sum + one, 0);
  const rows = [
    [t("channels.state_since"), health.state_at ? html`<${Time} at=${health.state_at} relative />` : t("channels.never")],
    [t("channels.last_webhook"), health.last_webhook_at ? html`<${Time} at=${health.last_webhook_at} relative />` : t("channels.never")],
    [t("channels.last_sent"), health.last_success_at ? html`<${Time} at=${health.last_success_at} relative />` : t("channels.never")],
    [t("channels.sent"), number(sent)],
    [t("channels.bad_signatures"), html`${number(health.signature_failures)}${health.last_signature_failure_at && html` · <${Time} at=${health.last_signature_failure_at} relative />`}`],
    [t("channels.token_ends"), health.token_expires_at ? html`<${Time} at=${health.token_expires_at} />` : t("channels.not_told")],
  ];
  return html`<${Card} title=${t("channels.health")}>
    <p class="account-line"><${ChannelIcon} channel=${channel} size=${20} /> ${t(`frame.channel.${channel}`)} · <bdi>${slug}</bdi> · <bdi>${id}</bdi></p>
    ${health.advice && html`<${Note} kind="bad" icon="triangle-alert"><bdi>${health.advice}</bdi> <code>${health.last_failure_code}</code><//>`}
    <dl class="account-health">${rows.map(([label, value]) => html`<div key=${label}><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>
    ${failed.length > 0 && html`<p class="chip-list"><span class="dim">${t("channels.failed_calls")}</span> ${failed.map(([code, n]) => html`<span key=${code} class="chip bad"><code>${code}</code> ${number(n)}</span>`)}</p>`}
  <//>`;
}

function General({ account, kind, change }) {
  const [name, put] = useState(account.name);
  const [base, rebase] = useState(account.api_base);
  const work = useWork(change);
  const submit = (event) => {
    event.preventDefault();
    work.run(base === account.api_base ? { name } : { name, api_base: base });
  };
  const toggle = async (enabled) => {
    const sure = enabled || (await confirm({ title: t("channels.off_title", { name: account.name || account.slug }), text: t("channels.off_text"), action: t("channels.off_do"), danger: true }));
    if (sure) work.run({ enabled });
  };
  const feature = (one) => (on) => work.run({ features: on ? [...account.features, one] : account.features.filter((other) => other !== one) });
  const plain = work.error && !wrongWith(work.error, "name") && !wrongWith(work.error, "api_base");
  return html`<${Card} title=${t("channels.general")}>
    <${Switch} label=${t("channels.enabled")} hint=${t("channels.enabled_hint")} checked=${account.enabled} onChange=${toggle} busy=${work.busy} />
    ${kind.features.map((one) => html`<${Checkbox} key=${one} label=${t(`channels.feature.${one}`)} checked=${account.features.includes(one)} onChange=${feature(one)} />`)}
    <form class="form" onSubmit=${submit}>
      <${TextField} label=${t("channels.name")} value=${name} onInput=${put} error=${wrongWith(work.error, "name")} maxlength="200" />
      ${account.api_base && html`<${TextField} label=${t("channels.api_base")} hint=${t("channels.api_base_hint")} value=${base} onInput=${rebase} error=${wrongWith(work.error, "api_base")} dir="ltr" />`}
      ${plain && html`<${Problem} error=${work.error} />`}
      <div class="form-end"><${Button} type="submit" kind="primary" busy=${work.busy} disabled=${name === account.name && base === account.api_base}>${t("ui.save")}<//></div>
    </form>
  <//>`;
}

function Secrets({ account, kind, change }) {
  const [replacing, replace] = useState(null);
  const guide = (name) => kind.secrets.find((one) => one.name === name) ?? { name, title: name, where: "" };
  const take = async (name) => {
    const sure = await confirm({ title: t("channels.secret_take", { name: guide(name).title }), action: t("channels.secret_take_do"), danger: true });
    if (sure) change({ secrets: { [name]: null } }).catch((error) => toast(error.message, { kind: "bad" }));
  };
  return html`<${Card} title=${t("channels.secrets")} hint=${t("channels.secrets_hint")}>
    <ul class="lined">
      ${account.secrets.map((one) => html`<li key=${one.name}>
        <span><b>${guide(one.name).title}</b> ${!one.needed && html`<span class="dim">${t("channels.optional")}</span>`}
          <small>${one.is_set ? (one.since ? html`${t("channels.set_since")} <${Time} at=${one.since} />` : t("channels.set")) : t("channels.not_set")}</small></span>
        <span class="form-end">
          ${one.is_set && !one.needed && html`<${Button} small kind="quiet" onClick=${() => take(one.name)}>${t("channels.secret_take_do")}<//>`}
          <${Button} small aria-label=${`${t(one.is_set ? "channels.replace" : "channels.enter")}: ${guide(one.name).title}`} onClick=${() => replace(one)}>${t(one.is_set ? "channels.replace" : "channels.enter")}<//>
        </span>
      </li>`)}
    </ul>
    ${replacing && html`<${Replace} secret=${guide(replacing.name)} change=${change} onClose=${() => replace(null)} />`}
  <//>`;
}

function Replace({ secret, change, onClose }) {
  const [value, put] = useState("");
  const work = useWork(async () => {
    await change({ secrets: { [secret.name]: value } });
    onClose();
  });
  const wrong = wrongWith(work.error, `secrets.${secret.name}`);
  const submit = (event) => {
    event.preventDefault();
    work.run();
  };
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//><${Button} kind="primary" type="submit" form="replace" busy=${work.busy}>${t("ui.save")}<//>`;
  return html`<${Dialog} title=${secret.title} onClose=${onClose} footer=${footer}>
    <form id="replace" class="form" onSubmit=${submit}>
      <p>${t("channels.replace_text")}</p>
      <${Secret} secret=${{ ...secret, chosen: false }} value=${value} onInput=${put} error=${wrong} required />
      ${work.error && !wrong && html`<${Problem} error=${work.error} />`}
    </form>
  <//>`;
}

function Disconnect({ account, path, etag }) {
  const name = account.name || account.slug;
  const gone = async (given = {}) => {
    await call("DELETE", `${path}${query(given)}`, undefined, { etag });
    toast(t("channels.disconnected", { name }));
    goTo("/settings/channels");
  };
  const work = useWork(async () => {
    const sure = await confirm({ title: t("channels.disconnect_title", { name }), text: t("channels.disconnect_text"), action: t("channels.disconnect_do"), danger: true });
    if (!sure) return;
    try {
      await gone();
    } catch (error) {
      if (error.problem?.code !== "confirmation_required") throw error;
      const { count, token } = error.problem.facts;
      const still = await confirm({ title: t("channels.disconnect_title", { name }), text: t("channels.disconnect_open", { n: Number(count) }), action: t("channels.disconnect_do"), danger: true });
      if (still) await gone({ confirm: token });
    }
  });
  return html`<${Card} title=${t("channels.disconnect")} hint=${t("channels.disconnect_hint")}>
    ${work.error && html`<${Problem} error=${work.error} />`}
    <div class="form-end"><${Button} kind="danger" icon="unlink" busy=${work.busy} onClick=${work.run}>${t("channels.disconnect_do")}<//></div>
  <//>`;
}
