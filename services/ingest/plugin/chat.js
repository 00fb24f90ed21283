// One visitor's conversation: what was said, what waits, who reads it. It knows nothing of the page.
// The pages of one browser share it: the leading one reads the stream and sends what waits.

import { alone, Tabs } from "./tabs.js";
import { drawnId } from "./wire.js";
import { followStream, pause } from "./stream.js";
import { Memory } from "./memory.js";
import { Outbox } from "./outbox.js";

const RECENT_MS = 8 * 24 * 3_600_000; // an older conversation is looked at when the window opens
const UNSEEN_MS = 5 * 60_000; // after so long no page of ours was seen, the stream ends
const LONGEST_REST_MS = 30_000;
const TYPING_MS = 6000;
const TYPING_EVERY_MS = 4000;
const CONFIG_MS = 60_000;

export class Chat {
  #keep;
  #wire;
  #name;
  #tabs = null;
  #stream = null;
  #draining = false;
  #wanted = false;
  #listeners = new Map();
  #configured = 0;
  #typed = 0;
  #lastSeen = Date.now();
  #rest;

  // `linked`: by a link in an email, so that nobody is made up where it is not good.
  constructor({ keep, wire, account, linked = false }) {
    this.#keep = keep;
    this.#wire = wire;
    this.#name = `relaydesk:${wire.origin}:${account}${linked ? ":page" : ""}`;
    this.linked = linked;
    this.config = keep.get("config");
    this.connection = "connecting";
    this.typing = null;
    this.outbox = new Outbox(keep);
    this.#load();
  }

  #load() {
    this.memory = new Memory(this.#keep);
    this.me = this.#keep.get("me");
    this.profile = this.#keep.get("profile") ?? {};
    this.read = this.#keep.get("read") ?? 0;
    this.seen = this.#keep.get("seen") ?? 0;
    this.#wire.token = this.me?.token ?? "";
  }

