// One visitor's conversation: what was said, what waits, who reads it. It knows nothing of the page.
// The pages of one browser share it: the leading one reads the stream and sends what waits.

import { Configured } from "./settings.js";
import { Outbox } from "./outbox.js";
import { Person } from "./person.js";
import { Sender } from "./sender.js";
import { Tabs } from "./tabs.js";
import { Talk, isOurs } from "./talk.js";
import { drawnId } from "./wire.js";
import { followStream } from "./stream.js";

const RECENT_MS = 8 * 24 * 3_600_000; // an older conversation is looked at when the window opens
const UNSEEN_MS = 5 * 60_000; // after so long no page of ours was seen, the stream ends
const TYPING_MS = 6000;
const TYPING_EVERY_MS = 4000;

export class Chat {
  #keep;
  #wire;
  #name;
  #tabs = null;
  #stream = null;
  #wanted = false;
  #gone = false;
  #listeners = new Map();
  #typed = 0;
  #lastSeen = Date.now();
  #configured;
  #person;
  #outbox;
  #sender;
  #talk;

  // `linked`: by a link in an email, so that nobody is made up where it is not good.
  constructor({ keep, wire, account, linked = false }) {
    this.#keep = keep;
    this.#wire = wire;
    this.#name = `relaydesk:${wire.origin}:${account}${linked ? ":page" : ""}`;
    this.linked = linked;
    this.connection = "connecting";
    this.typing = null;
    this.#outbox = new Outbox(keep);
    const found = (config) => this.#tell("config", config);
    this.#configured = new Configured({ keep, wire, found, gone: (status) => this.#end(status) });
    const became = (before) => this.#became(before);
    this.#person = new Person({ keep, wire, name: this.#name, linked, became });
    this.#talk = new Talk({ keep, outbox: this.#outbox, visitor: this.#person.visitor });
    const told = {
      taken: (items) => this.#taken(items),
      refused: () => this.#refused(401),
      resting: (resting) => this.#told({ kind: "resting", resting }),
    };
    this.#sender = new Sender({ keep, wire, person: this.#person, outbox: this.#outbox, told });
  }

