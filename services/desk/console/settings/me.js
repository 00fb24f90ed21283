// Your account: name, password, where you are logged in, language and looks.

import { ask, call } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { me } from "../frame/me.js";
import { THEMES, choose, theme } from "../frame/theme.js";
import { LANGUAGES, language, speak, t } from "../frame/words.js";
import { Button, Card, Checkbox, Problem, Select, TextField, Time, Waiting, confirm, toast, useGet, useWork, wrongWith } from "../ui/index.js";
import { SettingsPage } from "./frame.js";

const LEAST = 8; // characters of a password

export default function MeView() {
  return html`<${SettingsPage} narrow title=${t("me.title")} hint=${t("me.hint")}>
    <${Profile} /><${Looks} /><${Password} /><${Logins} />
  <//>`;
}

function Profile() {
  const { agent, role, workspace } = me.value;
  const found = useGet(`/agents/${encodeURIComponent(agent.id)}`);
  const [name, put] = useState(agent.name);
  const work = useWork(async () => {
    const { body } = await ask("PATCH", "/me", { name });
    me.value = { ...me.value, agent: body.agent };
    toast(t("ui.saved"));
  });
  const submit = (event) => {
    event.preventDefault();
    work.run();
  };
  const wrong = wrongWith(work.error, "name");
  return html`<${Card} title=${t("me.profile")}>
    <form class="form" onSubmit=${submit}>
      <${TextField} label=${t("me.name")} hint=${t("me.name_hint")} value=${name} onInput=${put} error=${wrong} required maxlength="200" autocomplete="name" />
      <dl class="account-health">
        <div><dt>${t("me.email")}</dt><dd>${found.data?.email ?? "…"}</dd></div>
        <div><dt>${t("me.role")}</dt><dd>${t(`frame.role.${role}`)}</dd></div>
        <div><dt>${t("me.workspace")}</dt><dd><bdi>${workspace}</bdi></dd></div>
      </dl>
      ${work.error && !wrong && html`<${Problem} error=${work.error} />`}
      <div class="form-end"><${Button} type="submit" kind="primary" busy=${work.busy} disabled=${name.trim() === agent.name}>${t("ui.save")}<//></div>
    </form>
  <//>`;
}

function Looks() {
  return html`<${Card} title=${t("me.looks")} hint=${t("me.looks_hint")}>
    <div class="pair form">
      <${Select} label=${t("me.language")} value=${language.value} options=${Object.entries(LANGUAGES)} onChange=${speak} />
      <${Select} label=${t("me.theme")} value=${theme.value} options=${THEMES.map((one) => [one, t(`me.theme.${one}`)])} onChange=${choose} />
    </div>
  <//>`;
}

function Password() {
  const blank = { old: "", new: "", again: "", end_tokens: false };
  const [given, put] = useState(blank);
  const set = (name) => (value) => put((old) => ({ ...old, [name]: value }));
  const differs = given.again && given.again !== given.new;
  const work = useWork(async () => {
    await call("PUT", "/me/password", { old: given.old, new: given.new, end_tokens: given.end_tokens });
    put(blank);
    toast(t("me.password_changed"));
  });
  const submit = (event) => {
    event.preventDefault();
    if (given.again === given.new) work.run();
  };
  const wrong = (field) => wrongWith(work.error, field);
  return html`<${Card} title=${t("me.password")} hint=${t("me.password_hint")}>
    <form class="form" onSubmit=${submit}>
      <input type="text" autocomplete="username" value=${me.value.agent.name} hidden readonly />
      <${TextField} type="password" autocomplete="current-password" label=${t("me.old")} value=${given.old} onInput=${set("old")} error=${wrong("old")} required />
      <${TextField} type="password" autocomplete="new-password" label=${t("me.new")} hint=${t("me.new_hint", { n: LEAST })} value=${given.new} onInput=${set("new")} error=${wrong("new")} required minlength=${LEAST} />
      <${TextField} type="password" autocomplete="new-password" label=${t("me.again")} value=${given.again} onInput=${set("again")} error=${differs ? t("me.differs") : ""} required />
      <${Checkbox} label=${t("me.end_tokens")} checked=${given.end_tokens} onChange=${set("end_tokens")} />
      ${work.error && !wrong("old") && !wrong("new") && html`<${Problem} error=${work.error} />`}
      <div class="form-end"><${Button} type="submit" kind="primary" busy=${work.busy}>${t("me.password_change")}<//></div>
    </form>
  <//>`;
}

// "Firefox on Linux" of what a browser calls itself; what cannot be told is shown as it is.
function deviceOf(text) {
  const browser = /Edg\//.test(text) ? "Edge" : /Firefox\//.test(text) ? "Firefox" : /Chrome\//.test(text) ? "Chrome" : /Safari\//.test(text) ? "Safari" : "";
  const system = text.match(/Windows|Android|iPhone|iPad|Mac OS X|Linux/)?.[0] ?? "";
  return [browser, system].filter(Boolean).join(" · ") || text || t("me.device_unknown");
}

function Logins() {
  const list = useGet("/me/sessions");
  const one = useWork(async (login) => {
    await call("DELETE", `/me/sessions/${encodeURIComponent(login.id)}`);
    list.reload();
  });
  const all = useWork(async () => {
    if (!(await confirm({ title: t("me.end_all_title"), text: t("me.end_all_text"), action: t("me.end_all"), danger: true }))) return;
    await call("DELETE", "/me/sessions");
    list.reload();
  });
  const items = list.data?.items ?? [];
  const actions = items.length > 1 && html`<${Button} small busy=${all.busy} onClick=${all.run}>${t("me.end_all")}<//>`;
  return html`<${Card} title=${t("me.logins")} hint=${t("me.logins_hint")} actions=${actions}>
    ${(list.error || one.error || all.error) && html`<${Problem} error=${list.error ?? one.error ?? all.error} retry=${list.reload} />`}
    ${!list.data && list.loading && html`<${Waiting} />`}
    <ul class="lined">${items.map((login) => html`<li key=${login.id}>
      <span><b>${deviceOf(login.device)}</b> ${login.current && html`<span class="chip good">${t("me.this_one")}</span>`}
        <small>${login.address && html`<bdi>${login.address}</bdi> · `}${t("me.since")} <${Time} at=${login.created_at} />${login.last_used_at && html` · ${t("me.used")} <${Time} at=${login.last_used_at} relative />`}</small></span>
      ${!login.current && html`<${Button} small aria-label=${`${t("me.end")}: ${deviceOf(login.device)}`} onClick=${() => one.run(login)}>${t("me.end")}<//>`}
    </li>`)}</ul>
  <//>`;
}
