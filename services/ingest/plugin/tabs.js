// The pages of one visitor in this browser: one leads, by a lock that its end gives to the next, and
// they talk over a channel. Where there are no locks (a page without https), each leads itself, and
// only the ids of messages keep them from doubling.

const ASLEEP_MS = 4000;

export class Tabs {
  #channel = null;
  #lock = "";
  #lead;
  #lost;
  #hear;
  #asked = 0;

  // `lead` is called once this page leads, `lost` when another took that from it; `hear(message)` for
  // each word of another page.
  constructor({ key, alone, lead, lost, hear }) {
    this.leads = false;
    this.#lead = lead;
    this.#lost = lost;
    this.#hear = hear;
    const shared = !alone && navigator.locks && typeof BroadcastChannel === "function";
    if (!shared) {
      queueMicrotask(() => this.#begin());
      return;
    }
    this.#channel = new BroadcastChannel(key);
    this.#channel.onmessage = ({ data }) => this.#heard(data);
    this.#lock = `${key}:leader`;
    this.#request({});
  }

  #begin() {
    this.leads = true;
    this.#lead();
  }

  #request(options) {
    const held = () => {
      if (!this.leads) this.#begin();
      return new Promise(() => {}); // until this page ends
    };
    navigator.locks.request(this.#lock, options, held).catch(() => this.#robbed());
  }

  #robbed() {
    this.leads = false;
    this.#lost();
    this.#request({});
  }

  post(message) {
    this.#channel?.postMessage(message);
  }

  // Somebody looks at this page. A browser may let a page sleep that nobody looks at (phones do), and
  // its lock with it: one that does not answer leads no longer.
  rouse() {
    if (this.leads || !this.#channel || this.#asked) return;
    this.#asked = setTimeout(() => {
      this.#asked = 0;
      if (!this.leads && document.visibilityState === "visible") this.#request({ steal: true });
    }, ASLEEP_MS);
    this.post({ kind: "who" });
  }

  #heard(message) {
    if (message.kind === "who") {
      if (this.leads) this.post({ kind: "here" });
    } else if (message.kind === "here") {
      clearTimeout(this.#asked);
      this.#asked = 0;
    } else this.#hear(message);
  }
}

// Runs `work` while no other page does so under the same name.
export function alone(name, work) {
  return navigator.locks ? navigator.locks.request(name, work) : work();
}
