// The list of sessions as it is shown: pages of the API, merged with what the stream says.

import { call, query } from "../frame/api.js";
import { signal } from "../frame/html.js";
import { inboxLive } from "../live/inbox.js";
import { EVERYTHING, asked, key } from "./filters.js";
import { empty, missing, paged, removed, settled, told } from "./rows.js";

const PAGE = 50;
const NEXT_PAGE = 100; // who scrolls wants more of them
const GONE_MS = 4000; // how long a row that left says so
const COUNTS_MS = 1500; // least time between two counts
const COUNTS_IDLE_MS = 20_000; // what changes outside of the filters is not told
const LOOKUPS = 6; // rows that left at once of which it is asked why
const UNSEEN_MS = 500; // how long a page that nobody sees gathers what it is told

export class InboxList {
  filters = signal(EVERYTHING);
  state = signal(empty());
  counts = signal(null);
  status = signal({ loading: true, more: false, error: null, complete: true });
  why = signal(new Map()); // id of a row that left -> how the session is now
  #held = new Set(); // why the order is held: "pointer", "scroll", "keys"
  #told = [];
  #turn = 0;
  #frame = 0;
  #unseen = 0;
  #countsAt = 0;
  #countsTook = 0;
  #countsTimer;
  #idleTimer;
  #sweepTimer;
  #ends = [];
  #current = null; // key of the filters that are read
  #keysTimer;

