// A session that is opened: a waiting one becomes ours (A06), and what is looked at has been read.

import { call } from "../frame/api.js";
import { signal, useEffect, useRef, useState } from "../frame/html.js";
import { may, me } from "../frame/me.js";
import { t } from "../frame/words.js";
import { inboxLive } from "../live/inbox.js";
import { inWords, toast } from "../ui/index.js";

// {row, error, retry}: the session of the address, as it is now. Opening one that waits takes it;
// who comes second is told by whom it was taken.
export function useOpened(id, list) {
  const [state, put] = useState({ id: null, row: null, error: null });
  const [turn, turned] = useState(0);
  useEffect(() => {
    let here = true;
    put({ id, row: id ? (list.state.value.rows.get(id) ?? null) : null, error: null });
    if (!id) return undefined;
    const keep = (row) => {
      if (here) put((old) => (old.row && old.row.rev > row.rev ? old : { id, row: { ...old.row, ...row }, error: null }));
    };
    // who may not see it any more sees nothing of it; another failure leaves it as it was
    const lost = (error) => here && [403, 404].includes(error.status) && put({ id, row: null, error });
    let soon;
    const again = () => {
      clearTimeout(soon);
      soon = setTimeout(() => read(id).then(keep, lost), 200);
    };
    const ends = [
      () => clearTimeout(soon),
      // A session outside of the filters has no row in the stream, only what is said in it.
      inboxLive.on("entry", ({ session }) => session === id && !list.state.value.rows.has(id) && again()),
      inboxLive.on("session", (row) => row.id === id && keep(row)),
      inboxLive.on("removed", (gone) => gone.id === id && again()),
      inboxLive.on("ready", ({ resumed }) => !resumed && again()),
      inboxLive.on("reset", () => again()),
    ];
    open(id, list).then(keep, (error) => here && put((old) => ({ ...old, id, error })));
    return () => {
      here = false;
      for (const end of ends) end();
    };
  }, [id, turn]);
  const known = list.state.value.rows.get(id);
  const fresher = known && (!state.row || known.rev > state.row.rev) ? known : state.row;
  return { row: state.id === id ? fresher : (known ?? null), error: state.id === id ? state.error : null, retry: () => turned(turn + 1) };
}

function read(id) {
  return call("GET", `/sessions/${encodeURIComponent(id)}`);
}

async function open(id, list) {
  const row = list.state.value.rows.get(id) ?? (await read(id));
  if (row.list !== "unassigned" || !may("agent")) return row;
  try {
    const mine = await call("POST", `/sessions/${encodeURIComponent(id)}/open`, { expect: "unassigned" });
    list.update(mine);
    return mine;
  } catch (error) {
    if (error.status !== 409) throw error;
    const now = await read(id);
    toast(takenBy(now, error));
    return now;
  }
}

function takenBy(now, error) {
  if (!now.owner || now.owner.id === me.value.agent.id) return inWords(error);
  return t("inbox.taken", { name: now.owner.name });
}

const looking = signal(isLooking());
const look = () => (looking.value = isLooking());
addEventListener("focus", look);
addEventListener("blur", look);
document.addEventListener("visibilitychange", look);

function isLooking() {
  return document.visibilityState === "visible" && document.hasFocus();
}

// Marks as read what stands on the screen while somebody looks at it.
export function useReading(row) {
  const under = useRef("");
  const unread = row?.unread ?? 0;
  const seen = looking.value;
  useEffect(() => {
    if (!row || !unread || !seen || !may("agent")) return;
    const mark = `${row.id} ${row.rev}`;
    if (under.current === mark) return;
    under.current = mark;
    call("PUT", `/sessions/${encodeURIComponent(row.id)}/read`, {}).catch(() => (under.current = ""));
  }, [row?.id, row?.rev, unread, seen]);
}
