// Standard messages for this session: found while one types behind "/", or by the folder button (B08).

import { call, newKey, query } from "../frame/api.js";
import { classes, html, useEffect, useRef, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Icon, Problem, Waiting } from "../ui/index.js";

const PAUSE_MS = 120;

// How *item* reads for this visitor; its own words until that is known. Nothing counts as used by it.
function useFilled(item, contact) {
  const [found, put] = useState({ of: "", text: "" });
  const needed = item?.text.includes("{{");
  const of = needed ? `${item.id} ${item.text}` : "";
  useEffect(() => {
    if (!needed || found.of === of) return undefined;
    let wanted = true;
    const timer = setTimeout(() => {
      const asked = call("POST", "/standard-messages/preview", { text: item.text, contact });
      asked.then(({ text }) => wanted && put({ of, text }), () => {});
    }, PAUSE_MS);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [of, contact]);
  return needed && found.of === of ? found.text : item?.text;
}

// `q`: what stands behind the slash; undefined: the panel has a search field of its own. `keys.current`
// is given the keys that the composer does not use itself, and answers whether it took one.
export function StandardPanel({ thread, q, keys, onPick, onClose }) {
  const [own, find] = useState("");
  const [folder, choose] = useState("");
  const [at, go] = useState(0);
  const [state, put] = useState({ list: null, error: null });
  const box = useRef(null);
  const typed = q ?? own;
  const path = `/sessions/${encodeURIComponent(thread.id)}/standard-messages`;
  const turn = useRef(0);
  const read = async () => {
    const mine = ++turn.current;
    try {
      const list = await call("GET", `${path}${query({ q: typed, folder, limit: 30 })}`);
      if (mine === turn.current) put({ list, error: null });
    } catch (error) {
      if (mine === turn.current) put((old) => ({ ...old, error }));
    }
  };
  useEffect(() => {
    const timer = setTimeout(read, state.list ? PAUSE_MS : 0);
    return () => clearTimeout(timer);
  }, [typed, folder]);
  useEffect(() => go(0), [state.list]);
  useEffect(() => {
    if (q === undefined) box.current.querySelector("input")?.focus();
  }, []);
  const items = state.list?.items ?? [];
  const current = items[at];
  const filled = useFilled(current, thread.session.value?.contact.id ?? "");
  const take = async (item) => {
    try {
      onPick(await call("POST", `${path}/${encodeURIComponent(item.id)}/render`, {}, { key: newKey() }));
    } catch (error) {
      put((old) => ({ ...old, error }));
    }
  };
  const keyed = (event) => {
    if (event.isComposing) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && items.length) go((at + step + items.length) % items.length);
    else if ((event.key === "Enter" || event.key === "Tab") && current) take(current);
    else if (event.key === "Escape") onClose();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  };
  if (keys) keys.current = keyed;
  useEffect(() => {
    box.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [at]);
  return html`<div class="talk-pop talk-standard" ref=${box} role="dialog" aria-label=${t("talk.standard")} onKeyDown=${q === undefined ? keyed : undefined}>
    ${q === undefined && html`<label class="search"><span class="apart">${t("talk.standard.find")}</span>
      <input type="search" placeholder=${t("talk.standard.find")} value=${own} onInput=${(event) => find(event.target.value)} /></label>`}
    ${(state.list?.folders.length ?? 0) > 0 && html`<div class="talk-folders" role="group" aria-label=${t("talk.standard.folders")}>
      <button type="button" aria-pressed=${String(!folder)} onClick=${() => choose("")}>${t("talk.standard.all")}</button>
      ${state.list.folders.map(({ id, name }) => html`<button type="button" key=${id} aria-pressed=${String(folder === id)} onClick=${() => choose(id)}><${Icon} name="folder" size=${13} /><bdi>${name}</bdi></button>`)}
    </div>`}
    <${Problem} error=${state.error} retry=${read} />
    ${!state.list && !state.error && html`<${Waiting} />`}
    ${state.list && !items.length && html`<p class="dim talk-none">${typed ? t("talk.standard.none", { q: typed }) : t("talk.standard.empty")}</p>`}
    ${items.length > 0 && html`<div class="talk-two">
      <ul role="listbox" aria-label=${t("talk.standard")} tabindex="-1">${items.map((item, place) => html`<li key=${item.id} role="option" aria-selected=${String(place === at)}
        class=${classes(place === at && "here")} onMouseMove=${() => place !== at && go(place)} onClick=${() => take(item)}>
        <strong><bdi>${item.title}</bdi></strong><span class="dim" dir="auto">${item.text || item.attachments.map(({ name }) => name).join(", ")}</span></li>`)}</ul>
      <div class="talk-preview"><p class="talk-text" dir="auto">${filled}</p>
        ${current?.attachments.map(({ id, name }) => html`<p key=${id} class="talk-under"><${Icon} name="paperclip" size=${13} /><bdi>${name}</bdi></p>`)}</div>
    </div>`}
    <p class="talk-hint"><kbd>↑</kbd> <kbd>↓</kbd> <kbd>⏎</kbd> ${t("talk.standard.hint")} ${q === undefined && html`<${Button} small kind="quiet" onClick=${onClose}>${t("ui.close")}<//>`}</p>
  </div>`;
}