  begin() {
    this.#ends = [
      inboxLive.on("session", (row) => this.#hear({ row })),
      inboxLive.on("removed", (gone) => this.#hear({ gone })),
      inboxLive.on("unread", () => this.#countSoon()),
      inboxLive.on("ready", ({ resumed }) => !resumed && this.#current !== null && this.#first()),
      inboxLive.on("reset", () => this.reload()),
    ];
    this.#idle();
  }

  end() {
    for (const end of this.#ends) end();
    for (const timer of [this.#countsTimer, this.#idleTimer, this.#sweepTimer, this.#keysTimer]) clearTimeout(timer);
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#unseen);
    this.#turn++;
    this.#current = null;
  }

  get snoozed() {
    return this.filters.value.snoozed === "true";
  }

  // Shows what these filters mean; `seed` is their first page, where it was read already.
  show(filters, seed) {
    if (this.#current === key(filters)) return;
    this.#current = key(filters);
    this.filters.value = filters;
    this.#begin(seed);
  }

  reload() {
    this.#begin();
  }

  async #begin(seed) {
    this.#turn++;
    this.#told = [];
    this.state.value = empty();
    this.why.value = new Map();
    this.status.value = { loading: !seed, more: false, error: null, complete: true };
    const turn = this.#turn;
    inboxLive.watch(asked(this.filters.value, { words: false }));
    if (seed) this.#put(seed, true);
    await inboxLive.whenReady();
    if (turn === this.#turn) await this.#first();
  }

  // The first page; what it brings is merged, so that it may be read again at any time.
  async #first() {
    const turn = this.#turn;
    const began = performance.now();
    const { order, rows } = this.state.value;
    const before = new Map(order.map((id) => [id, rows.get(id).rev]));
    try {
      const page = await call("GET", `/sessions${query({ ...asked(this.filters.value), limit: PAGE })}`);
      if (turn !== this.#turn) return;
      this.#countsTook = performance.now() - began;
      this.#put(page, true);
      this.#miss(missing(this.state.value, page, before, this.snoozed));
    } catch (error) {
      if (turn === this.#turn) this.status.value = { ...this.status.value, loading: false, error };
    }
  }

  // What left while no stream told of it says so, as if one had.
  #miss(left) {
    if (!left.length || this.filters.value.q) return;
    for (const gone of left) this.#told.push({ gone });
    this.#flush();
  }

  #put(page, first) {
    this.#flush();
    const held = this.#held.size > 0;
    this.state.value = paged(this.state.value, page, { first, snoozed: this.snoozed, held });
    if (page.counts) this.#counted(page.counts);
    this.status.value = { loading: false, more: false, error: null, complete: page.complete };
  }

  async more() {
    const { next } = this.state.value;
    if (!next || this.status.value.more || this.status.value.error) return;
    const turn = this.#turn;
    this.status.value = { ...this.status.value, more: true };
    try {
      const given = { ...asked(this.filters.value), limit: NEXT_PAGE, counts: false, cursor: next };
      const page = await call("GET", `/sessions${query(given)}`);
      if (turn === this.#turn) this.#put(page, false);
    } catch (error) {
      if (turn === this.#turn) this.status.value = { ...this.status.value, more: false, error };
    }
  }

  retry() {
    this.status.value = { ...this.status.value, error: null, loading: !this.state.value.order.length };
    if (this.state.value.order.length) this.more();
    else this.#first();
  }

  // What a change of our own was answered with; the stream says the same a moment later.
  update(row) {
    if (!this.state.value.rows.has(row.id)) return;
    if (this.#listed(row)) this.state.value = told(this.state.value, row, { held: true, snoozed: this.snoozed });
    else this.#hear({ gone: { id: row.id, rev: row.rev } }); // the stream may tell of an earlier state alone
  }

  // Whether the row's list is among those that are shown; without any, the open ones are.
  #listed({ list }) {
    const { list: lists = [] } = this.filters.value;
    return lists.length ? lists.includes(list) : list !== "ended";
  }

  // --- the stream

  #hear(change) {
    this.#told.push(change);
    if (document.visibilityState === "visible") this.#frame ||= requestAnimationFrame(() => this.#flush());
    else this.#unseen ||= setTimeout(() => this.#flush(), UNSEEN_MS); // there are no frames
    this.#countSoon();
  }

  #flush() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#unseen);
    this.#frame = this.#unseen = 0;
    const waiting = this.#told.splice(0);
    if (!waiting.length) return;
    const given = { held: this.#held.size > 0, snoozed: this.snoozed };
    let state = this.state.value;
    for (const { row, gone } of waiting) {
      if (gone) state = removed(state, gone);
      else if (this.#wanted(row)) state = told(state, row, given);
    }
    this.state.value = state;
    this.#explain(waiting.flatMap(({ gone }) => (gone && state.gone.has(gone.id) ? [gone.id] : [])));
    this.#sweepSoon();
  }

  // The stream knows no words: with some, only what a page has shown is kept up to date.
  #wanted(row) {
    return !this.filters.value.q || this.state.value.rows.has(row.id);
  }

  async #explain(ids) {
    if (document.visibilityState !== "visible") return; // nobody would read it
    const asking = ids.slice(0, LOOKUPS).map((id) =>
      call("GET", `/sessions/${encodeURIComponent(id)}`).then((now) => [id, now], () => null),
    );
    const found = (await Promise.all(asking)).filter(Boolean);
    if (found.length) this.why.value = new Map([...this.why.value, ...found]);
  }

  // --- holding still

  // While something holds it, rows stay where they are, and new ones wait to be shown.
  hold(reason, on) {
    const before = this.#held.size > 0;
    if (on) this.#held.add(reason);
    else this.#held.delete(reason);
    if (before && !this.#held.size) this.settle();
  }

  // Somebody goes through the list by keys: it stands still until they pause.
  keyed() {
    this.hold("keys", true);
    clearTimeout(this.#keysTimer);
    this.#keysTimer = setTimeout(() => this.hold("keys", false), 5000);
  }

  settle() {
    this.#flush();
    this.state.value = settled(this.state.value, { snoozed: this.snoozed, before: Date.now() - GONE_MS });
    const { gone } = this.state.value;
    const kept = [...this.why.value].filter(([id]) => gone.has(id));
    if (kept.length < this.why.value.size) this.why.value = new Map(kept);
    this.#sweepSoon();
  }

  #sweepSoon() {
    clearTimeout(this.#sweepTimer);
    if (!this.state.value.gone.size || this.#held.size) return;
    this.#sweepTimer = setTimeout(() => this.#held.size || this.settle(), GONE_MS + 50);
  }

  // --- counts

  #counted(counts) {
    this.counts.value = counts;
    this.#countsAt = Date.now();
  }

  #countSoon() {
    if (this.#countsTimer || this.#current === null) return;
    const least = Math.max(COUNTS_MS, 5 * this.#countsTook); // a busy desk is not asked more than it can take
    const wait = Math.max(150, this.#countsAt + least - Date.now());
    this.#countsTimer = setTimeout(() => this.#count(), wait);
  }

  async #count() {
    const turn = this.#turn;
    const began = performance.now();
    const words = Boolean(this.filters.value.q);
    const limit = words ? PAGE : 1;
    try {
      const page = await call("GET", `/sessions${query({ ...asked(this.filters.value), limit })}`);
      if (turn !== this.#turn) return;
      this.#countsTook = performance.now() - began;
      if (words) this.#put(page, true); // what the words find now: no stream tells it
      else this.#counted(page.counts);
    } catch {
      this.#countsAt = Date.now(); // they are asked for again with the next change
    } finally {
      this.#countsTimer = undefined;
    }
  }

  #idle() {
    this.#idleTimer = setTimeout(() => {
      if (document.visibilityState === "visible") this.#countSoon();
      this.#idle();
    }, COUNTS_IDLE_MS);
  }
}
