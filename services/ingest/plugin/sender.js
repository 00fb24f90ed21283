// Sends what waits, a few at a time, until nothing does; once for all pages, by the one that leads.

import { pause } from "./stream.js";
import { restOf } from "./wire.js";

const FIRST_REST_MS = 1000;
const LONGEST_REST_MS = 30_000;
const LATER = [401, 408, 429]; // and all of 500: not the messages' fault

export class Sender {
  #keep;
  #wire;
  #person;
  #outbox;
  #told;
  #draining = false;
  #singly = false;
  #rest;

  // `told`: taken(items), refused(), resting(is).
  constructor({ keep, wire, person, outbox, told }) {
    this.#keep = keep;
    this.#wire = wire;
    this.#person = person;
    this.#outbox = outbox;
    this.#told = told;
  }

  async drain() {
    if (this.#draining) return;
    this.#draining = true;
    for (let wait = FIRST_REST_MS; this.#outbox.batch(true).length; ) {
      const asked = await this.#sent().catch(() => wait);
      if (asked === null) {
        wait = FIRST_REST_MS;
        continue;
      }
      this.#told.resting(true);
      this.#rest = new AbortController();
      await pause(Math.max(asked, wait) * (0.75 + Math.random() / 2), this.#rest.signal);
      wait = Math.min(2 * wait, LONGEST_REST_MS);
    }
    this.#draining = this.#singly = false;
    this.#told.resting(false);
  }

  // Somebody is there who has just said something: it is tried at once.
  hurry() {
    this.#rest?.abort();
  }

  // Null: it is settled, one way or the other; else how long to wait, ms.
  async #sent() {
    this.#person.look();
    if (!(await this.#person.somebody())) return LONGEST_REST_MS;
    const batch = this.#outbox.batch(this.#singly); // only now: whose it is may have changed
    if (!batch.length) return null;
    const token = this.#wire.token;
    const [body, told] = this.#body(batch);
    const answer = await this.#wire.post("", body);
    if (token !== this.#wire.token) {
      if (answer.ok) this.#outbox.done(batch);
      return null; // said as who they were
    }
    if (answer.ok) {
      if (told) this.#keep.set("told", told);
      this.#told.taken(batch.map(([, { item }]) => item));
      this.#outbox.done(batch);
      return null;
    }
    return this.#refused(answer, batch);
  }

  #body(batch) {
    const { profile } = this.#person;
    const said = JSON.stringify(profile);
    const fresh = said !== "{}" && said !== this.#keep.get("told");
    const page = batch.find(([, entry]) => entry.page)?.[1].page;
    const messages = batch.map(([, { item }]) => item);
    return [{ messages, ...(fresh && { profile }), ...(page && { page }) }, fresh ? said : ""];
  }

  #refused(answer, batch) {
    if (answer.status === 401) this.#told.refused();
    if (LATER.includes(answer.status) || answer.status >= 500) return restOf(answer) || FIRST_REST_MS;
    if (batch.length === 1) this.#outbox.failed(batch);
    this.#singly = true; // one of several is at fault: the others go
    this.#told.taken([]);
    return null;
  }
}
