// What somebody may do and see: a role, and the channels, accounts and teams it is limited to.

import { html } from "../frame/html.js";
import { may, me } from "../frame/me.js";
import { t } from "../frame/words.js";
import { Choices, Select, Switch, useGet } from "../ui/index.js";

const ROLES = ["read_only", "agent", "lead", "admin", "owner"];

// What there is to be limited to: {teams, accounts, team(id), account(slug)}.
export function useScopes() {
  const teams = useGet(may("lead") ? "/teams" : null).data?.items ?? [];
  const accounts = useGet("/accounts").data?.items ?? [];
  return {
    teams,
    accounts,
    team: (id) => teams.find((one) => one.id === id)?.name || id,
    account: (slug) => accounts.find((one) => one.slug === slug)?.name || slug,
  };
}

export function Role({ value, onChange, error, disabled, hint }) {
  const mine = ROLES.indexOf(me.value.role);
  const known = ROLES.filter((one, at) => at <= mine || one === value);
  return html`<${Select} label=${t("people.role")} hint=${hint ?? t(`people.role_is.${value}`)} error=${error} disabled=${disabled} value=${value} options=${known.map((one) => [one, t(`people.role.${one}`)])} onChange=${onChange} />`;
}

export function seesInWords({ role, channels, accounts, team_only: own }, scopes) {
  if (ROLES.indexOf(role) >= ROLES.indexOf("admin")) return t("people.sees_all");
  const parts = [...channels.map((one) => t(`frame.channel.${one}`)), ...accounts.map(scopes.account)];
  if (own) parts.push(t("people.own_teams"));
  return parts.length ? parts.join(", ") : t("people.sees_all");
}

export function Sees({ value, onChange, scopes, wrong }) {
  const limited = ROLES.indexOf(value.role) < ROLES.indexOf("admin");
  const channels = [...new Set([...scopes.accounts.map(({ channel }) => channel), ...value.channels])];
  return html`
    ${scopes.teams.length > 0 && html`<${Choices} label=${t("people.teams")} value=${value.teams} options=${scopes.teams.map(({ id, name }) => [id, name || id])} onChange=${(teams) => onChange({ teams })} error=${wrong("teams")} />`}
    ${limited && html`
      <${Choices} label=${t("people.channels")} hint=${t("people.none_all")} value=${value.channels} options=${channels.map((one) => [one, t(`frame.channel.${one}`)])} onChange=${(given) => onChange({ channels: given })} error=${wrong("channels")} />
      <${Choices} label=${t("people.accounts")} hint=${t("people.none_all")} value=${value.accounts} options=${scopes.accounts.map(({ slug, name }) => [slug, name || slug])} onChange=${(accounts) => onChange({ accounts })} error=${wrong("accounts")} />
      <${Switch} label=${t("people.team_only")} hint=${t("people.team_only_hint")} checked=${value.team_only} onChange=${(on) => onChange({ team_only: on })} />
    `}`;
}
