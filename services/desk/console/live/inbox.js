// What happens in the inbox as it happens: /inbox/stream for every view of this page.
//
// A view says what it wants by `watch` (the filters of the list) and `attend` (a session whose entries
// it shows), and is told by `on`. To miss nothing, read pages after `whenReady`, and merge by `rev`.
// A stream that takes another's place goes on behind its last id, so what is on the screen stays
// right; `ready` says by `resumed` whether that is so. While the page cannot be seen the stream is
// closed, because an agent has few; it comes back behind the last id.

import { query } from "../frame/api.js";
import { signal } from "../frame/html.js";
import { follow } from "../frame/sse.js";

const HIDDEN_MS = 30_000;
const TOGETHER_MS = 20; // a click changes filters and what is open: one new stream, not two

export class InboxLive {
  connection = signal("connecting");
  unread = signal(null); // {total, accounts: {slug: n}}
  #heard = new Map(); // event -> functions
  #filters = {};
  #open = new Map(); // session -> how many views show it
  #stream = null;
  #after = ""; // where a stream goes on that comes back
  #turn = 0;
  #hiding;
  #changing;
  #ready = waiting();

  begin() {
    document.addEventListener("visibilitychange", this.#seen);
    this.#anew();
  }

  close() {
    document.removeEventListener("visibilitychange", this.#seen);
    clearTimeout(this.#hiding);
    clearTimeout(this.#changing);
    this.#stop();
    this.#after = "";
    this.unread.value = null;
  }

  // Tells `run(data)` of each `event` of the protocol in docs/inbox.md: ready, session, removed,
  // entry, read, receipts, reset. Returns what ends it.
  on(event, run) {
    const all = this.#heard.get(event) ?? new Set();
    this.#heard.set(event, all.add(run));
    return () => all.delete(run);
  }

  // Resolves when the stream tells of all that is wanted now, or after `ms`: then true is false.
  whenReady(ms = 400) {
    const late = new Promise((done) => setTimeout(done, ms, false));
    return Promise.race([this.#ready.promise.then(() => true), late]);
  }

  // The filters of the list, as GET /sessions takes them. Rows of other filters are read anew.
  watch(filters) {
    if (query(filters) === query(this.#filters)) return;
    this.#filters = filters;
    this.#anew();
  }

  // The entries of a session are told until what this returns is called.
  attend(session) {
    const before = this.#open.get(session) ?? 0;
    this.#open.set(session, before + 1);
    if (!before) this.#anew();
    return () => {
      const left = this.#open.get(session) - 1;
      if (left) this.#open.set(session, left);
      else this.#open.delete(session); // its entries may still be told: nobody minds
    };
  }

  #anew() {
    if (this.#ready.done) this.#ready = waiting();
    clearTimeout(this.#changing);
    this.#changing = setTimeout(() => this.#follow(), TOGETHER_MS);
  }

  #stop() {
    if (!this.#stream) return;
    this.#after = this.#stream.last();
    this.#stream.stop();
    this.#stream = null;
    this.#turn++;
    if (this.#ready.done) this.#ready = waiting();
  }

  // A page that begins in a tab nobody looks at, or changes there, opens nothing: a browser has six
  // connections to a desk for all its tabs. It does when it is seen.
  #follow() {
    const open = Boolean(this.#stream);
    this.#stop();
    if (!open && document.visibilityState !== "visible") return;
    const turn = ++this.#turn; // what one says that was stopped is of no interest
    this.#stream = follow({
      url: () => `/api/v1/inbox/stream${query({ ...this.#filters, open: [...this.#open.keys()] })}`,
      after: this.#after,
      changed: (state) => turn === this.#turn && this.#connected(state),
      heard: (event) => turn === this.#turn && this.#tell(event),
    });
  }

  // A stream that takes another's place connects in no time: not worth a word.
  #connected(state) {
    if (state === "crowded" && document.visibilityState !== "visible") this.#stop(); // others need it
    if (state === "connecting" && this.connection.value === "connected") return;
    this.connection.value = state;
  }

  #tell({ event, data, resumed }) {
    const told = parsed(data);
    if (told === undefined) return;
    if (event === "unread") this.unread.value = told;
    if (event === "ready") this.#ready.end();
    if (event === "reset" && told.reason === "access") this.#stream.again();
    const given = event === "ready" ? { ...told, resumed } : told;
    for (const run of [...(this.#heard.get(event) ?? [])]) run(given);
  }

  #seen = () => {
    clearTimeout(this.#hiding);
    if (document.visibilityState === "visible") {
      if (!this.#stream) this.#anew();
    } else {
      this.#hiding = setTimeout(() => this.#stop(), HIDDEN_MS);
    }
  };
}

function waiting() {
  const state = { done: false };
  state.promise = new Promise((done) => {
    state.end = () => {
      state.done = true;
      done();
    };
  });
  return state;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // cut in the middle: it is told again
  }
}

export const inboxLive = new InboxLive();
