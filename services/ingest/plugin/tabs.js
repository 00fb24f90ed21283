// The pages of one visitor in this browser: one leads, by a lock that its end gives to the next, and
// they talk over a channel. Where there are no locks (a page without https), each leads itself, and
// only the ids of messages keep them from doubling.

export class Tabs {
  #channel = null;
  #ending = new AbortController();
  #end = () => {};

  // `lead` is called once this page leads; `hear(message)` for each word of another page.
  constructor({ key, alone, lead, hear }) {
    this.leads = false;
    const first = () => {
      this.leads = true;
      lead();
    };
    const shared = !alone && navigator.locks && typeof BroadcastChannel === "function";
    if (!shared) {
      queueMicrotask(first);
      return;
    }
    this.#channel = new BroadcastChannel(key);
    this.#channel.onmessage = ({ data }) => hear(data);
    const ended = new Promise((done) => (this.#end = done));
    const held = () => {
      first();
      return ended;
    };
    navigator.locks.request(`${key}:leader`, { signal: this.#ending.signal }, held).catch(() => {});
  }

  post(message) {
    this.#channel?.postMessage(message);
  }

  close() {
    this.leads = false;
    this.#ending.abort();
    this.#end();
    this.#channel?.close();
  }
}

// Runs `work` while no other page does so under the same name.
export function alone(name, work) {
  return navigator.locks ? navigator.locks.request(name, work) : work();
}
