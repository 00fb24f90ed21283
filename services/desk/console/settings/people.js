// Who works here: roles, limits, what each sees; and who is invited.

import { ask, call, newKey } from "../frame/api.js";
import { html, useMemo, useState } from "../frame/html.js";
import { may, me } from "../frame/me.js";
import { t } from "../frame/words.js";
import {
  Avatar, Button, Card, Dialog, Empty, IconButton, More, Problem, Table, TextField, Time, Waiting, confirm, toast, useGet, usePages, useWork, wrongWith,
} from "../ui/index.js";
import { Once } from "./copy.js";
import { SettingsPage } from "./frame.js";
import { Role, Sees, seesInWords, useScopes } from "./scope.js";

export default function PeopleView() {
  const agents = useGet("/agents");
  const invitations = usePages(may("admin") ? "/invitations" : null);
  const scopes = useScopes();
  const [edited, edit] = useState(null);
  const [inviting, invite] = useState(false);
  const actions = may("admin") && html`<${Button} kind="primary" icon="user-plus" onClick=${() => invite(true)}>${t("people.invite")}<//>`;
  return html`<${SettingsPage} title=${t("people.title")} hint=${t("people.hint")} actions=${actions}>
    ${agents.error && html`<${Problem} error=${agents.error} retry=${agents.reload} />`}
    ${agents.data ? html`<${Members} items=${agents.data.items} scopes=${scopes} onEdit=${edit} />` : agents.loading && html`<${Waiting} />`}
    ${may("admin") && html`<${Invitations} pages=${invitations} />`}
    ${edited && html`<${Edit} agent=${edited} scopes=${scopes} onClose=${() => edit(null)} onSaved=${agents.reload} />`}
    ${inviting && html`<${Invite} scopes=${scopes} onClose=${() => { invite(false); invitations.reload(); }} />`}
  <//>`;
}

function Members({ items, scopes, onEdit }) {
  const columns = [
    { name: "name", label: t("people.name"), show: (one) => html`<span class="person"><${Avatar} name=${one.name} id=${one.id} /><span><b>${one.name}</b>${one.email && html`<small class="dim"> ${one.email}</small>`}</span></span>` },
    { name: "role", label: t("people.role"), show: (one) => t(`people.role.${one.role}`) },
    { name: "state", label: t("people.state"), show: (one) => html`<${State} agent=${one} />` },
    { name: "limit", label: t("people.limit"), show: (one) => t("people.load", { load: one.load, limit: one.limit }) },
    { name: "sees", label: t("people.sees"), show: (one) => seesInWords(one, scopes) },
    { name: "teams", label: t("people.teams"), show: (one) => one.teams.map((id) => html`<span key=${id} class="chip">${scopes.team(id)}</span> `) },
  ];
  if (may("admin")) columns.push({ name: "do", label: "", end: true, show: (one) => html`<${IconButton} icon="pencil" label=${`${t("ui.edit")}: ${one.name}`} onClick=${() => onEdit(one)} />` });
  return html`<${Table} caption=${t("people.title")} columns=${columns} rows=${items} />`;
}

function State({ agent }) {
  if (agent.disabled) return html`<span class="chip bad">${t("people.disabled")}</span>`;
  return html`<span class=${`chip ${agent.presence === "online" ? "good" : agent.presence === "away" ? "late" : ""}`}>${t(`frame.presence.${agent.presence || "offline"}`)}</span>`;
}

const FIELDS = ["name", "role", "limit", "priority", "skills", "languages", "teams", "channels", "accounts", "team_only"];

function Edit({ agent, scopes, onClose, onSaved }) {
  const path = `/agents/${encodeURIComponent(agent.id)}`;
  const found = useGet(path); // with the version that the change is based on
  const [given, put] = useState(agent);
  const set = (name) => (value) => put((old) => ({ ...old, [name]: value }));
  const words = (name) => (text) => set(name)(text.split(",").map((one) => one.trimStart()));
  const send = async (body) => {
    await ask("PATCH", path, body, { etag: found.etag });
    toast(t("ui.saved"));
    onSaved();
    onClose();
  };
  const work = useWork(async () => {
    const body = {};
    for (const name of FIELDS) if (JSON.stringify(given[name]) !== JSON.stringify(agent[name])) body[name] = Array.isArray(given[name]) ? given[name].map((one) => one.trim()).filter(Boolean) : given[name];
    if (Object.keys(body).length) await send(body);
    else onClose();
  });
  const toggle = useWork(async () => {
    const sure = agent.disabled || (await confirm({ title: t("people.disable_title", { name: agent.name }), text: t("people.disable_text"), action: t("people.disable"), danger: true }));
    if (sure) await send({ disabled: !agent.disabled });
  });
  const submit = (event) => {
    event.preventDefault();
    work.run();
  };
  const own = agent.id === me.value.agent.id;
  const wrong = (field) => wrongWith(work.error, field);
  const footer = html`
    ${!own && html`<${Button} kind=${agent.disabled ? "" : "danger"} class="first" busy=${toggle.busy} onClick=${toggle.run}>${t(agent.disabled ? "people.enable" : "people.disable")}<//>`}
    <${Button} onClick=${onClose}>${t("ui.cancel")}<//><${Button} kind="primary" type="submit" form="person" busy=${work.busy}>${t("ui.save")}<//>`;
  return html`<${Dialog} title=${agent.name} onClose=${onClose} footer=${footer}>
    <form id="person" class="form" onSubmit=${submit}>
      <${TextField} label=${t("people.name")} value=${given.name} onInput=${set("name")} error=${wrong("name")} required maxlength="200" />
      <${Role} value=${given.role} onChange=${set("role")} error=${wrong("role")} disabled=${own} hint=${own ? t("people.own_role") : undefined} />
      <${TextField} type="number" min="0" max="1000" label=${t("people.limit")} hint=${t("people.limit_hint")} value=${given.limit} onInput=${(text) => set("limit")(Number(text))} error=${wrong("limit")} />
      <${TextField} label=${t("people.skills")} hint=${t("people.comma")} value=${given.skills.join(",")} onInput=${words("skills")} error=${wrong("skills")} />
      <${TextField} label=${t("people.languages")} hint=${t("people.languages_hint")} value=${given.languages.join(",")} onInput=${words("languages")} error=${wrong("languages")} />
      <${TextField} type="number" label=${t("people.priority")} hint=${t("people.priority_hint")} value=${given.priority} onInput=${(text) => set("priority")(Number(text))} error=${wrong("priority")} />
      <${Sees} value=${given} onChange=${(changes) => put((old) => ({ ...old, ...changes }))} scopes=${scopes} wrong=${wrong} />
      ${(work.error && !FIELDS.some(wrong)) || toggle.error ? html`<${Problem} error=${work.error ?? toggle.error} />` : null}
    </form>
  <//>`;
}

