// A contact as it is now, with the version that a change is based on.

import { ask, call } from "../frame/api.js";
import { useCallback, useEffect, useRef, useState } from "../frame/html.js";
import { inboxLive } from "../live/inbox.js";

const SETTLE_MS = 1500; // several words about one contact are one reading

// {contact, etag, error, loading, reload(), took({body, etag}), fresh()}; `fresh` answers
// {contact, etag} of this moment and shows it.
export function useContact(id) {
  const [state, put] = useState({ contact: null, etag: "", error: null, loading: true });
  const turn = useRef(0);
  const fresh = useCallback(async () => {
    const mine = ++turn.current;
    const { body, etag } = await ask("GET", `/contacts/${encodeURIComponent(id)}`);
    if (mine === turn.current) put({ contact: body, etag, error: null, loading: false });
    return { contact: body, etag };
  }, [id]);
  const reload = useCallback(
    () => fresh().catch((error) => put((before) => ({ ...before, error, loading: false }))),
    [fresh],
  );
  useEffect(() => {
    put({ contact: null, etag: "", error: null, loading: true });
    reload();
    return () => void turn.current++;
  }, [reload]);
  useEffect(() => {
    let timer;
    const later = () => {
      clearTimeout(timer);
      timer = setTimeout(reload, SETTLE_MS);
    };
    const ends = inboxLive.on("session", (row) => row.contact?.id === id && later());
    addEventListener("focus", later);
    return () => {
      clearTimeout(timer);
      removeEventListener("focus", later);
      ends();
    };
  }, [reload]);
  const took = ({ body, etag }) => {
    turn.current += 1; // what is still being read is older
    put({ contact: body, etag, error: null, loading: false });
  };
  return { ...state, reload, fresh, took };
}

// All of a list that is read by pages, at most `most` rows.
export async function every(path, most = 1000) {
  const found = [];
  let cursor = "";
  do {
    const mark = path.includes("?") ? "&" : "?";
    const page = await call("GET", cursor ? `${path}${mark}cursor=${encodeURIComponent(cursor)}` : path);
    found.push(...page.items);
    cursor = page.next;
  } while (cursor && found.length < most);
  return found;
}

// Hands a file to the browser: `content` is a Blob.
export function handOver(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser reads it after the click
}
