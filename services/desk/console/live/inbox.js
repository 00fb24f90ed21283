// What happens in the inbox as it happens: /inbox/stream for every view of this page.
//
// A view says what it wants by `watch` (the filters of the list) and `attend` (a session whose entries
// it shows), and is told by `on`. While the page cannot be seen the stream is closed, because a
// browser has few connections to a host; it comes back behind the last id.

import { query } from "../frame/api.js";
import { signal } from "../frame/html.js";
import { follow } from "../frame/sse.js";

const HIDDEN_MS = 30_000;

export class InboxLive {
  connection = signal("connecting");
  unread = signal(null); // {total, accounts: {slug: n}}
  #heard = new Map(); // event -> functions
  #filters = {};
  #open = new Map(); // session -> how many views show it
  #stream = null;
  #timer;

  begin() {
    document.addEventListener("visibilitychange", this.#seen);
    this.#follow();
  }

  close() {
    document.removeEventListener("visibilitychange", this.#seen);
    clearTimeout(this.#timer);
    this.#stream?.stop();
    this.#stream = null;
  }

  // Tells `run(data)` of each `event` of the protocol in docs/inbox.md: ready, session, removed,
  // entry, read, receipts, reset. Returns what ends it.
  on(event, run) {
    const all = this.#heard.get(event) ?? new Set();
    this.#heard.set(event, all.add(run));
    return () => all.delete(run);
  }

  // The filters of the list, as GET /sessions takes them. Read the pages at the next `ready`.
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
      else this.#open.delete(session);
    };
  }

  #anew() {
    if (this.#stream) this.#follow();
  }

  #follow() {
    this.#stream?.stop();
    this.#stream = follow({
      url: () => `/api/v1/inbox/stream${query({ ...this.#filters, open: [...this.#open.keys()] })}`,
      changed: (state) => (this.connection.value = state),
      heard: ({ event, data }) => this.#tell(event, JSON.parse(data)),
    });
  }

  #tell(event, data) {
    if (event === "unread") this.unread.value = data;
    if (event === "reset" && data?.reason === "access") this.#stream.again();
    for (const run of [...(this.#heard.get(event) ?? [])]) run(data);
  }

  #seen = () => {
    clearTimeout(this.#timer);
    if (document.visibilityState === "visible") {
      if (!this.#stream) this.#follow();
    } else {
      this.#timer = setTimeout(() => {
        this.#stream?.stop();
        this.#stream = null;
      }, HIDDEN_MS);
    }
  };
}

export const inboxLive = new InboxLive();
