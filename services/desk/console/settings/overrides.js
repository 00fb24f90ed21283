// Where channels and accounts differ from the workspace in one of its four switches.

import { html, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { t } from "../frame/words.js";
import { ChannelIcon, Icon, Problem, Waiting, toast, useGet, useWork } from "../ui/index.js";
import { Conflict } from "./settings_data.js";
import { LastChange } from "./switch_row.js";

export function Overrides({ name, live, last }) {
  const count = differing(live.settings, name);
  const [open, put] = useState(false);
  return html`<details class="overrides" open=${open} onToggle=${(event) => put(event.target.open)}>
    <summary><span>${t("switches.overrides")}</span> ${count > 0 && html`<span class="chip late">${t("switches.overrides.count", { n: count })}</span>`}</summary>
    ${open && html`<${Places} name=${name} live=${live} last=${last} />`}
  </details>`;
}

function differing(settings, name) {
  const all = [...Object.values(settings.channels), ...Object.values(settings.accounts)];
  return all.filter((one) => typeof one[name] === "boolean").length;
}

function Places({ name, live, last }) {
  const accounts = useGet("/accounts");
  if (accounts.error) return html`<${Problem} error=${accounts.error} retry=${accounts.reload} />`;
  if (!accounts.data) return html`<${Waiting} />`;
  const connected = accounts.data.items;
  const channels = [...new Set([...connected.map(({ channel }) => channel), ...Object.keys(live.settings.channels)])].sort();
  const gone = Object.keys(live.settings.accounts).filter((slug) => !connected.some((one) => one.slug === slug));
  if (!channels.length && !gone.length) return html`<p class="dim">${t("switches.overrides.none")}</p>`;
  const place = (of, key, label, channel, inner) => html`<${Place} key=${of + key} ...${{ of, at: key, label, channel, inner, name, live }} />`;
  return html`<p class="hint-text">${t("switches.overrides.hint")}</p>
    <ul class="override-list">
      ${channels.map((channel) => html`
        ${place("channels", channel, t(`frame.channel.${channel}`), channel, false)}
        ${connected.filter((one) => one.channel === channel).map((one) => place("accounts", one.slug, one.name || one.slug, channel, true))}
      `)}
      ${gone.map((slug) => place("accounts", slug, slug, "", true))}
    </ul>
    <${LastChange} last=${last.channels ?? last.accounts} />`;
}

// What holds there is its own, or what the channel or the workspace has.
function Place({ of, at, label, channel, inner, name, live }) {
  const { settings } = live;
  const own = settings[of][at]?.[name];
  const above = (of === "accounts" ? settings.channels[channel]?.[name] : undefined) ?? settings[name];
  const work = useWork((value) => live.save({ [of]: { [at]: { [name]: value } } }, [`${of}.${at}`]));
  const change = async (event) => {
    const value = { "": null, on: true, off: false }[event.target.value];
    if (await work.run(value)) toast(t("switches.saved", { name: `${t(`switches.${name}`)}: ${label}` }));
  };
  const chosen = typeof own === "boolean" ? (own ? "on" : "off") : "";
  const inherited = t(above ? "switches.inherit.on" : "switches.inherit.off");
  return html`<li class=${inner ? "inner" : ""}>
    <span class="override-name">${channel && !inner && html`<${ChannelIcon} channel=${channel} />`}${label}</span>
    <select aria-label=${`${t(`switches.${name}`)}: ${label}`} value=${chosen} disabled=${!may("admin") || work.busy} onChange=${change} data-own=${chosen ? "yes" : undefined}>
      <option value="" selected=${chosen === ""}>${inherited}</option>
      <option value="on" selected=${chosen === "on"}>${t("switches.on")}</option>
      <option value="off" selected=${chosen === "off"}>${t("switches.off")}</option>
    </select>
    ${work.error instanceof Conflict && html`<p class="wrong" role="alert"><${Icon} name="circle-alert" size=${15} /> ${t("switches.conflict.other")}</p>`}
    ${work.error && !(work.error instanceof Conflict) && html`<${Problem} error=${work.error} />`}
  </li>`;
}
