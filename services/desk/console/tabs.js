// The pages of one agent in this browser: one leads, by a lock that its end gives to the next.
// They talk over a channel; each says of itself what the leader must know.

export class Tabs {
  #channel;
  #peers = new Map();
  #leaving = null;
  #own;

  // `lead` is called once this page leads; `hear(message, from)` for each word of another page.
  constructor({ key, lead, hear }) {
    this.id = crypto.randomUUID();
    this.leads = false;
    this.#own = { canSound: false, viewing: "" };
    this.#channel = new BroadcastChannel(`relaydesk:${key}`);
    this.#channel.onmessage = ({ data }) => {
      if (data.kind === "here") this.#peers.set(data.from, data.state);
      else if (data.kind === "bye") this.#peers.delete(data.from);
      else if (!data.to || data.to === this.id) hear(data);
      if (data.kind === "roll") this.#here();
    };
    this.#ending = new AbortController();
    navigator.locks
      .request(`relaydesk:leader:${key}`, { signal: this.#ending.signal }, () => {
        this.leads = true;
        this.post({ kind: "roll" });
        lead();
        return new Promise((done) => (this.#leaving = done));
      })
      .catch(() => {}); // closed while it waited
    addEventListener("pagehide", this.#bye);
    this.#here();
  }

  #ending;
  #bye = () => this.post({ kind: "bye" });

  post(message) {
    this.#channel.postMessage({ ...message, from: this.id });
  }

  // Say what became of this page: whether it can sound, which session is looked at in it.
  own(state) {
    this.#own = { ...this.#own, ...state };
    this.#here();
  }

  #here() {
    this.post({ kind: "here", state: this.#own });
  }

  // Id of a page that can sound, this one first; empty: none.
  sounding() {
    if (this.#own.canSound) return this.id;
    for (const [id, state] of this.#peers) if (state.canSound) return id;
    return "";
  }

  isViewed(session) {
    const states = [this.#own, ...this.#peers.values()];
    return session !== "" && states.some((state) => state.viewing === session);
  }

  close() {
    this.#bye();
    removeEventListener("pagehide", this.#bye);
    this.#ending.abort();
    this.#leaving?.();
    this.leads = false;
    this.#channel.close();
  }
}
