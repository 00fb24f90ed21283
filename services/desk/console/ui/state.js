// What is not there yet, not there at all, or went wrong; and hooks that read pages of the API.

import { ask, call, query } from "../frame/api.js";
import { html, useCallback, useEffect, useRef, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button } from "./button.js";
import { Icon } from "./icon.js";

export function Waiting({ label }) {
  return html`<div class="waiting" role="status">
    <${Icon} name="loader-circle" class="turning" /><span>${label ?? t("ui.loading")}</span>
  </div>`;
}

export function Empty({ icon = "inbox", title, children, action }) {
  return html`<div class="empty"><${Icon} name=${icon} size=${32} /><p class="strong">${title}</p>
    ${children && html`<p>${children}</p>`}${action}</div>`;
}

// What went wrong in words: the problem's own, or that nobody answered.
export function inWords(error) {
  if (!error) return "";
  if (error.problem) return error.problem.detail || t("ui.refused", { status: error.status });
  return error instanceof TypeError ? t("ui.unreachable") : String(error.message ?? error);
}

export function Problem({ error, retry }) {
  if (!error) return null;
  return html`<div class="problem" role="alert">
    <${Icon} name="circle-alert" /><span>${inWords(error)}</span>
    ${retry && html`<${Button} small onClick=${retry}>${t("ui.retry")}<//>`}
  </div>`;
}

// One answer of the API: {data, etag, error, loading, reload, set}. A null path asks nothing.
export function useGet(path, inputs = []) {
  const [state, put] = useState({ data: null, etag: "", error: null, loading: path !== null });
  const turn = useRef(0);
  const reload = useCallback(async () => {
    if (path === null) return;
    const mine = ++turn.current;
    put((before) => ({ ...before, loading: true, error: null }));
    try {
      const { body: data, etag } = await ask("GET", path);
      if (mine === turn.current) put({ data, etag, error: null, loading: false });
    } catch (error) {
      if (mine === turn.current) put((before) => ({ ...before, error, loading: false }));
    }
  }, [path, ...inputs]);
  useEffect(() => {
    put({ data: null, etag: "", error: null, loading: path !== null });
    reload();
    return () => void turn.current++;
  }, [reload]);
  return { ...state, reload, set: (data, etag = "") => put({ data, etag, error: null, loading: false }) };
}

// A list by pages: {items, more(), whole, error, loading, reload, set}. `whole`: there is no more.
export function usePages(path, given = {}) {
  const asked = path === null ? null : `${path}${query(given)}`;
  const [state, put] = useState({ items: [], next: null, error: null, loading: asked !== null, first: null });
  const turn = useRef(0);
  const read = useCallback(async (cursor, before) => {
    if (asked === null) return;
    const mine = ++turn.current;
    put((old) => ({ ...old, loading: true, error: null }));
    try {
      const mark = asked.includes("?") ? "&" : "?";
      const page = await call("GET", cursor ? `${asked}${mark}cursor=${encodeURIComponent(cursor)}` : asked);
      if (mine !== turn.current) return;
      put({ items: [...before, ...page.items], next: page.next, error: null, loading: false, first: page });
    } catch (error) {
      if (mine === turn.current) put((old) => ({ ...old, error, loading: false }));
    }
  }, [asked]);
  useEffect(() => {
    put({ items: [], next: null, error: null, loading: asked !== null, first: null });
    read(null, []);
    return () => void turn.current++;
  }, [read]);
  return {
    ...state,
    whole: !state.loading && !state.next,
    more: () => state.next && !state.loading && read(state.next, state.items),
    reload: () => read(null, []),
    set: (items) => put((old) => ({ ...old, items })),
  };
}

// Something to do: {run(...), busy, error, clear}. `run` answers what the work answers, or undefined
// where it failed; two at once are one.
export function useWork(work) {
  const [state, put] = useState({ busy: false, error: null });
  const latest = useRef(work);
  const busy = useRef(false);
  latest.current = work;
  const run = useCallback(async (...given) => {
    if (busy.current) return undefined;
    busy.current = true;
    put({ busy: true, error: null });
    try {
      const answer = await latest.current(...given);
      put({ busy: false, error: null });
      return answer ?? true;
    } catch (error) {
      put({ busy: false, error });
      return undefined;
    } finally {
      busy.current = false;
    }
  }, []);
  return { ...state, run, clear: () => put({ busy: false, error: null }) };
}
