// The pages of one agent in this browser: one leads, by a lock that its end gives to the next.
// They talk over a channel. Each tells of itself what the leader must know, and holds a lock of its
// own for as long as it lives, since a page that crashes says nothing. Without https a browser has no
// locks: then each page leads, and talks to none.

import { newKey } from "../frame/api.js";

export class Tabs {
  #channel;
  #prefix;
  #peers = new Map(); // id -> { canSound, viewing }
  #own = { canSound: false, viewing: "" };
  #ending = new AbortController();
  #end;

  // `lead` is called once this page leads; `hear(message)` for each word of another page.
  constructor({ key, lead, hear }) {
    this.id = newKey();
    this.leads = false;
    this.#prefix = `relaydesk:${key}`;
    const led = () => {
      this.leads = true;
      this.post({ kind: "roll" });
      lead();
    };
    if (!navigator.locks) {
      queueMicrotask(led); // who made this one has it by then
      return;
    }
    this.#channel = new BroadcastChannel(this.#prefix);
    this.#channel.onmessage = ({ data }) => this.#heard(data, hear);
    const ended = new Promise((done) => (this.#end = done));
    this.#hold(`page:${this.id}`, () => ended);
    this.#hold("leader", () => {
      led();
      return ended;
    });
    this.#here();
  }

  #hold(name, held) {
    navigator.locks
      .request(`${this.#prefix}:${name}`, { signal: this.#ending.signal }, held)
      .catch(() => {}); // closed while it waited
  }

  #heard(message, hear) {
    if (message.kind === "here") this.#peers.set(message.from, message.state);
    else if (message.kind === "roll") this.#here();
    else if (!message.to || message.to === this.id) hear(message);
  }

  post(message) {
    this.#channel?.postMessage({ ...message, from: this.id });
  }

  // Tell what became of this page: whether it can sound, which session is looked at in it.
  own(state) {
    this.#own = { ...this.#own, ...state };
    this.#here();
  }

  #here() {
    this.post({ kind: "here", state: this.#own });
  }

  // The pages that live as [id, state], this one first.
  async living() {
    if (!navigator.locks) return [[this.id, this.#own]];
    const { held } = await navigator.locks.query();
    const names = new Set(held.map(({ name }) => name));
    for (const id of this.#peers.keys()) {
      if (!names.has(`${this.#prefix}:page:${id}`)) this.#peers.delete(id);
    }
    return [[this.id, this.#own], ...this.#peers];
  }

  close() {
    this.leads = false;
    this.#ending.abort();
    this.#end?.();
    this.#channel?.close();
  }
}