  begin() {
    this.#tabs = new Tabs({
      key: this.#name,
      alone: !this.#keep.lasts,
      lead: () => this.#lead(),
      hear: (message) => this.#hear(message),
    });
    this.#tabs.post({ kind: "hello" });
    this.#keep.watch((key) => this.#changed(key));
    document.addEventListener("visibilitychange", () => this.wake());
    addEventListener("pagehide", () => this.#tabs.leads && this.memory.save());
    addEventListener("online", () => this.wake());
    setInterval(() => this.#look(), 30_000);
    this.configure();
  }

  // --- who listens: config, messages, connection, typing, arrival, refused, notice

  on(kind, listener) {
    this.#listeners.set(kind, [...(this.#listeners.get(kind) ?? []), listener]);
  }

  #tell(kind, data) {
    (this.#listeners.get(kind) ?? []).forEach((listener) => listener(data));
  }

  async configure() {
    if (Date.now() - this.#configured < CONFIG_MS) return;
    this.#configured = Date.now();
    for (let wait = 2000; ; wait = Math.min(2 * wait, 60_000)) {
      const answer = await this.#wire.config().catch(() => null);
      const found = answer?.ok ? await answer.json().catch(() => null) : null;
      if (found) {
        this.config = found;
        this.#keep.set("config", found);
        this.#tell("config", found);
        return;
      }
      if (answer && [403, 404].includes(answer.status)) {
        this.#keep.drop("config");
        this.#tell("gone", answer.status);
        return;
      }
      await pause(wait);
    }
  }

  // --- what is shown

  // Everything in order: what was said, then what waits.
  list() {
    const waiting = this.outbox.entries().map(([, { item, failed }]) => ({
      id: `web:${this.me?.visitor ?? ""}:${item.id}`,
      client: item.id,
      at: new Date(item.at).toISOString(),
      sender: "visitor",
      parts: shownParts(item),
      waiting: !failed,
      failed,
    }));
    const said = this.memory.list();
    const known = new Set(said.map(({ id }) => id));
    return [...said, ...waiting.filter(({ id }) => !known.has(id))];
  }

  get unread() {
    return this.memory.list().filter((one) => isOurs(one) && Date.parse(one.at) > this.read).length;
  }

  // Everything of ours was shown to somebody who looks.
  markRead() {
    const newest = this.memory.list().filter(isOurs).at(-1);
    const at = newest ? Date.parse(newest.at) : 0;
    if (at <= this.read) return;
    this.#note("read", at);
    this.#tabs.post({ kind: "read", at });
    this.#tell("messages");
    const receipt = { id: drawnId(), type: "read", up_to: newest.at };
    this.#wire.post("", receipt).catch(() => {}); // the next one says it too
  }

  #note(key, value) {
    this[key] = value;
    this.#keep.set(key, value);
  }

  // --- what the visitor does

  say(what, page) {
    const entry = this.outbox.add(what, page);
    this.#typed = 0;
    this.#added();
    return entry.item.id;
  }

  #added() {
    this.#tell("messages");
    this.wake(true);
    this.#rest?.abort();
    if (this.#tabs.leads) this.#drain();
  }

  retry(id) {
    this.outbox.retry(id);
    this.#added();
  }

  discard(id) {
    this.outbox.discard(id);
    this.#added();
  }

  typed() {
    if (!this.me || Date.now() - this.#typed < TYPING_EVERY_MS) return;
    this.#typed = Date.now();
    this.#wire.post("/heartbeat", { typing: true }).catch(() => {});
  }

  // What a form or the site says of the visitor; it goes with the next message.
  introduce(facts) {
    const given = Object.entries(facts).filter(([, value]) => typeof value === "string" && value);
    this.#note("profile", { ...this.profile, ...Object.fromEntries(given) });
  }

  async upload(file, progress, signal) {
    if (!(await this.#somebody())) return { status: 0, body: {} };
    return this.#wire.upload(file, progress, signal);
  }

  // Somebody looks: the stream is wanted. `opened`: the window is.
  wake(opened = false) {
    if (opened) this.#wanted = true;
    if (document.visibilityState !== "visible" && !opened) return;
    this.#lastSeen = Date.now();
    this.#tabs.post({ kind: "wake", opened });
    this.#follow();
  }

  // --- who the visitor is

  async #somebody() {
    if (this.me || this.linked) return Boolean(this.me);
    return alone(`${this.#name}:mint`, async () => {
      this.me = this.#keep.get("me");
      if (!this.me) {
        const answer = await this.#wire.post("/visitors", {});
        if (!answer.ok) throw new Error(`${answer.status}`);
        this.#keep.set("me", (this.me = await answer.json()));
      }
      this.#wire.token = this.me.token;
      return true;
    });
  }

  // The site's own user, proved by its server. Tells whether it was believed.
  async identify({ user, signature, ...facts }) {
    const same = this.me?.user === user && this.me.signature === signature;
    if (!same || this.me.until < Date.now()) {
      const answer = await this.#wire.post("/identify", { user, signature }).catch(() => null);
      if (!answer?.ok) {
        if (answer?.status === 401 && this.me?.user) this.logout();
        return answer?.status === 401 ? "refused" : "away";
      }
      if (!same) this.#forget();
      const until = Date.now() + 25 * 24 * 3_600_000;
      this.#become({ ...(await answer.json()), user, signature, until });
    }
    this.introduce(facts);
    return "known";
  }

  // By the token of a link in an email: `known`, `old`, `bad` or `away`.
  async enter(token) {
    this.#wire.token = "";
    const answer = await this.#wire.post("/return", { token }).catch(() => null);
    if (!answer || answer.status === 429 || answer.status >= 500) return "away";
    if (!answer.ok) return answer.status === 410 ? "old" : "bad";
    const found = await answer.json();
    if (this.me?.visitor !== found.visitor) this.#forget();
    this.#become(found);
    return "known";
  }

  #become(found) {
    this.#keep.set("me", found);
    this.#anew();
  }

  // Somebody else uses this browser now: nothing of the one before stays.
  logout() {
    const waiting = this.outbox.entries();
    waiting.forEach(([key]) => this.#keep.drop(key));
    this.#forget();
    this.#keep.drop("me");
    this.#anew();
  }

  #forget() {
    ["log", "read", "seen", "profile", "told", "asked"].forEach((key) => this.#keep.drop(key));
    this.memory.forget();
  }

  #anew() {
    this.#stream?.stop();
    this.#stream = null;
    this.#load();
    this.#tell("messages");
    this.#tell("me");
    this.#follow();
    if (this.#tabs.leads) this.#drain();
  }

  #refused(status) {
    this.#stream = null;
    if (status === 404) return;
    const { user, signature } = this.me ?? {};
    this.#keep.drop("me");
    this.me = null;
    this.#wire.token = "";
    if (this.linked) this.#tell("refused");
    else if (user) this.identify({ user, signature });
    this.#tell("me");
  }

  // Whether this visitor was asked what the form asks.
  get asked() {
    return Boolean(this.#keep.get("asked"));
  }

  set asked(done) {
    this.#keep.set("asked", done);
  }

  option(name, value) {
    if (value !== undefined) this.#keep.set(`option.${name}`, value);
    return this.#keep.get(`option.${name}`);
  }

  // --- leading

  #lead() {
    this.memory.merge();
    this.#follow();
    this.#drain();
  }

  #isWanted() {
    if (!this.me || Date.now() - this.#lastSeen > UNSEEN_MS) return false;
    const latest = Math.max(this.memory.latest(), this.me.user ? Date.now() : 0);
    return this.#wanted || this.linked || Date.now() - latest < RECENT_MS || this.outbox.entries().length > 0;
  }

  #follow() {
    if (!this.#tabs?.leads || this.#stream || !this.#isWanted()) return;
    this.#stream = followStream({
      wire: this.#wire,
      place: this.memory.resume(),
      heard: (event) => this.#heard(event),
      changed: (state) => this.#told({ kind: "connection", state }),
      refused: (status) => this.#refused(status),
    });
  }

  // Nobody looks any more: the visitor does not count as there, and is written to otherwise.
  #look() {
    if (document.visibilityState === "visible") this.wake();
    if (this.#stream && !this.#isWanted()) {
      this.#stream.stop();
      this.#stream = null;
    }
  }

  #heard({ id, event, data }) {
    let found;
    try {
      found = JSON.parse(data);
    } catch {
      return; // of a newer version
    }
    if (event === "signal") {
      const at = Date.now();
      if (found.kind === "typing" || found.kind === "seen") this.#told({ kind: found.kind, at });
    } else if (event === "message" && typeof found.id === "string" && Array.isArray(found.parts)) {
      this.memory.place = id;
      const arrival = !this.memory.messages.has(found.id);
      this.memory.put(found);
      this.#told({ kind: "message", message: found, place: id, arrival });
    }
  }

  #told(message) {
    this.#tabs.post(message);
    this.#hear(message, true);
  }

  async #drain() {
    if (this.#draining) return;
    this.#draining = true;
    for (let wait = 1000; ; ) {
      const batch = this.outbox.batch();
      if (!batch.length) break;
      const asked = await this.#sent(batch).catch(() => wait);
      if (asked === null) {
        wait = 1000;
        continue;
      }
      this.#told({ kind: "resting", resting: true });
      this.#rest = new AbortController();
      await pause(Math.max(asked, wait) * (0.75 + Math.random() / 2), this.#rest.signal);
      wait = Math.min(2 * wait, LONGEST_REST_MS);
    }
    this.#draining = false;
    this.#told({ kind: "resting", resting: false });
  }

  // Null: it is settled, one way or the other; else how long to wait, ms.
  async #sent(batch) {
    if (!(await this.#somebody())) return LONGEST_REST_MS;
    const profile = JSON.stringify(this.profile);
    const fresh = profile !== "{}" && profile !== this.#keep.get("told");
    const page = batch.find(([, entry]) => entry.page)?.[1].page;
    const messages = batch.map(([, { item }]) => item);
    const body = { messages, ...(fresh && { profile: this.profile }), ...(page && { page }) };
    const answer = await this.#wire.post("", body);
    if (answer.status === 401) {
      this.#refused(401);
      return 1000;
    }
    if (answer.status >= 500 || answer.status === 429) {
      return 1000 * Number(answer.headers.get("Retry-After") || 1);
    }
    if (answer.ok) {
      if (fresh) this.#keep.set("told", profile);
      batch.forEach(([, { item }]) => this.#taken(item));
      this.outbox.done(batch);
    } else this.outbox.failed(batch);
    this.#tell("messages");
    this.#follow();
    return null;
  }

  // Stands until the stream tells it as the server has it.
  #taken(item) {
    const id = `web:${this.me.visitor}:${item.id}`;
    if (this.memory.messages.has(id)) return;
    const at = new Date(item.at).toISOString();
    const message = { id, at, sender: "visitor", parts: shownParts(item), sent: true };
    this.memory.put(message);
    this.#told({ kind: "message", message, place: this.memory.place, arrival: false });
  }

  // Another page has kept something.
  #changed(key) {
    if (key === "me") this.#anew();
    if (key === "log" && !this.#tabs.leads) this.memory.merge();
    if (key === "log" || key.startsWith("out.")) this.#tell("messages");
    if (key.startsWith("out.") && this.#tabs.leads) this.#drain();
  }

  // --- hearing: from the stream by the leader, and from other pages

  #hear(message, own = false) {
    switch (message.kind) {
      case "message":
        if (!own) {
          this.memory.messages.set(message.message.id, message.message);
          this.memory.place = message.place;
        }
        if (isOurs(message.message)) this.#typingOf(null);
        if (message.arrival && isOurs(message.message)) this.#tell("arrival", message.message);
        this.#tell("messages");
        break;
      case "connection":
        this.connection = message.state;
        this.#tell("connection", message.state);
        break;
      case "resting":
        this.resting = message.resting;
        this.#tell("connection", this.connection);
        break;
      case "typing":
        this.#typingOf(Date.now() + TYPING_MS);
        break;
      case "seen":
      case "read":
        this.#note(message.kind, Math.max(this[message.kind], message.at));
        this.#tell("messages");
        break;
      case "wake":
        this.#lastSeen = Date.now();
        this.#wanted ||= message.opened;
        this.#follow();
        break;
      case "hello":
        if (!this.#tabs.leads) break;
        this.memory.save();
        this.#tabs.post({ kind: "state", state: this.connection });
        break;
      case "state":
        this.connection = message.state;
        this.#tell("messages");
        this.#tell("connection", message.state);
        break;
    }
  }

  #typingOf(until) {
    this.typing = until;
    this.#tell("typing", Boolean(until));
    if (until) setTimeout(() => this.typing === until && this.#typingOf(null), TYPING_MS);
  }
}

const isOurs = (message) => message.sender !== "visitor" && message.sender !== "system";

// What an item will look like when it comes back.
function shownParts(item) {
  if (item.type === "action") return [{ type: "action", title: item.title }];
  if (item.type !== "media") return [{ type: "text", text: item.text }];
  const { kind, name, mime_type, attachment, text } = item;
  return [{ type: "media", kind, name, mime_type, attachment }, ...(text ? [{ type: "text", text }] : [])];
}
