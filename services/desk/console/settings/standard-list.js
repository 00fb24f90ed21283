// The messages of a folder, or of all: found, ordered, edited, deleted; with how often each is used.

import { call } from "../frame/api.js";
import { html, useEffect, useState } from "../frame/html.js";
import { ago, number, t } from "../frame/words.js";
import { Empty, Icon, IconButton, More, Problem, Select, Waiting, confirm, inWords, toast, usePages } from "../ui/index.js";
import { Ordered } from "./standard-order.js";

const PAUSE_MS = 250;

export function Messages({ folder, folders, keeps, channel, onEdit, onChanged }) {
  const [typed, type] = useState("");
  const [q, seek] = useState("");
  const [order, sort] = useState(folder ? "place" : "title");
  useEffect(() => {
    const timer = setTimeout(() => seek(typed.trim()), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  const pages = usePages("/standard-messages", { folder, q, order, limit: 100 });
  const shown = new Set(folders.map(({ id }) => id));
  const items = channel && !folder ? pages.items.filter((one) => !one.folder || shown.has(one.folder)) : pages.items;
  const ordering = async (ids) => {
    const before = pages.items;
    pages.set(ids.map((id) => before.find((one) => one.id === id)));
    try {
      await call("PUT", `/standard-messages/folders/${folder}/order`, { messages: ids });
    } catch (failed) {
      pages.set(before);
      toast(inWords(failed), { kind: "bad" });
    }
  };
  const orders = [...(folder ? ["place"] : []), "title", "used"].map((one) => [one, t(`standard.order.${one}`)]);
  return html`<section class="standard-messages" aria-label=${t("standard.messages")}>
    <div class="standard-tools">
      <div class="search words-search"><${Icon} name="search" size=${16} /><input type="search" aria-label=${t("standard.search")} placeholder=${t("standard.search")} value=${typed} onInput=${(event) => type(event.target.value)} /></div>
      <${Select} class="inline" label=${t("standard.sorted")} value=${order} options=${orders} onChange=${sort} />
    </div>
    <${Problem} error=${pages.error} retry=${pages.reload} />
    ${pages.loading && !items.length && html`<${Waiting} />`}
    ${pages.whole && !items.length && !pages.error && html`<${Nothing} q=${q} keeps=${keeps} folder=${folder} />`}
    <${Ordered}
      label=${t("standard.messages")} items=${items} name=${(one) => one.title} onOrder=${ordering}
      fixed=${!keeps || order !== "place" || q !== "" || !pages.whole}
      show=${(one) => html`<${Row} item=${one} keeps=${keeps} folder=${folder ? "" : folders.find(({ id }) => id === one.folder)?.name} onEdit=${onEdit} onChanged=${onChanged} />`}
    />
    <${More} pages=${pages} />
  </section>`;
}

function Nothing({ q, keeps, folder }) {
  if (q) return html`<${Empty} icon="search" title=${t("standard.not_found", { q })} />`;
  return html`<${Empty} icon="message-square" title=${t(folder ? "standard.empty_folder" : "standard.empty")}>${keeps && t("standard.empty_hint")}<//>`;
}

function Row({ item, keeps, folder, onEdit, onChanged }) {
  const remove = async () => {
    const sure = await confirm({ title: t("standard.delete", { name: item.title }), text: t("standard.delete_text"), action: t("ui.delete"), danger: true });
    if (!sure) return;
    try {
      await call("DELETE", `/standard-messages/${item.id}`);
      toast(t("standard.gone", { name: item.title }));
      onChanged();
    } catch (failed) {
      toast(inWords(failed), { kind: "bad" });
    }
  };
  const { sent, picked, last_used_at: last } = item.uses;
  return html`<div class="standard-row">
      <h2 dir="auto">${item.title}${folder && html`<span class="chip"><${Icon} name="folder" size=${12} />${folder}</span>`}</h2>
      ${item.text && html`<p class="words-excerpt" dir="auto"><${Marked} text=${item.text} /></p>`}
      <p class="chips dim">
        ${item.attachments.map((file) => html`<span class="chip" key=${file.id}><${Icon} name="paperclip" size=${12} />${file.name}</span>`)}
        <span title=${t("standard.uses_hint")}>${t("standard.uses", { sent: number(sent), picked: number(picked) })}${last && ` · ${ago(last, Date.now(), "short")}`}</span>
      </p>
    </div>
    ${keeps && html`<div class="row-actions">
      <${IconButton} icon="pencil" label=${t("standard.edit_one", { name: item.title })} onClick=${() => onEdit(item)} />
      <${IconButton} icon="trash" label=${t("standard.delete_one", { name: item.title })} onClick=${remove} />
    </div>`}`;
}

// A text with its variables marked, so that they stand out from what is always said.
export function Marked({ text }) {
  return text.split(/(\{\{[^{}]*\}\})/).map((part, at) => (at % 2 ? html`<mark key=${at} class="variable">${part.slice(2, -2)}</mark>` : part));
}
