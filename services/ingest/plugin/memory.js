// The conversation as this browser knows it: shown at once on the next page, and beyond the seven
// days that the stream goes back.

const MESSAGES_MOST = 200;
const WHOLE_MS = 12 * 3_600_000; // then the stream is read anew: links to files are good for a day
const LINK_MS = 24 * 3_600_000;
const LATER_MS = 150;

export class Memory {
  #keep;
  #timer;
  messages = new Map();
  place = "";
  whole = 0; // when the stream was read from its beginning

  // Of one visitor: what is kept of another one is not theirs.
  constructor(keep, visitor) {
    this.#keep = keep;
    this.visitor = visitor;
    const found = this.#kept();
    this.place = found.place ?? "";
    this.whole = found.whole ?? 0;
    this.messages = new Map((found.messages ?? []).map((message) => [message.id, message]));
  }

  #kept() {
    const found = this.#keep.get("log");
    return found && found.visitor === this.visitor ? found : {};
  }

  // What another page has kept meanwhile.
  merge() {
    const found = this.#kept();
    (found.messages ?? []).forEach((message) => {
      if (this.messages.get(message.id)?.sent ?? true) this.messages.set(message.id, message);
    });
    if (Number(found.place) > Number(this.place)) this.place = found.place;
    this.whole = Math.max(this.whole, found.whole ?? 0);
  }

  // Where the stream is to be resumed; empty: from its beginning.
  resume() {
    if (Date.now() - this.whole < WHOLE_MS) return this.place;
    this.whole = Date.now();
    return "";
  }

  put(message) {
    this.messages.set(message.id, { ...message, heard: Date.now() });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.save(), LATER_MS);
  }

  save() {
    clearTimeout(this.#timer);
    const messages = this.list().slice(-MESSAGES_MOST);
    const { visitor, place, whole } = this;
    if (visitor) this.#keep.set("log", { visitor, place, whole, messages });
  }

  // Nothing more is kept: it is somebody else's turn.
  end() {
    clearTimeout(this.#timer);
  }

  list() {
    return [...this.messages.values()].sort((one, other) => Date.parse(one.at) - Date.parse(other.at));
  }

  latest() {
    return this.list().reduce((at, message) => Math.max(at, Date.parse(message.at)), 0);
  }
}

// Whether the links of a message still work.
export const isFresh = (message) => !message.heard || Date.now() - message.heard < LINK_MS;
