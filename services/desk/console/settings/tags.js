// Tags of contacts: made, renamed, coloured, united, deleted; with how many contacts hold each (B30).

import { call, newKey } from "../frame/api.js";
import { html, useEffect, useMemo, useRef, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { href } from "../frame/router.js";
import { number, t } from "../frame/words.js";
import { Button, Dialog, Empty, Field, Icon, IconButton, Problem, Select, Table, TextField, Waiting, confirm, inWords, toast, useGet, useWork, wrongWith } from "../ui/index.js";
import { SettingsPage } from "./frame.js";

const COLORS = ["#2f5bd0", "#2f855a", "#b7791f", "#c53030", "#6b46c1", "#0e7490", "#b83280", "#4a5568"];
const AT_ONCE = 200; // contacts that change hands in one request
const COUNTED = 60; // so many tags show their count at once

export default function View() {
  const tags = useGet("/tags");
  const [open, put] = useState(null); // {edit: tag} or {merge: tag}
  const [typed, type] = useState("");
  const items = useMemo(() => {
    const wanted = typed.trim().toLocaleLowerCase();
    return (tags.data?.items ?? []).filter(({ name }) => name.toLocaleLowerCase().includes(wanted));
  }, [tags.data, typed]);
  const keeps = may("lead");
  const saved = () => {
    put(null);
    tags.reload();
  };
  const columns = [
    { name: "name", label: t("tags.name"), show: (tag) => html`<${Tag} tag=${tag} />` },
    { name: "contacts", label: t("tags.contacts"), end: true, show: (tag) => html`<${Count} key=${tag.id} tag=${tag} ask=${items.length <= COUNTED} />` },
    ...(keeps ? [{ name: "do", label: t("tags.do"), end: true, show: (tag) => html`<${Actions} tag=${tag} put=${put} reload=${tags.reload} several=${tags.data.items.length > 1} />` }] : []),
  ];
  return html`<${SettingsPage}
    narrow title=${t("tags.title")} hint=${t("tags.hint")}
    actions=${may("agent") && html`<${Button} kind="primary" icon="plus" onClick=${() => put({ edit: {} })}>${t("tags.new")}<//>`}
  >
    <${Problem} error=${tags.error} retry=${tags.reload} />
    ${!tags.data && !tags.error && html`<${Waiting} />`}
    ${tags.data?.items.length === 0 && html`<${Empty} icon="tags" title=${t("tags.none")}>${t("tags.none_hint")}<//>`}
    ${tags.data?.items.length > 0 &&
    html`<div class="search words-search"><${Icon} name="search" size=${16} /><input type="search" aria-label=${t("tags.search")} placeholder=${t("tags.search")} value=${typed} onInput=${(event) => type(event.target.value)} /></div>
      ${items.length ? html`<${Table} caption=${t("tags.title")} columns=${columns} rows=${items} />` : html`<p class="dim">${t("tags.not_found", { q: typed })}</p>`}
      ${!keeps && html`<p class="hint-text">${t("tags.readers")}</p>`}`}
    ${open?.edit && html`<${Edit} tag=${open.edit} onClose=${() => put(null)} onSaved=${saved} />`}
    ${open?.merge && html`<${Merge} tag=${open.merge} tags=${tags.data.items} onClose=${() => put(null)} onDone=${saved} />`}
  <//>`;
}

export function Tag({ tag }) {
  return html`<span class="tag-name"><span class="tag-dot" style=${{ background: tag.color || "var(--edge)" }}></span><span dir="auto">${tag.name}</span></span>`;
}

function Count({ tag, ask }) {
  const found = useGet(ask ? `/tags/${tag.id}` : null);
  const n = found.data?.contacts;
  if (n === undefined) return html`<span class="dim">…</span>`;
  if (!n) return html`<span class="dim">${number(0)}</span>`;
  return html`<a href=${href("/contacts", { tag: tag.id })} aria-label=${t("tags.count", { n })}>${number(n)}</a>`;
}

function Actions({ tag, put, reload, several }) {
  const remove = async () => {
    try {
      const { contacts: n } = await call("GET", `/tags/${tag.id}`);
      const sure = await confirm({ title: t("tags.delete", { name: tag.name }), text: t("tags.delete_text", { n }), action: t("ui.delete"), danger: true });
      if (!sure) return;
      await call("DELETE", `/tags/${tag.id}`);
      toast(t("tags.gone", { name: tag.name }));
      reload();
    } catch (failed) {
      toast(inWords(failed), { kind: "bad" });
    }
  };
  return html`<span class="row-actions">
    <${IconButton} icon="pencil" label=${t("tags.edit_one", { name: tag.name })} onClick=${() => put({ edit: tag })} />
    <${IconButton} icon="git-merge" disabled=${!several} label=${t("tags.merge_one", { name: tag.name })} onClick=${() => put({ merge: tag })} />
    <${IconButton} icon="trash" label=${t("tags.delete_one", { name: tag.name })} onClick=${remove} />
  </span>`;
}

function Edit({ tag, onClose, onSaved }) {
  const current = useGet(tag.id ? `/tags/${tag.id}` : null); // the version that the change is based on
  const [given, put] = useState({ name: tag.name ?? "", color: tag.color ?? "" });
  const key = useRef(newKey());
  const work = useWork(() => {
    if (tag.id) return call("PATCH", `/tags/${tag.id}`, given, { etag: current.etag });
    return call("POST", "/tags", given, { key: key.current });
  });
  const set = (more) => {
    key.current = newKey();
    put({ ...given, ...more });
  };
  const submit = async (event) => {
    event.preventDefault();
    if (!(await work.run())) return;
    toast(t("ui.saved"));
    onSaved();
  };
  const wrong = wrongWith(work.error, "name") || (work.error?.problem?.code === "name_taken" ? work.error.problem.detail : "");
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//><${Button} kind="primary" busy=${work.busy} onClick=${submit}>${t("ui.save")}<//>`;
  return html`<${Dialog} title=${t(tag.id ? "tags.edit" : "tags.new")} onClose=${onClose} footer=${footer}>
    <form class="form" onSubmit=${submit}>
      <${TextField} autofocus required label=${t("tags.name")} maxlength="60" value=${given.name} error=${wrong} hint=${tag.id ? t("tags.rename_hint", { n: current.data?.contacts ?? 0 }) : ""} onInput=${(name) => set({ name })} />
      <fieldset class="swatches"><legend>${t("tags.color")}</legend>
        ${["", ...COLORS].map(
          (color, at) => html`<label key=${color}><input type="radio" name="color" checked=${given.color === color} aria-label=${color ? t("tags.color_n", { n: at }) : t("tags.color_none")} onChange=${() => set({ color })} /><span style=${{ background: color || "var(--sunk)" }}></span></label>`,
        )}
        <${Field} label=${t("tags.color_own")} inline>
          ${(field) => html`<input ...${field} type="color" value=${given.color || "#4a5568"} onInput=${(event) => set({ color: event.target.value })} />`}
        <//>
      </fieldset>
      ${!wrong && html`<${Problem} error=${work.error} />`}
      <p><${Tag} tag=${{ ...given, name: given.name || "…" }} /></p>
      <button type="submit" hidden></button>
    </form>
  <//>`;
}

// Unites one tag with another: contacts get the other in its place, page by page; then it is deleted.
// Broken off, it can be begun again: who has been moved is not found any more.
function Merge({ tag, tags, onClose, onDone }) {
  const others = tags.filter(({ id }) => id !== tag.id);
  const [into, choose] = useState("");
  const [moved, tell] = useState(0);
  const count = useGet(`/tags/${tag.id}`);
  const gone = useRef(false);
  useEffect(() => () => void (gone.current = true), []);
  const work = useWork(async () => {
    let sum = 0;
    for (;;) {
      const { items } = await call("GET", `/contacts?tag=${encodeURIComponent(tag.id)}&limit=${AT_ONCE}`);
      if (!items.length) break;
      const answer = await call("POST", "/contacts/tags", { contacts: items.map(({ id }) => id), add: [into], take: [tag.id] });
      const refused = answer.items.find(({ done }) => !done);
      if (refused) throw new Error(refused.problem?.detail ?? t("tags.merge_failed"));
      sum += items.length;
      tell(sum);
      if (gone.current) return false;
    }
    return call("DELETE", `/tags/${tag.id}`);
  });
  const submit = async () => {
    if (!(await work.run())) return;
    toast(t("tags.merged", { name: tag.name, into: others.find(({ id }) => id === into).name }));
    onDone();
  };
  const n = count.data?.contacts ?? 0;
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//><${Button} kind="danger" disabled=${!into} busy=${work.busy} onClick=${submit}>${t("tags.merge")}<//>`;
  return html`<${Dialog} title=${t("tags.merge_title", { name: tag.name })} onClose=${onClose} footer=${footer}>
    <p>${t("tags.merge_text", { n, name: tag.name })}</p>
    <${Select} label=${t("tags.merge_into")} value=${into} options=${[["", t("tags.choose")], ...others.map(({ id, name }) => [id, name])]} onChange=${choose} />
    ${work.busy && html`<div role="status"><progress max=${Math.max(n, 1)} value=${moved} aria-label=${t("tags.merge")}></progress></div>`}
    <${Problem} error=${work.error} retry=${submit} />
  <//>`;
}
