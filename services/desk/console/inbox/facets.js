// The filters of the list: tabs, accounts, and who talks with whom; beside every value how many there are.

import { classes, html } from "../frame/html.js";
import { me } from "../frame/me.js";
import { go, place } from "../frame/router.js";
import { number, t } from "../frame/words.js";
import { inboxLive } from "../live/inbox.js";
import { ChannelIcon, Icon } from "../ui/index.js";
import { LISTS, PARTIES, WHOSE, addressOf, onlyAccount, same, tabbed, toggled } from "./filters.js";
import { Popover } from "./popover.js";
import { accountName, accounts, agents } from "./start.js";

const MOST = 1000; // counts stop there

export function many(n) {
  return n >= MOST ? `${number(MOST - 1)}+` : number(n);
}

// Shows other filters; the session that is open stays open.
export function choose(filters) {
  go(place.value.path, addressOf(filters));
}

function Count({ n }) {
  return n === undefined ? null : html` <span class="tally">${many(n)}</span>`;
}

export function Tabs({ filters, counts }) {
  const lists = counts?.lists ?? {};
  const open = ["bot_hosted", "unassigned", "assigned"].reduce((sum, name) => sum + (lists[name] ?? 0), 0);
  const tabs = [["", counts ? open : undefined], ...LISTS.map((name) => [name, lists[name]])];
  const now = filters.list.length === 1 ? filters.list[0] : "";
  return html`<div class="inbox-tabs" role="group" aria-label=${t("inbox.lists")}>
    ${tabs.map(
      ([name, n]) => html`<button
        key=${name} type="button" aria-pressed=${String(name === now)} onClick=${() => choose(tabbed(filters, name))}
      >${t(`inbox.list.${name || "open"}`)}<${Count} n=${n} /></button>`,
    )}
  </div>`;
}

// A click shows all conversations of an account; another click, everything again.
export function Accounts({ filters }) {
  const unread = inboxLive.unread.value?.accounts ?? {};
  if (accounts.value.length < 2) return null;
  return html`<div class="inbox-accounts" role="group" aria-label=${t("inbox.accounts")}>
    ${accounts.value.map(({ slug, channel, name }) => {
      const here = same(filters, onlyAccount(slug));
      const n = unread[slug] ?? 0;
      const label = t(n ? "inbox.account.unread" : "inbox.account", {
        account: name || slug, channel: t(`frame.channel.${channel}`), n,
      });
      return html`<button
        key=${slug} type="button" class="inbox-account" aria-pressed=${String(here)} aria-label=${label} title=${label}
        onClick=${() => choose(here ? { ...filters, account: [] } : onlyAccount(slug))}
      ><${ChannelIcon} channel=${channel} size=${17} />${n > 0 && html`<b class="badge small">${n > 99 ? "99+" : n}</b>`}</button>`;
    })}
  </div>`;
}

// One filter: its values with their counts, several may be chosen.
function Values({ name, filters, values }) {
  return html`<ul class="values">
    ${values.map(
      ([value, label, n, sign]) => html`<li key=${value}>
        <label>
          <input
            type="checkbox" checked=${filters[name].includes(value)}
            onChange=${() => choose(toggled(filters, name, value))}
          />${sign}<span class="value">${label}</span><span class="tally">${n === undefined ? "" : many(n)}</span>
        </label>
      </li>`,
    )}
  </ul>`;
}

function title(name, filters, labels) {
  const chosen = filters[name];
  if (!chosen.length) return t(`inbox.by.${name}`);
  const [one] = chosen;
  return chosen.length === 1 ? (labels.get(one) ?? one) : t("inbox.by.several", { what: t(`inbox.by.${name}`), n: chosen.length });
}

function Facet({ name, filters, values, children }) {
  const shown = [...values, ...filters[name].filter((one) => !values.some(([value]) => value === one)).map((one) => [one, one])];
  const labels = new Map(shown.map(([value, label]) => [value, label]));
  return html`<${Popover} label=${t(`inbox.by.${name}`)} text=${title(name, filters, labels)} on=${filters[name].length > 0}>
    ${() => html`<${Values} name=${name} filters=${filters} values=${shown} />${children}`}
  <//>`;
}

export function Facets({ filters, counts }) {
  const of = (group, value) => (counts ? (counts[group][value] ?? 0) : undefined);
  const channels = [...new Set(accounts.value.map(({ channel }) => channel))];
  const names = agents.value.filter(({ id }) => id !== me.value.agent.id);
  return html`<div class="inbox-facets" role="group" aria-label=${t("inbox.filters")}>
    <${ChannelFacet} filters=${filters} of=${of} channels=${channels} />
    <${Facet} name="with" filters=${filters} values=${PARTIES.map((one) => [one, t(`inbox.with.${one}`), of("with", one)])} />
    <${Facet} name="assignee" filters=${filters} values=${[
      ...WHOSE.map((one) => [one, t(`inbox.whose.${one}`), of("assignee", one)]),
      ...names.map(({ id, name }) => [id, name]),
    ]} />
    <${Facet} name="tag" filters=${filters} values=${Object.entries(counts?.tags ?? {}).map(([tag, n]) => [tag, tag, n])}>
      ${!Object.keys(counts?.tags ?? {}).length && !filters.tag.length && html`<p class="hint-text">${t("inbox.notags")}</p>`}
    <//>
    <button
      type="button" class=${classes("pop-button", filters.snoozed !== "false" && "on")} aria-pressed=${String(filters.snoozed === "true")}
      aria-label=${t("inbox.snoozed")} title=${t("inbox.snoozed.hint")} onClick=${() => choose({ ...filters, snoozed: filters.snoozed === "true" ? "false" : "true" })}
    ><${Icon} name="moon" size=${15} />${filters.snoozed !== "false" && html`<span>${t("inbox.snoozed")}</span>`}</button>
  </div>`;
}

function ChannelFacet({ filters, of, channels }) {
  const chosen = filters.channel.length + filters.account.length;
  const name = filters.channel.length
    ? t(`frame.channel.${filters.channel[0]}`)
    : filters.account.length ? accountName(filters.account[0]) : t("inbox.by.channel");
  const text = chosen > 1 ? t("inbox.by.several", { what: t("inbox.by.channel"), n: chosen }) : name;
  const sign = (channel) => html`<${ChannelIcon} channel=${channel} />`;
  return html`<${Popover} label=${t("inbox.by.channel")} text=${text} on=${chosen > 0}>
    ${() => html`
      <${Values} name="channel" filters=${filters} values=${channels.map((one) => [one, t(`frame.channel.${one}`), of("channels", one), sign(one)])} />
      <h3>${t("inbox.accounts")}</h3>
      <${Values} name="account" filters=${filters} values=${accounts.value.map(({ slug, channel, name: called }) => [slug, called || slug, of("accounts", slug), sign(channel)])} />
    `}
  <//>`;
}