const BLANK = { email: "", role: "agent", teams: [], channels: [], accounts: [], team_only: false };

function Invite({ scopes, onClose }) {
  const key = useMemo(newKey, []);
  const [given, put] = useState(BLANK);
  const [made, done] = useState(null);
  const work = useWork(async () => done(await call("POST", "/invitations", given, { key })));
  const submit = (event) => {
    event.preventDefault();
    work.run();
  };
  const wrong = (field) => wrongWith(work.error, field);
  const footer = made
    ? html`<${Button} kind="primary" onClick=${onClose}>${t("people.done")}<//>`
    : html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//><${Button} kind="primary" type="submit" form="invite" busy=${work.busy}>${t("people.invite_do")}<//>`;
  return html`<${Dialog} title=${t("people.invite")} onClose=${onClose} footer=${footer}>
    ${made ? html`<${Invited} made=${made} />` : html`<form id="invite" class="form" onSubmit=${submit}>
      <${TextField} type="email" label=${t("people.email")} value=${given.email} onInput=${(email) => put((old) => ({ ...old, email }))} error=${wrong("email")} required autofocus />
      <${Role} value=${given.role} onChange=${(role) => put((old) => ({ ...old, role }))} error=${wrong("role")} />
      <${Sees} value=${given} onChange=${(changes) => put((old) => ({ ...old, ...changes }))} scopes=${scopes} wrong=${wrong} />
      ${work.error && !Object.keys(BLANK).some(wrong) && html`<${Problem} error=${work.error} />`}
    </form>`}
  <//>`;
}

function Invited({ made }) {
  const { email } = made.invitation;
  return html`<p>${t(made.mailed ? "people.mailed" : "people.not_mailed", { email })}</p>
    ${made.url && html`<${Once} title=${t("people.link")} text=${t("people.link_once")} rows=${[[t("people.link_label"), made.url]]} />`}`;
}

function Invitations({ pages }) {
  const [sent, show] = useState(null);
  const resend = useWork(async (one) => {
    show(await call("POST", `/invitations/${encodeURIComponent(one.id)}/resend`));
    pages.reload();
  });
  const withdraw = useWork(async (one) => {
    const sure = await confirm({ title: t("people.withdraw_title", { email: one.email }), text: t("people.withdraw_text"), action: t("people.withdraw"), danger: true });
    if (!sure) return;
    await call("DELETE", `/invitations/${encodeURIComponent(one.id)}`);
    pages.reload();
  });
  const open = pages.items.filter(({ state }) => state === "pending" || state === "expired");
  return html`<${Card} title=${t("people.invitations")}>
    ${pages.error && html`<${Problem} error=${pages.error} retry=${pages.reload} />`}
    ${(resend.error || withdraw.error) && html`<${Problem} error=${resend.error ?? withdraw.error} />`}
    ${!pages.error && !open.length && (pages.loading ? html`<${Waiting} />` : html`<${Empty} icon="mail" title=${t("people.no_invitations")}>${t("people.no_invitations_do")}<//>`)}
    <ul class="lined">${open.map((one) => html`<li key=${one.id}>
      <span><b>${one.email}</b> <span class=${`chip ${one.state === "expired" ? "late" : ""}`}>${t(`people.invitation.${one.state}`)}</span>
        <small>${t(`people.role.${one.role}`)} · ${t("people.invited_by", { name: one.by_name })} · ${t("people.until")} <${Time} at=${one.expires_at} /></small></span>
      <span class="form-end">
        <${Button} small busy=${resend.busy} aria-label=${`${t("people.resend")}: ${one.email}`} onClick=${() => resend.run(one)}>${t("people.resend")}<//>
        <${Button} small kind="quiet" aria-label=${`${t("people.withdraw")}: ${one.email}`} onClick=${() => withdraw.run(one)}>${t("people.withdraw")}<//>
      </span>
    </li>`)}</ul>
    <${More} pages=${pages} />
    ${sent && html`<${Dialog} title=${t("people.resent")} onClose=${() => show(null)}><${Invited} made=${sent} /><//>`}
  <//>`;
}
