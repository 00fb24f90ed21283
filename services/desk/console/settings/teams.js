// Teams: who is in them, and the hours in which they answer.

import { ask, call } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { t } from "../frame/words.js";
import { Button, Card, Choices, Dialog, Empty, Problem, Select, TextField, Waiting, confirm, toast, useGet, useWork, wrongWith } from "../ui/index.js";
import { SettingsPage } from "./frame.js";

export function idOf(text) {
  return text.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 48);
}

export default function TeamsView() {
  const teams = useGet(may("lead") ? "/teams" : null);
  const calendars = useGet(may("lead") ? "/calendars" : null);
  const agents = useGet("/agents");
  const [edited, edit] = useState(null);
  const error = teams.error ?? calendars.error ?? agents.error;
  const reload = () => [teams, calendars, agents].forEach((one) => one.reload());
  if (!may("lead")) return html`<${SettingsPage} title=${t("people.teams_title")}><${Empty} icon="users" title=${t("frame.forbidden")}>${t("people.teams_for")}<//><//>`;
  const add = html`<${Button} kind="primary" icon="plus" onClick=${() => edit({ id: "", name: "", calendar: "" })}>${t("people.team_add")}<//>`;
  const of = (id) => (agents.data?.items ?? []).filter((one) => one.teams.includes(id));
  return html`<${SettingsPage} title=${t("people.teams_title")} hint=${t("people.teams_hint")} actions=${add}>
    ${error && html`<${Problem} error=${error} retry=${reload} />`}
    ${!teams.data && teams.loading && html`<${Waiting} />`}
    ${teams.data?.items.length === 0 && html`<${Empty} icon="users" title=${t("people.no_teams")} action=${add}>${t("people.no_teams_do")}<//>`}
    ${teams.data?.items.map((team) => html`<${Team} key=${team.id} team=${team} members=${of(team.id)} calendars=${calendars.data?.items ?? []} onEdit=${() => edit(team)} />`)}
    ${edited && html`<${Edit} team=${edited} agents=${agents.data?.items ?? []} calendars=${calendars.data?.items ?? []} onClose=${() => edit(null)} onDone=${() => { edit(null); reload(); }} />`}
  <//>`;
}

function Team({ team, members, calendars, onEdit }) {
  const calendar = calendars.find(({ id }) => id === team.calendar);
  const edit = html`<${Button} small icon="pencil" aria-label=${`${t("ui.edit")}: ${team.name || team.id}`} onClick=${onEdit}>${t("ui.edit")}<//>`;
  return html`<${Card} title=${team.name || team.id} hint=${calendar ? t("people.team_hours", { name: calendar.name || calendar.id }) : t("people.workspace_hours")} actions=${edit}>
    <p class="chip-list">${members.length ? members.map((one) => html`<span key=${one.id} class="chip">${one.name}</span>`) : html`<span class="dim">${t("people.nobody")}</span>`}</p>
  <//>`;
}

function Edit({ team, agents, calendars, onClose, onDone }) {
  const fresh = !team.id;
  const found = useGet(fresh ? null : `/teams/${team.id}`);
  const before = agents.filter((one) => one.teams.includes(team.id) && !fresh).map(({ id }) => id);
  const [given, put] = useState({ ...team, members: before });
  const [key, typed] = useState(false);
  const set = (name) => (value) => put((old) => ({ ...old, [name]: value, ...(name === "name" && fresh && !key ? { id: idOf(value) } : {}) }));
  const work = useWork(async () => {
    const body = { name: given.name, calendar: given.calendar };
    const { warnings } = (await ask("PUT", `/teams/${encodeURIComponent(given.id)}`, body, { etag: found.etag })).body;
    for (const { id, teams } of agents) {
      const wanted = given.members.includes(id);
      if (wanted === teams.includes(given.id)) continue;
      await call("PATCH", `/agents/${encodeURIComponent(id)}`, { teams: wanted ? [...teams, given.id] : teams.filter((one) => one !== given.id) });
    }
    toast(warnings[0] ?? t("ui.saved"));
    onDone();
  });
  const gone = useWork(async () => {
    if (!(await confirm({ title: t("people.team_delete", { name: team.name || team.id }), text: t("people.team_delete_text"), action: t("ui.delete"), danger: true }))) return;
    await call("DELETE", `/teams/${encodeURIComponent(team.id)}`, undefined, { etag: found.etag });
    onDone();
  });
  const submit = (event) => {
    event.preventDefault();
    work.run();
  };
  const wrong = (field) => wrongWith(work.error, field);
  const hours = [["", t("people.workspace_hours")], ...calendars.map(({ id, name }) => [id, name || id])];
  const footer = html`
    ${!fresh && html`<${Button} kind="danger" class="first" busy=${gone.busy} onClick=${gone.run}>${t("ui.delete")}<//>`}
    <${Button} onClick=${onClose}>${t("ui.cancel")}<//><${Button} kind="primary" type="submit" form="team" busy=${work.busy}>${t("ui.save")}<//>`;
  return html`<${Dialog} title=${fresh ? t("people.team_add") : team.name || team.id} onClose=${onClose} footer=${footer}>
    <form id="team" class="form" onSubmit=${submit}>
      <${TextField} label=${t("people.name")} value=${given.name} onInput=${set("name")} error=${wrong("name")} required maxlength="100" autofocus />
      ${fresh && html`<${TextField} label=${t("people.id")} hint=${t("people.id_hint")} value=${given.id} onInput=${(id) => { typed(true); set("id")(id); }} error=${wrong("id")} required pattern="[a-z0-9][a-z0-9\\-]*" dir="ltr" maxlength="48" />`}
      <${Select} label=${t("people.hours")} value=${given.calendar} options=${hours} onChange=${set("calendar")} error=${wrong("calendar")} />
      ${may("admin") ? html`<${Choices} label=${t("people.members")} value=${given.members} options=${agents.filter((one) => !one.disabled).map(({ id, name }) => [id, name])} onChange=${set("members")} />` : html`<p class="hint-text">${t("people.members_admin")}</p>`}
      ${(work.error && !["name", "id", "calendar"].some(wrong)) || gone.error ? html`<${Problem} error=${work.error ?? gone.error} />` : null}
    </form>
  <//>`;
}
