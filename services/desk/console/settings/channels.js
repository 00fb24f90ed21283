// The connected accounts, how they are, and connecting another one.

import { html, useEffect, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { href } from "../frame/router.js";
import { number, t } from "../frame/words.js";
import { Button, ChannelIcon, Empty, Icon, Problem, Time, Waiting, useGet } from "../ui/index.js";
import { Connect } from "./connect.js";
import { SettingsPage, goTo } from "./frame.js";

const AGAIN_MS = 20_000;
const SOON_MS = 14 * 86_400_000;

export default function ChannelsView() {
  const list = useGet("/accounts");
  const [connecting, connect] = useState(false);
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && list.reload(), AGAIN_MS);
    return () => clearInterval(timer);
  }, [list.reload]);
  const actions = may("admin") && html`<${Button} kind="primary" icon="plus" onClick=${() => connect(true)}>${t("channels.connect")}<//>`;
  const done = (slug) => {
    connect(false);
    list.reload();
    if (slug) goTo(`/settings/channels/${encodeURIComponent(slug)}`);
  };
  return html`<${SettingsPage} title=${t("channels.title")} hint=${t("channels.hint")} actions=${actions}>
    ${list.error && html`<${Problem} error=${list.error} retry=${list.reload} />`}
    ${list.data ? html`<${Accounts} items=${list.data.items} />` : list.loading && html`<${Waiting} />`}
    ${connecting && html`<${Connect} onClose=${done} known=${list.data?.items ?? []} />`}
  <//>`;
}

function Accounts({ items }) {
  if (!items.length) {
    return html`<${Empty} icon="plug" title=${t("channels.none")}>${t(may("admin") ? "channels.none_do" : "channels.none_ask")}<//>`;
  }
  const shown = [...items].sort((one, other) => rank(one) - rank(other) || one.name.localeCompare(other.name));
  return html`<ul class="accounts">${shown.map((one) => html`<${Account} key=${one.slug} account=${one} />`)}</ul>`;
}

const ORDER = ["revoked", "failing", "late", "ok", "unknown", "off"];

function rank(account) {
  return ORDER.indexOf(stateOf(account).code);
}

// What state an account is in, in one word: {code, kind}; the worst counts.
export function stateOf({ enabled, health }) {
  if (!enabled) return { code: "off", kind: "" };
  if (health.state === "revoked") return { code: "revoked", kind: "bad" };
  if (health.state === "failing") return { code: "failing", kind: "bad" };
  if (ends(health.token_expires_at) < SOON_MS) return { code: "late", kind: "late" };
  if (health.state === "ok") return { code: "ok", kind: "good" };
  if (health.last_webhook_at) return { code: "received", kind: "good" };
  return { code: "unknown", kind: "" };
}

export function ends(at) {
  return at ? Date.parse(at) - Date.now() : Infinity;
}

export function State({ account }) {
  const { code, kind } = stateOf(account);
  return html`<span class=${`chip ${kind}`} title=${t(`channels.state_is.${code}`)}>${t(`channels.state.${code}`)}</span>`;
}

function Account({ account }) {
  const { health } = account;
  const failed = Object.values(health.errors).reduce((sum, one) => sum + one, 0);
  return html`<li>
    <a class="account" href=${href(`/settings/channels/${encodeURIComponent(account.slug)}`)}>
      <${ChannelIcon} channel=${account.channel} size=${22} />
      <span class="account-name">
        <b>${account.name || account.slug}</b>
        <small>${t(`frame.channel.${account.channel}`)} · <bdi>${account.slug}</bdi></small>
      </span>
      <${State} account=${account} />
      <span class="account-facts">
        <${Fact} label=${t("channels.last_webhook")}>${health.last_webhook_at ? html`<${Time} at=${health.last_webhook_at} relative />` : t("channels.never")}<//>
        <${Fact} label=${t("channels.bad_signatures")} bad=${health.signature_failures > 0}>${number(health.signature_failures)}<//>
        <${Fact} label=${t("channels.failed_calls")} bad=${failed > 0}>${number(failed)}<//>
        <${Fact} label=${t("channels.token_ends")} bad=${ends(health.token_expires_at) < SOON_MS}>
          ${health.token_expires_at ? html`<${Time} at=${health.token_expires_at} relative />` : t("channels.not_told")}
        <//>
      </span>
      ${health.advice && html`<span class="account-advice"><${Icon} name="triangle-alert" size=${16} /><span dir="auto">${health.advice}</span></span>`}
    </a>
  </li>`;
}

function Fact({ label, bad, children }) {
  return html`<span class="account-fact"><small>${label}</small><span class=${bad ? "wrong" : ""}>${children}</span></span>`;
}
