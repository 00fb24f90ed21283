// One session as its pane shows it: what is said of it, its entries, and what changes meanwhile.
//
// An entry has no revision, so a page that was asked for before an entry was told may hold an older
// state of it: what the stream told during a reading wins over that reading.

import { call, query } from "../frame/api.js";
import { batch, signal } from "../frame/html.js";
import { inboxLive } from "../live/inbox.js";

const PAGE = 50;
const SETTLE_MS = 250;

// The order of the display: the provider's time, then the place in the session.
export function inOrder(one, other) {
  return Date.parse(one.at) - Date.parse(other.at) || one.number - other.number || (one.id < other.id ? -1 : 1);
}

export class Thread {
  session = signal(null); // GET /sessions/{id}
  entries = signal([]); // oldest first
  older = signal(null); // the cursor of the page before; null: there is none
  loading = signal(true);
  loadingOlder = signal(false);
  error = signal(null);
  since = signal(""); // id of the first message that was unread when this was opened
  #unread = 0; // as the row said before it was marked as read
  #begun = false; // its newest page has been read: an entry may be told before
  #all = new Map();
  #told = null; // ids told while a page is being read
  #reading = false;
  #again = false;
  #timer;
  #ends = [];
  #over = false;

  constructor(id) {
    this.id = id;
  }

  begin() {
    const hear = (event, run) => this.#ends.push(inboxLive.on(event, (data) => run(data)));
    const mine = (run) => (data) => data.session === this.id && run(data);
    hear("ready", () => this.read());
    hear("reset", () => this.#forget());
    hear("entry", mine((data) => this.#heard(data)));
    hear("receipts", mine((data) => this.#receipts(data)));
    hear("session", (row) => row.id === this.id && this.know(row));
    hear("removed", ({ id }) => id === this.id && this.#lookAgain());
    this.#ends.push(inboxLive.attend(this.id));
    this.read();
  }

  // How many were unread when the session was opened: the inbox marks them as read while the first
  // page is on its way, whose answer may say 0 then.
  opened(unread) {
    if (this.loading.peek()) this.#unread = Math.max(this.#unread, unread);
  }

  close() {
    this.#over = true;
    clearTimeout(this.#timer);
    for (const end of this.#ends) end();
  }

  // Reads the session and its newest page; one at a time, and once more if asked meanwhile.
  async read() {
    this.#again = this.#reading;
    if (this.#reading || this.#over) return;
    this.#reading = true;
    this.error.value = null;
    this.#told = new Set();
    try {
      const [detail, page] = await Promise.all([
        call("GET", `/sessions/${encodeURIComponent(this.id)}`), this.#page(null),
      ]);
      if (!this.#over) this.#readDone(detail, page);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#reading = false;
      this.#told = null;
      this.loading.value = false;
    }
    if (this.#again) this.read();
  }

  #readDone(detail, page) {
    const first = !this.#begun;
    this.#begun = true;
    // a page that does not reach what is here leaves a hole: what is older is read anew
    const hole = !first && page.next && !page.items.some(({ id }) => this.#all.has(id));
    batch(() => {
      if (hole) this.#all.clear();
      this.know(detail);
      this.#take(page.items);
      if (first || hole) this.older.value = page.next;
      if (first) this.since.value = firstUnread(this.entries.value, Math.max(detail.unread, this.#unread));
    });
  }

  async more() {
    if (!this.older.value || this.loadingOlder.value) return;
    this.loadingOlder.value = true;
    this.#told ??= new Set();
    try {
      const page = await this.#page(this.older.value);
      if (this.#over) return;
      batch(() => {
        this.#take(page.items);
        this.older.value = page.next;
        this.loadingOlder.value = false;
      });
    } catch (error) {
      this.error.value = error;
    } finally {
      this.loadingOlder.value = false;
    }
  }

  #page(cursor) {
    return call("GET", `/sessions/${encodeURIComponent(this.id)}/messages${query({ limit: PAGE, cursor })}`);
  }

  // Of two states of the session the one with the higher `rev` is the newer; a row lacks some of it.
  know(row) {
    const now = this.session.value;
    if (now && row.rev < now.rev) return;
    this.session.value = { ...now, ...row };
  }

  // An entry that an answer of the API held.
  put(entry) {
    this.#told?.add(entry.id);
    this.#all.set(entry.id, entry);
    this.#show();
  }

  #take(items) {
    for (const entry of items) if (!this.#told?.has(entry.id)) this.#all.set(entry.id, entry);
    this.#show();
  }

  #show() {
    this.entries.value = [...this.#all.values()].sort(inOrder);
  }

  #heard({ entry }) {
    if (!entry) return this.#lookAgain(true);
    const before = this.#all.get(entry.id);
    this.put(entry);
    // what a visitor writes opens a window, and a system line says that the session changed
    if (entry.direction === "in" || (entry.kind === "system" && !before)) this.#lookAgain();
  }

  #receipts({ delivered_up_to, read_up_to }) {
    const now = this.session.value;
    if (now) this.session.value = { ...now, visitor_delivered_up_to: delivered_up_to, visitor_read_up_to: read_up_to };
    this.#all = new Map([...this.#all].map(([id, entry]) => [id, reached(entry, delivered_up_to, read_up_to)]));
    this.#show();
  }

  #lookAgain(whole) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      if (whole) return this.read();
      try {
        const detail = await call("GET", `/sessions/${encodeURIComponent(this.id)}`);
        if (!this.#over) this.know(detail);
      } catch (error) {
        if (isBarred(error)) this.#failed(error); // else it is as it was, and told again
      }
    }, SETTLE_MS);
  }

  // Of a session that may not be seen any more nothing stays on the screen.
  #failed(error) {
    if (this.#over) return;
    batch(() => {
      this.error.value = error;
      if (!isBarred(error)) return;
      this.#all.clear();
      this.#begun = false;
      this.session.value = null;
      this.entries.value = [];
      this.older.value = null;
    });
  }

  #forget() {
    this.#all.clear();
    this.#begun = false;
    this.older.value = null;
    this.read();
  }
}

export function isBarred({ status }) {
  return status === 403 || status === 404;
}

// How a message stands once the visitor was delivered, or has read, up to a time: only forward.
export function reached(entry, delivered, read) {
  if (entry.direction !== "out" || !["sent", "delivered"].includes(entry.status)) return entry;
  const by = Date.parse(entry.status_at ?? entry.at);
  if (read && by <= Date.parse(read)) return { ...entry, status: "read" };
  if (delivered && entry.status === "sent" && by <= Date.parse(delivered)) return { ...entry, status: "delivered" };
  return entry;
}

function firstUnread(entries, unread) {
  const theirs = entries.filter(({ kind, direction }) => kind === "message" && direction === "in");
  return unread > 0 ? (theirs.at(-Math.min(unread, theirs.length))?.id ?? "") : "";
}
