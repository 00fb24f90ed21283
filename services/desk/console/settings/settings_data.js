// The workspace's settings with their version: read once, changed one by one, each change made to the
// version that was seen. Somebody else's change of the same switch is shown instead of overwritten.

import { ask, call } from "../frame/api.js";
import { useCallback, useEffect, useRef, useState } from "../frame/html.js";
import { may } from "../frame/me.js";

const TRIES = 3; // others change other switches meanwhile: no reason to trouble anybody

// "survey.question" of settings; undefined where there is none.
export function valueAt(settings, name) {
  return name.split(".").reduce((value, part) => value?.[part], settings);
}

// The patch that sets it: {survey: {question: value}}.
export function patchOf(name, value) {
  return name.split(".").reduceRight((inner, part) => ({ [part]: inner }), value);
}

export function alike(one, other) {
  return JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === undefined) return null; // what is not set is as what is set to nothing
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

// Somebody has changed the very same meanwhile; `now` is what stands.
export class Conflict extends Error {
  constructor(now) {
    super("conflict");
    this.now = now;
  }
}

// {settings, error, loading, reload, save(patch, names, seen)}. `names`: what the patch sets;
// `seen`: the settings that whoever changes it had before them.
export function useSettings() {
  const [state, put] = useState({ settings: null, etag: "", error: null, loading: true });
  const latest = useRef(state);
  latest.current = state;
  const read = useCallback(async () => {
    const answer = await ask("GET", "/settings");
    const next = { settings: answer.body, etag: answer.etag, error: null, loading: false };
    latest.current = next;
    put(next);
    return next;
  }, []);
  const reload = useCallback(() => {
    put((old) => ({ ...old, loading: true, error: null }));
    return read().catch((error) => put((old) => ({ ...old, error, loading: false })));
  }, []);
  const save = useCallback(async (patch, names, seen = latest.current.settings) => {
    for (let tried = 1; ; tried++) {
      try {
        const answer = await ask("PATCH", "/settings", patch, { etag: latest.current.etag });
        const next = { settings: answer.body, etag: answer.etag, error: null, loading: false };
        latest.current = next;
        put(next);
        return next.settings;
      } catch (error) {
        if (error.status !== 412 || tried === TRIES) throw error;
        const { settings } = await read();
        const other = names.some((name) => !alike(valueAt(settings, name), valueAt(seen, name)));
        if (other) throw new Conflict(settings);
      }
    }
  }, []);
  useEffect(() => void reload(), []);
  return { ...state, reload, save };
}

// Who changed each switch last: {name: {at, who, file}}; only admins may look, others get {}.
export function useLastChanges(version) {
  const [found, put] = useState({});
  useEffect(() => {
    if (!may("admin")) return undefined;
    let wanted = true;
    Promise.all([call("GET", "/settings/history?limit=200"), call("GET", "/agents")]).then(
      ([history, agents]) => wanted && put(lastOf(history.items, namesOf(agents.items))),
      () => {}, // the switches work without
    );
    return () => (wanted = false);
  }, [version]);
  return found;
}

export function namesOf(agents) {
  return new Map(agents.map(({ id, name }) => [id, name]));
}

// "agent:agt_1" or "agt_1" -> its name; a program or a file as it is called.
export function actorName(actor, names) {
  const id = actor.replace(/^agent:/, "");
  return names.get(id) ?? id;
}

function lastOf(versions, names) {
  const last = {};
  for (const { at, actor, action, changes } of versions) {
    for (const { switch: name } of changes) {
      last[name] ??= { at, who: actorName(actor, names), file: action === "config.apply" };
    }
  }
  return last;
}