  begin() {
    this.#tabs = new Tabs({
      key: this.#name,
      alone: !this.#keep.lasts,
      lead: () => this.#lead(),
      lost: () => this.#stop(),
      hear: (message) => this.#hear(message),
    });
    this.#tabs.post({ kind: "hello" });
    this.#keep.watch((key) => this.#changed(key));
    document.addEventListener("visibilitychange", () => this.wake());
    addEventListener("pagehide", () => this.#tabs.leads && this.#talk.memory.save());
    addEventListener("online", () => this.wake());
    setInterval(() => this.#look(), 30_000);
    this.configure();
  }

  // --- who listens: config, gone, messages, connection, typing, arrival, me, left, refused

  on(kind, listener) {
    this.#listeners.set(kind, [...(this.#listeners.get(kind) ?? []), listener]);
  }

  #tell(kind, data) {
    (this.#listeners.get(kind) ?? []).forEach((listener) => listener(data));
  }

  configure() {
    return this.#configured.refresh();
  }

  get config() {
    return this.#configured.config;
  }

  #end(status) {
    this.#gone = true;
    this.#stop();
    this.#tell("gone", status);
  }

  // --- what is shown

  list() {
    return this.#talk.list();
  }

  get unread() {
    return this.#talk.unread;
  }

  get seen() {
    return this.#talk.seen;
  }

  // Everything of ours was shown to somebody who looks.
  markRead() {
    const newest = this.#talk.newest();
    const at = newest ? Date.parse(newest.at) : 0;
    if (at <= this.#talk.read) return;
    this.#talk.note("read", at);
    this.#tabs.post({ kind: "read", at, visitor: this.#person.visitor });
    this.#tell("messages");
    const receipt = { id: drawnId(), type: "read", up_to: newest.at };
    this.#wire.post("", receipt).catch(() => {}); // the next one says it too
  }

  // --- what the visitor does

  // Tells whether it could be kept until it is sent.
  say(what, page) {
    const form = what.text ? this.#person.form : "";
    const kept = this.#outbox.add(form ? { ...what, text: `${what.text}\n\n${form}` } : what, page);
    this.#typed = 0;
    if (kept && form) this.#person.form = "";
    if (kept) this.#added();
    return kept;
  }

  filled(form) {
    this.#person.form = form;
  }

  #added() {
    this.#tell("messages");
    this.wake(true);
    this.#sender.hurry();
    this.#drain();
  }

  #drain() {
    if (this.#tabs?.leads && !this.#gone) this.#sender.drain();
  }

  retry(id) {
    this.#outbox.retry(id);
    this.#added();
  }

  discard(id) {
    this.#outbox.discard(id);
    this.#tell("messages");
  }

  typed() {
    if (!this.me || Date.now() - this.#typed < TYPING_EVERY_MS) return;
    this.#typed = Date.now();
    this.#wire.post("/heartbeat", { typing: true }).catch(() => {});
  }

  async upload(file, progress, signal) {
    if (!(await this.#person.somebody())) return { status: 0, body: {} };
    return this.#wire.upload(file, progress, signal);
  }

  // Somebody looks: the stream is wanted. `opened`: the window is.
  wake(opened = false) {
    if (opened) this.#wanted = true;
    if (document.visibilityState !== "visible" && !opened) return;
    this.#lastSeen = Date.now();
    this.#tabs.post({ kind: "wake", opened });
    this.#tabs.rouse();
    this.#follow();
  }

  option(name, value) {
    if (value !== undefined) this.#keep.set(`option.${name}`, value);
    return this.#keep.get(`option.${name}`);
  }

  // Whether this visitor was asked what the form asks.
  get asked() {
    return Boolean(this.#keep.get("asked"));
  }

  set asked(done) {
    this.#keep.set("asked", done);
  }

  // --- who the visitor is, see person.js

  get me() {
    return this.#person.me;
  }

  get profile() {
    return this.#person.profile;
  }

  introduce(facts) {
    this.#person.introduce(facts);
    this.#tell("me");
  }

  async identify(given) {
    const became = await this.#person.identify(given);
    this.#tell("me");
    return became;
  }

  enter(token) {
    return this.#person.enter(token);
  }

  logout() {
    this.#person.leave();
  }

  #became(before) {
    const { visitor } = this.#person;
    const { memory } = this.#talk;
    this.#stop();
    if (!memory.visitor) memory.visitor = visitor;
    if (memory.visitor !== visitor) {
      memory.end();
      this.#talk = new Talk({ keep: this.#keep, outbox: this.#outbox, visitor });
    }
    if (before && !visitor) this.#tell(this.linked ? "refused" : "left");
    this.#tell("messages");
    this.#tell("me");
    this.#follow();
    this.#drain();
  }

  async #refused(status) {
    this.#stop();
    if (status === 404) return;
    await this.#person.refused();
    if (this.linked) this.#tell("refused");
    this.#tell("me");
  }

  // --- leading

  #lead() {
    this.#talk.memory.merge();
    this.#follow();
    this.#drain();
  }

  #isWanted() {
    if (!this.me || this.#gone || Date.now() - this.#lastSeen > UNSEEN_MS) return false;
    const latest = Math.max(this.#talk.memory.latest(), this.me.user ? Date.now() : 0);
    const recent = Date.now() - latest < RECENT_MS;
    return this.#wanted || this.linked || recent || this.#outbox.entries().length > 0;
  }

  #follow() {
    if (!this.#tabs?.leads || this.#stream || !this.#isWanted()) return;
    this.#stream = followStream({
      wire: this.#wire,
      place: this.#talk.memory.resume(),
      heard: (event) => this.#heard(event),
      changed: (state) => this.#told({ kind: "connection", state }),
      refused: (status) => this.#refused(status),
    });
  }

  #stop() {
    this.#stream?.stop();
    this.#stream = null;
  }

  // Nobody looks any more: the visitor does not count as there, and is written to otherwise.
  #look() {
    if (document.visibilityState === "visible") this.wake();
    if (!this.#isWanted()) this.#stop();
  }

  #heard({ id, event, data }) {
    let found;
    try {
      found = JSON.parse(data);
    } catch {
      return; // of a newer version
    }
    const { memory } = this.#talk;
    if (event === "signal") {
      const at = Date.now();
      if (found.kind === "typing" || found.kind === "seen") this.#told({ kind: found.kind, at });
    } else if (event === "message" && typeof found.id === "string" && Array.isArray(found.parts)) {
      memory.place = id;
      const arrival = !memory.messages.has(found.id);
      memory.put(found);
      this.#told({ kind: "message", message: found, place: id, arrival });
    }
  }

  #taken(items) {
    const taken = items.map((item) => this.#talk.taken(item)).filter(Boolean);
    const { place } = this.#talk.memory;
    taken.forEach((message) => this.#told({ kind: "message", message, place, arrival: false }));
    this.#tell("messages");
    this.#follow();
  }

  // --- hearing: from the stream by the leader, and from other pages

  // Words are of one visitor: pages hear at different times that it is another one now.
  #told(message) {
    this.#tabs.post({ ...message, visitor: this.#person.visitor });
    this.#hear(message, true);
  }

  // Another page has kept something.
  #changed(key) {
    if (key === "me") this.#person.look();
    if (key === "log" && !this.#tabs.leads) this.#talk.memory.merge();
    if (key === "log" || key.startsWith("out.")) this.#tell("messages");
    if (key.startsWith("out.")) this.#drain();
  }

  #hear(message, own = false) {
    if (!own) this.#person.look();
    if (message.visitor !== undefined && message.visitor !== this.#person.visitor) return;
    const heard = {
      message: () => this.#said(message, own),
      connection: () => this.#tell("connection", (this.connection = message.state)),
      resting: () => this.#tell("connection", ((this.resting = message.resting), this.connection)),
      typing: () => this.#typingOf(Date.now() + TYPING_MS),
      seen: () => this.#noted(message),
      read: () => this.#noted(message),
      wake: () => this.#woken(message),
      hello: () => this.#greeted(),
    };
    heard[message.kind]?.();
  }

  #said({ message, place, arrival }, own) {
    if (!own) {
      this.#talk.memory.messages.set(message.id, message);
      this.#talk.memory.place = place;
    }
    if (isOurs(message)) this.#typingOf(null);
    if (arrival && isOurs(message)) this.#tell("arrival", message);
    this.#tell("messages");
  }

  #noted({ kind, at }) {
    this.#talk.note(kind, at);
    this.#tell("messages");
  }

  #woken({ opened }) {
    this.#lastSeen = Date.now();
    this.#wanted ||= opened;
    this.#follow();
  }

  // A page has just begun.
  #greeted() {
    if (!this.#tabs.leads) return;
    this.#talk.memory.save();
    this.#tabs.post({ kind: "connection", state: this.connection });
  }

  #typingOf(until) {
    this.typing = until;
    this.#tell("typing", Boolean(until));
    if (until) setTimeout(() => this.typing === until && this.#typingOf(null), TYPING_MS);
  }
}
