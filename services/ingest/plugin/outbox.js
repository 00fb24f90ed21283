// What the visitor said and the server has not taken yet. Each waits under a key of its own, so that
// pages do not overwrite each other's, and keeps its id: a repeat is one message.

import { drawnId } from "./wire.js";

const MOST_BYTES = 90_000; // of one post; the server takes 128 KiB
const MOST_ITEMS = 20;
const PLACE = "out.";

export class Outbox {
  #keep;

  constructor(keep) {
    this.#keep = keep;
  }

  // [key, {item, page, failed}], oldest first.
  entries() {
    return this.#keep
      .keys(PLACE)
      .map((key) => [key, this.#keep.get(key)])
      .filter(([, entry]) => entry?.item?.id);
  }

  // Tells whether it could be kept. Where the storage is full, old words make room for new ones: the
  // server tells them again.
  add(what, page) {
    const item = { id: drawnId(), at: Date.now(), ...what };
    const key = `${PLACE}${String(item.at).padStart(15, "0")}.${item.id}`;
    const entry = { item, page, failed: false };
    if (this.#keep.set(key, entry)) return true;
    this.#keep.drop("log");
    return this.#keep.set(key, entry);
  }

  // The next to send at once: a few that fit into one post, or one.
  batch(singly = false) {
    const most = singly ? 1 : MOST_ITEMS;
    const chosen = [];
    let bytes = 0;
    for (const [key, entry] of this.entries()) {
      if (entry.failed) continue;
      bytes += new TextEncoder().encode(JSON.stringify(entry.item)).length;
      if (chosen.length && (bytes > MOST_BYTES || chosen.length === most)) break;
      chosen.push([key, entry]);
    }
    return chosen;
  }

  done(batch) {
    batch.forEach(([key]) => this.#keep.drop(key));
  }

  failed(batch) {
    const kept = batch.filter(([key]) => this.#keep.get(key)); // a visitor who left took theirs along
    kept.forEach(([key, entry]) => this.#keep.set(key, { ...entry, failed: true }));
  }

  #find(id) {
    return this.entries().find(([, { item }]) => item.id === id) ?? [];
  }

  retry(id) {
    const [key, entry] = this.#find(id);
    if (key) this.#keep.set(key, { ...entry, failed: false });
  }

  discard(id) {
    const [key] = this.#find(id);
    if (key) this.#keep.drop(key);
  }
}
