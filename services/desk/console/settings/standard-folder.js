// A folder's name, and whom it is for: channels, teams, and the assignees in charge.

import { ask, call, newKey } from "../frame/api.js";
import { html, useRef, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Choices, Dialog, Problem, TextField, useWork, wrongWith } from "../ui/index.js";
import { Current } from "./current.js";

export function FolderForm(given) {
  const { id } = given.folder;
  const form = (data, etag) => html`<${Form} ...${given} folder=${data ?? given.folder} etag=${etag} />`;
  return html`<${Current} path=${id ? `/standard-messages/folders/${id}` : null} title=${t(given.folder.id ? "standard.edit_folder" : "standard.new_folder")} onClose=${given.onClose} form=${form} />`;
}

function Form({ folder, scopes, onClose, onSaved, etag }) {
  const [given, put] = useState({
    name: folder.name ?? "", channels: folder.channels ?? [], teams: folder.teams ?? [], users: folder.users ?? [],
  });
  const key = useRef(newKey());
  const work = useWork(async () => {
    if (!folder.id) return call("POST", "/standard-messages/folders", given, { key: key.current });
    return call("PATCH", `/standard-messages/folders/${folder.id}`, given, { etag });
  });
  const set = (name) => (value) => {
    key.current = newKey(); // another folder than the one that was refused
    put({ ...given, [name]: value });
  };
  const wrong = (name) => wrongWith(work.error, name) || (name === "name" && work.error?.problem?.code === "name_taken" ? work.error.problem.detail : "");
  const known = ["name", "channels", "teams", "users"].some((name) => wrong(name));
  const submit = async (event) => {
    event.preventDefault();
    const saved = await work.run();
    if (saved) onSaved(saved);
  };
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//>
    <${Button} kind="primary" busy=${work.busy} onClick=${submit}>${t("ui.save")}<//>`;
  return html`<${Dialog} title=${t(folder.id ? "standard.edit_folder" : "standard.new_folder")} onClose=${onClose} footer=${footer} wide>
    <form class="folder-form" onSubmit=${submit}>
      <${TextField} autofocus label=${t("standard.name")} value=${given.name} onInput=${set("name")} error=${wrong("name")} maxlength="100" required />
      <p class="hint-text">${t("standard.scope_hint")}</p>
      <div class="scopes">
        <${Choices} label=${t("standard.channels")} hint=${t("standard.none_is_all")} options=${scopes.channels} value=${given.channels} onChange=${set("channels")} error=${wrong("channels")} />
        <${Choices} label=${t("standard.teams")} hint=${scopes.teams.length ? t("standard.none_is_all") : t("standard.no_teams")} options=${scopes.teams} value=${given.teams} onChange=${set("teams")} error=${wrong("teams")} />
        <${Choices} label=${t("standard.users")} hint=${t("standard.none_is_all")} options=${scopes.users} value=${given.users} onChange=${set("users")} error=${wrong("users")} />
      </div>
      ${!known && html`<${Problem} error=${work.error} />`}
      <button type="submit" hidden></button>
    </form>
  <//>`;
}

// Deletes a folder with what is in it; asks with the count that the API tells (B39).
export async function deleteFolder(folder, confirmed) {
  const path = `/standard-messages/folders/${folder.id}`;
  let token = "";
  for (;;) {
    try {
      return (await ask("DELETE", token ? `${path}?confirm=${encodeURIComponent(token)}` : path)).body;
    } catch (error) {
      if (error.problem?.code !== "confirmation_required") throw error;
      if (!(await confirmed(Number(error.problem.facts.count)))) return null;
      token = error.problem.facts.token;
    }
  }
}
