// Files that are to go with a message: checked, then uploaded one beside the other.

import { newKey, upload } from "../frame/api.js";
import { html, signal, useEffect, useMemo } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Icon, IconButton, inWords } from "../ui/index.js";
import { draftOf, keepDraft, uploads } from "./drafts.js";
import { size } from "./files.js";

// Extension -> how it is shown; what the API takes (B06).
const KINDS = {
  mp3: "audio", png: "image", jpg: "image", jpeg: "image", gif: "image", mp4: "video", m4a: "audio", webm: "video",
  pdf: "file", vcf: "file", ogg: "audio", "3gpp": "video", wav: "audio", mov: "video", aac: "audio", acc: "audio",
};
export const ACCEPT = Object.keys(KINDS).map((one) => `.${one}`).join(",");
const MOST = 10;

// Why a file cannot go to this session, before a byte of it is sent; "": it can.
export function refusal(file, { carries = [], limits = {} }) {
  const kind = KINDS[file.name.split(".").pop().toLowerCase()];
  if (!kind) return t("talk.file.refused.type", { allowed: Object.keys(KINDS).join(", ") });
  if (!carries.includes(kind) && !carries.includes("file")) return t("talk.file.refused.kind", { kind: t(`talk.kind.${kind}`) });
  if (!file.size) return t("talk.file.refused.empty");
  // what is too large for its kind goes as a file, where the channel carries files
  const limit = Math.max(...[kind, "file"].filter((one) => carries.includes(one)).map((one) => limits[one] ?? Infinity));
  if (file.size > limit) return t("talk.file.refused.size", { size: size(file.size), limit: size(limit) });
  return "";
}

const running = new Map(); // key of a file -> what ends its upload

function storeOf(session, kept) {
  if (!uploads.has(session)) uploads.set(session, signal(kept));
  return uploads.get(session);
}

// The composer has gone: what is done is the draft's, what is not is kept here until it is.
function leave(session, store) {
  if (uploads.get(session) !== store) return; // logged out meanwhile
  keepDraft(session, { ...draftOf(session), files: plain(store.peek()) });
  if (store.peek().every(({ state }) => state === "done")) uploads.delete(session);
}

// {files, add(list), retry(id), remove(id), set(files), ready}: a file is {key, name, size, state:
// "going"|"done"|"failed"|"refused", part, why, id: of the API}.
// They are those of the session, whether its composer is on the screen or not: what is on its way goes
// on, and stands in the draft when it is done.
export function useFiles(session, kept, takes) {
  const store = useMemo(() => storeOf(session, kept), [session]);
  const files = store.value;
  const put = (given) => (store.value = typeof given === "function" ? given(store.peek()) : given);
  useEffect(() => {
    store.seen = true;
    return () => {
      store.seen = false;
      leave(session, store);
    };
  }, [store]);
  const change = (key, more) => {
    put((all) => all.map((one) => (one.key === key ? { ...one, ...more } : one)));
    if (!store.seen && more.state === "done") leave(session, store);
  };
  const start = async (entry) => {
    const ending = new AbortController();
    running.set(entry.key, ending);
    change(entry.key, { state: "going", part: 0, why: "" });
    const form = new FormData();
    form.append("file", entry.file, entry.name);
    try {
      const made = await upload("/attachments", form, {
        signal: ending.signal, headers: { "Idempotency-Key": entry.key }, progress: (part) => change(entry.key, { part }),
      });
      change(entry.key, { state: "done", part: 1, id: made.id, kind: made.kind });
    } catch (error) {
      if (error.name !== "AbortError") change(entry.key, { state: "failed", why: inWords(error), final: error.status >= 400 && error.status < 429 });
    }
  };
  const add = (list) => {
    const free = MOST - files.length;
    const made = [...list].slice(0, Math.max(0, free)).map((file) => {
      const why = refusal(file, takes);
      return { key: newKey(), file, name: file.name, size: file.size, state: why ? "refused" : "going", why, part: 0 };
    });
    put((all) => [...all, ...made]);
    for (const one of made) if (!one.why) start(one);
    return list.length > free ? t("talk.file.refused.many", { n: MOST }) : "";
  };
  return {
    files, add,
    retry: (key) => start(files.find((one) => one.key === key)),
    remove: (key) => {
      running.get(key)?.abort();
      put((all) => all.filter((one) => one.key !== key));
    },
    set: put,
    ready: files.every(({ state }) => state === "done"),
  };
}

// What is kept of them in a draft and a waiting message: the API holds the bytes already.
export function plain(files) {
  return files.filter(({ state }) => state === "done").map(({ key, id, name, size: bytes, kind }) => ({ key, id, name, size: bytes, kind, state: "done", part: 1, why: "" }));
}

export function FileRow({ files, retry, remove }) {
  if (!files.length) return null;
  return html`<ul class="talk-files" aria-label=${t("talk.files")}>
    ${files.map((one) => html`<li key=${one.key} data-state=${one.state}>
      <${Icon} name=${one.state === "failed" || one.state === "refused" ? "circle-alert" : "paperclip"} size=${15} />
      <span class="talk-grow"><bdi>${one.name}</bdi> <small class="dim">${size(one.size)}</small>
        ${one.why && html`<small class="wrong" role="alert">${one.why}</small>`}
        ${one.state === "going" && html`<progress max="1" value=${one.part} aria-label=${t("talk.file.going", { name: one.name })}></progress>`}</span>
      ${one.state === "failed" && !one.final && html`<${IconButton} icon="refresh-cw" size=${15} label=${t("talk.file.again", { name: one.name })} onClick=${() => retry(one.key)} />`}
      <${IconButton} icon="x" size=${15} label=${t("talk.file.remove", { name: one.name })} onClick=${() => remove(one.key)} />
    </li>`)}
  </ul>`;
}
