// Standard messages: folders at the side, what is in one of them beside it.

import { query } from "../frame/api.js";
import { html, useEffect, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { go } from "../frame/router.js";
import { t } from "../frame/words.js";
import { Button, Icon, Menu, toast, useGet } from "../ui/index.js";
import { SettingsPage } from "./frame.js";
import { FolderForm } from "./standard-folder.js";
import { Folders } from "./standard-folders.js";
import { ImportDialog, running } from "./standard-import.js";
import { Messages } from "./standard-list.js";
import { MessageForm } from "./standard-message.js";
import { fetched, useScopes } from "./standard-scope.js";

export default function View({ query: given }) {
  const scopes = useScopes();
  const channel = given.channel ?? "";
  const folders = useGet(`/standard-messages/folders${query({ channel })}`);
  const [open, put] = useState(null); // {folder} or {message} that is edited, or "import"
  const [turn, again] = useState(0);
  const keeps = may("lead");
  const changed = () => {
    again((one) => one + 1);
    folders.reload();
  };
  useEffect(() => {
    if (running.value?.over) changed();
  }, [running.value?.over]);
  const show = (more) => go("/settings/standard-messages", { channel, folder: given.folder, ...more }, { replace: true });
  return html`<${SettingsPage}
    title=${t("standard.title")} hint=${t("standard.hint")}
    actions=${keeps && html`<${Actions} onOpen=${put} folder=${given.folder} />`}
  >
    ${!keeps && html`<p class="hint-text"><${Icon} name="lock" size=${14} /> ${t("standard.readers")}</p>`}
    <div class="standard">
      <${Folders}
        folders=${folders} scopes=${scopes} chosen=${given.folder ?? ""} channel=${channel} keeps=${keeps}
        onChoose=${(folder) => show({ folder })} onChannel=${(one) => show({ channel: one, folder: "" })}
        onEdit=${(folder) => put({ folder })} onChanged=${(gone) => { if (gone === given.folder) show({ folder: "" }); changed(); }}
      />
      <${Messages}
        key=${`${given.folder ?? ""}/${turn}`} folder=${given.folder ?? ""} folders=${folders.data?.items ?? []} keeps=${keeps} channel=${channel}
        onEdit=${(message) => put({ message })} onChanged=${changed}
      />
    </div>
    ${open?.folder && html`<${FolderForm} folder=${open.folder} scopes=${scopes} onClose=${() => put(null)} onSaved=${(folder) => { put(null); changed(); show({ folder: folder.id, channel: "" }); toast(t("ui.saved")); }} />`}
    ${open?.message && html`<${MessageForm} message=${open.message} folders=${folders.data?.items ?? []} onClose=${() => put(null)} onSaved=${() => { put(null); changed(); toast(t("ui.saved")); }} />`}
    ${open === "import" && html`<${ImportDialog} onClose=${() => put(null)} />`}
  <//>`;
}

function Actions({ onOpen, folder }) {
  const there = folder && folder !== "none" ? folder : "";
  return html`
    <${Menu}
      label=${t("standard.files")} class="button" button=${html`<${Icon} name="file-text" size=${16} />${t("standard.files")}`}
      items=${[
        { label: t("standard.template"), icon: "download", run: () => fetched("template.xlsx") },
        { label: t("standard.import"), icon: "upload", run: () => onOpen("import") },
        { label: t("standard.export"), icon: "download", run: () => fetched("export.xlsx") },
      ]}
    />
    <${Button} icon="folder-plus" onClick=${() => onOpen({ folder: {} })}>${t("standard.new_folder")}<//>
    <${Button} kind="primary" icon="plus" onClick=${() => onOpen({ message: { folder: there } })}>${t("standard.add")}<//>
  `;
}
