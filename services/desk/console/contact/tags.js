// The tags of a contact, and a field that finds one or makes it.

import { ask, call, newKey } from "../frame/api.js";
import { html, useEffect, useId, useRef, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { t } from "../frame/words.js";
import { Button, Icon, Problem, inWords, toast, useGet, useWork } from "../ui/index.js";
import { editable } from "./facts.js";

export function TagChip({ tag, onTake }) {
  return html`<span class="tag-chip" dir="auto">
    <i class="tag-sign" style=${{ background: tag.color || "var(--edge)" }}></i>${tag.name}
    ${onTake && html`<button type="button" aria-label=${t("contact.tag.take", { name: tag.name })} title=${t("contact.tag.take", { name: tag.name })} onClick=${onTake}><${Icon} name="x" size=${13} /></button>`}
  </span>`;
}

export function plainly(name) {
  return name.normalize("NFKC").trim().toLocaleLowerCase();
}

// Finds a tag among all, or makes one; `has`: ids that are not offered; `pick(tag)` is what to do.
export function TagPicker({ has, pick, leave, busy, error }) {
  const all = useGet("/tags");
  const [text, put] = useState("");
  const [at, move] = useState(0);
  const id = useId();
  const box = useRef(null);
  useEffect(() => box.current?.focus(), []);
  const making = useWork(async (name) => pick(await call("POST", "/tags", { name }, { key: newKey() })));
  const words = plainly(text);
  const open = (all.data?.items ?? []).filter((tag) => !has.includes(tag.id) && plainly(tag.name).includes(words));
  const same = (all.data?.items ?? []).some((tag) => plainly(tag.name) === words);
  const rows = open.slice(0, 50).map((tag) => ({ id: tag.id, tag, run: () => pick(tag) }));
  if (words && !same && may("agent")) rows.push({ id: "new", run: () => making.run(text.trim()) });
  const chosen = rows[Math.min(at, rows.length - 1)];
  const keyed = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) move((Math.min(at, rows.length - 1) + step + rows.length) % (rows.length || 1));
    else if (event.key === "Enter") chosen?.run();
    else if (event.key === "Escape") leave();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const left = (event) => !event.currentTarget.contains(event.relatedTarget) && leave();
  return html`<div class="tag-picker" onFocusOut=${left}>
    <input ref=${box} type="text" role="combobox" aria-expanded="true" aria-controls=${id} aria-autocomplete="list" autocomplete="off"
      aria-label=${t("contact.tag.find")} placeholder=${t("contact.tag.find")} maxlength="60"
      aria-activedescendant=${chosen ? `${id}-${chosen.id}` : undefined}
      value=${text} onInput=${(event) => { put(event.target.value); move(0); }} onKeyDown=${keyed} />
    <ul role="listbox" id=${id} aria-label=${t("contact.tags")}>
      ${rows.map(
        (row, index) => html`<li key=${row.id} id=${`${id}-${row.id}`} role="option" aria-selected=${String(row === chosen)}
          onMouseDown=${(event) => event.preventDefault()} onMouseEnter=${() => move(index)} onClick=${row.run}>
          ${row.tag ? html`<i class="tag-sign" style=${{ background: row.tag.color || "var(--edge)" }}></i><span dir="auto">${row.tag.name}</span>` : html`<${Icon} name="plus" size=${15} />${t("contact.tag.make", { name: text.trim() })}`}
        </li>`,
      )}
    </ul>
    ${!rows.length && html`<p class="dim picker-note" role="status">${all.loading || busy || making.busy ? t("ui.loading") : t("contact.tag.none")}</p>`}
    <${Problem} error=${all.error || error || making.error} retry=${all.error && all.reload} />
  </div>`;
}

export function Tags({ source }) {
  const { contact } = source;
  const [open, put] = useState(false);
  const root = useRef(null);
  const path = (tag) => `/contacts/${encodeURIComponent(contact.id)}/tags/${encodeURIComponent(tag.id)}`;
  const give = useWork(async (tag) => {
    source.took(await ask("PUT", path(tag), {}));
    leave();
  });
  const take = async (tag) => {
    try {
      source.took(await ask("DELETE", path(tag)));
      toast(t("contact.tag.taken", { name: tag.name }), { action: { label: t("contact.undo"), run: () => give.run(tag) } });
      root.current?.querySelector("button")?.focus();
    } catch (error) {
      toast(inWords(error), { kind: "bad" });
    }
  };
  const leave = () => {
    const inside = root.current?.contains(document.activeElement);
    put(false);
    if (inside) requestAnimationFrame(() => root.current?.querySelector(".tag-add")?.focus());
  };
  const can = editable(contact);
  return html`<div class="tags-of" ref=${root}>
    <ul class="tag-list">
      ${contact.tags.map((tag) => html`<li key=${tag.id}><${TagChip} tag=${tag} onTake=${can && (() => take(tag))} /></li>`)}
      ${!contact.tags.length && !can && html`<li class="dim">${t("contact.tags.empty")}</li>`}
      ${can && !open && html`<li><${Button} small kind="quiet" icon="plus" class="tag-add" onClick=${() => { give.clear(); put(true); }}>${t("contact.tag.add")}<//></li>`}
    </ul>
    ${open && html`<${TagPicker} has=${contact.tags.map(({ id }) => id)} pick=${give.run} leave=${leave} busy=${give.busy} error=${give.error} />`}
  </div>`;
}
