// The conversation as it is shown: what was said, what waits, how far it was read.

import { Memory } from "./memory.js";

export class Talk {
  #keep;
  #outbox;

  constructor({ keep, outbox, visitor }) {
    this.#keep = keep;
    this.#outbox = outbox;
    this.memory = new Memory(keep, visitor);
    this.read = keep.get("read") ?? 0;
    this.seen = keep.get("seen") ?? 0;
  }

  // Everything in order: what was said, then what waits.
  list() {
    const waiting = this.#outbox.entries().map(([, { item, failed }]) => ({
      ...this.#shown(item),
      client: item.id,
      waiting: !failed,
      failed,
    }));
    const said = this.memory.list();
    const known = new Set(said.map(({ id }) => id));
    return [...said, ...waiting.filter(({ id }) => !known.has(id))];
  }

  #shown(item) {
    const id = `web:${this.memory.visitor}:${item.id}`;
    return { id, at: new Date(item.at).toISOString(), sender: "visitor", parts: shownParts(item) };
  }

  // What the server took stands until the stream tells it as the server has it; null: it has.
  taken(item) {
    const message = { ...this.#shown(item), sent: true };
    if (this.memory.messages.has(message.id)) return null;
    this.memory.put(message);
    return message;
  }

  get unread() {
    return this.memory.list().filter((one) => isOurs(one) && Date.parse(one.at) > this.read).length;
  }

  newest() {
    return this.memory.list().filter(isOurs).at(-1);
  }

  // `key` is `read` (by the visitor) or `seen` (by us): up to when, ms.
  note(key, at) {
    this[key] = Math.max(this[key], at);
    this.#keep.set(key, this[key]);
  }
}

export const isOurs = (message) => message.sender !== "visitor" && message.sender !== "system";

// What an item will look like when it comes back.
function shownParts(item) {
  if (item.type === "action") return [{ type: "action", title: item.title }];
  if (item.type !== "media") return [{ type: "text", text: item.text }];
  const { kind, name, mime_type, attachment, text } = item;
  return [{ type: "media", kind, name, mime_type, attachment }, ...(text ? [{ type: "text", text }] : [])];
}
