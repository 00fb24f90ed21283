// The folders, in their order: chosen, ordered, changed, deleted; and by channel (B40).

import { call } from "../frame/api.js";
import { html } from "../frame/html.js";
import { number, t } from "../frame/words.js";
import { Empty, Icon, Menu, Problem, Select, Waiting, confirm, inWords, toast } from "../ui/index.js";
import { deleteFolder } from "./standard-folder.js";
import { Ordered } from "./standard-order.js";
import { Scope, channelOptions } from "./standard-scope.js";

export function Folders({ folders, scopes, chosen, channel, keeps, onChoose, onChannel, onEdit, onChanged }) {
  const { data, error } = folders;
  const order = async (ids) => {
    const before = data;
    folders.set({ ...data, items: ids.map((id) => data.items.find((one) => one.id === id)) });
    try {
      await call("PUT", "/standard-messages/folders/order", { folders: ids });
    } catch (failed) {
      folders.set(before);
      toast(inWords(failed), { kind: "bad" });
    }
  };
  return html`<section class="standard-folders" aria-label=${t("standard.folders")}>
    <${Select} label=${t("standard.by_channel")} value=${channel} options=${[["", t("standard.all_channels")], ...channelOptions()]} onChange=${onChannel} />
    <${Problem} error=${error} retry=${folders.reload} />
    ${!data && !error && html`<${Waiting} />`}
    ${data &&
    html`<ul class="standard-fixed">
      <li><${Place} icon="layers" name=${t("standard.everything")} here=${chosen === ""} onClick=${() => onChoose("")} /></li>
      <li><${Place} icon="inbox" name=${t("standard.no_folder")} count=${data.none} here=${chosen === "none"} onClick=${() => onChoose("none")} /></li>
    </ul>
    ${data.items.length === 0 && html`<${Empty} icon="folder" title=${t(channel ? "standard.no_folders_here" : "standard.no_folders")}>${keeps && !channel && t("standard.no_folders_hint")}<//>`}
    <${Ordered}
      label=${t("standard.folders")} items=${data.items} fixed=${!keeps || Boolean(channel)} name=${(folder) => folder.name} onOrder=${order}
      rowClass=${(folder) => (folder.id === chosen ? "here" : "")}
      show=${(folder) => html`<${Place} icon="folder" name=${folder.name} count=${folder.messages} here=${chosen === folder.id} onClick=${() => onChoose(folder.id)}>
          <span class="chips"><${Scope} folder=${folder} scopes=${scopes} /></span>
        <//>
        ${keeps && html`<${More} folder=${folder} onEdit=${onEdit} onChanged=${onChanged} />`}`}
    />
    ${keeps && channel && data.items.length > 1 && html`<p class="hint-text">${t("standard.order_all")}</p>`}`}
  </section>`;
}

function Place({ icon, name, count, here, onClick, children }) {
  return html`<button type="button" class="folder-place" aria-current=${here ? "true" : undefined} onClick=${onClick}>
    <${Icon} name=${icon} size=${17} /><span class="folder-name" dir="auto">${name}</span>
    ${count !== undefined && html`<span class="dim" aria-label=${t("standard.count", { n: count })}>${number(count)}</span>`}
    ${children}
  </button>`;
}

function More({ folder, onEdit, onChanged }) {
  const remove = async () => {
    const asked = (n) =>
      confirm({ title: t("standard.delete_folder", { name: folder.name }), text: t("standard.delete_folder_text", { n }), action: t("standard.delete_folder_action", { n }), danger: true });
    try {
      const gone = await deleteFolder(folder, asked);
      if (!gone) return;
      toast(t("standard.folder_gone", { n: gone.deleted, name: folder.name }));
      onChanged(folder.id);
    } catch (failed) {
      toast(inWords(failed), { kind: "bad" });
    }
  };
  return html`<${Menu}
    label=${t("standard.folder_menu", { name: folder.name })}
    items=${[
      { label: t("standard.edit_folder"), icon: "pencil", run: () => onEdit(folder) },
      { label: t("standard.delete_this_folder"), icon: "trash", danger: true, run: remove },
    ]}
  />`;
}
