// Who the visitor is to the server: drawn, signed by the website, or come by a link in an email.
// Whoever leaves takes everything along that is theirs in this browser.

import { alone } from "./tabs.js";

const SURE_MS = 25 * 24 * 3_600_000; // the server's tokens of signed users last 30 days
const PERSONAL = ["log", "read", "seen", "profile", "told", "asked", "form"];
const FACTS = ["name", "email", "phone"];
const FACT_MOST = 500; // characters; the server keeps no more

export class Person {
  #keep;
  #wire;
  #name;
  #became;
  #asking = Promise.resolve();
  #claim = null; // signed, and not answered yet
  #turn = 0;

  // `became(before)`: it is not visitor `before` any more, or has another token.
  constructor({ keep, wire, name, linked, became }) {
    this.#keep = keep;
    this.#wire = wire;
    this.#name = name;
    this.#became = became;
    this.linked = linked;
    this.#load();
  }

  #load() {
    this.me = this.#keep.get("me");
    this.profile = this.#keep.get("profile") ?? {};
    this.#wire.token = this.me?.token ?? "";
  }

  // What a form asked besides who one is: it waits for the first words, and goes with them.
  get form() {
    return this.#keep.get("form") ?? "";
  }

  set form(text) {
    if (text) this.#keep.set("form", text);
    else this.#keep.drop("form");
  }

  get visitor() {
    return this.me?.visitor ?? "";
  }

  #become(found) {
    const before = this.visitor;
    if (found) this.#keep.set("me", found);
    else this.#keep.drop("me");
    this.#load();
    this.#became(before);
  }

  // Another page may have changed who it is.
  look() {
    const kept = this.#keep.get("me");
    if ((kept?.token ?? "") === this.#wire.token) return;
    const before = this.visitor;
    if (!kept) this.#claim = null;
    this.#load();
    this.#became(before);
  }

  // Makes the visitor somebody. Tells whether they are: behind a link nobody is made up.
  async somebody() {
    await this.#asking;
    if (this.#claim && (await this.identify(this.#claim)) === "away") throw new Error("not known yet");
    if (this.me || this.linked) return Boolean(this.me);
    return alone(`${this.#name}:mint`, async () => {
      this.look();
      if (this.me) return true;
      const turn = this.#turn;
      const answer = await this.#wire.post("/visitors", {});
      if (!answer.ok) throw new Error(`${answer.status}`);
      const found = await answer.json();
      if (turn === this.#turn && !this.me) this.#become(found);
      return Boolean(this.me);
    });
  }

  // The site's own user, proved by its server: `known`, `refused` or `away`. What is said after this
  // was called waits for it; calls are answered one after the other.
  identify(given) {
    this.#asking = this.#asking.then(() => this.#identified(given)).catch(() => "away");
    return this.#asking;
  }

  async #identified({ user, signature, ...facts }) {
    if (this.me?.user && this.me.user !== user) this.leave(); // before anybody is asked
    const known = this.me?.user === user;
    if (!known || this.me.signature !== signature || this.me.until < Date.now()) {
      this.#claim = known ? null : { user, signature, ...facts };
      const became = await this.#proved(user, signature);
      if (became !== "known") return became;
    }
    this.introduce(facts);
    return "known";
  }

  async #proved(user, signature) {
    const turn = (this.#turn += 1);
    const answer = await this.#wire.post("/identify", { user, signature }).catch(() => null);
    if (turn !== this.#turn) return "refused"; // they have left meanwhile
    if (!answer || answer.status === 429 || answer.status >= 500) return "away";
    this.#claim = null;
    if (!answer.ok) {
      if (this.me?.user) this.leave();
      return "refused";
    }
    this.#enters({ ...(await answer.json()), user, signature, until: Date.now() + SURE_MS });
    return "known";
  }

  // By the token of a link in an email: `known`, `old`, `bad` or `away`.
  async enter(token) {
    this.#wire.token = "";
    const answer = await this.#wire.post("/return", { token }).catch(() => null);
    if (!answer || answer.status === 429 || answer.status >= 500) return "away";
    if (!answer.ok) return answer.status === 410 ? "old" : "bad";
    this.#enters(await answer.json());
    return "known";
  }

  #enters(found) {
    if (this.visitor !== found.visitor) PERSONAL.forEach((key) => this.#keep.drop(key));
    this.#become(found);
  }

  // Somebody else uses this browser now: nothing of the one before stays, nor of what waits.
  leave() {
    this.#turn += 1;
    this.#claim = null;
    [...PERSONAL, "option.draft", ...this.#keep.keys("out.")].forEach((key) => this.#keep.drop(key));
    this.#become(null);
  }

  // The server does not know the token any more. Whose signature does not hold either has to leave.
  async refused() {
    if ((this.#keep.get("me")?.token ?? "") !== this.#wire.token) return this.look(); // an old one
    const { user, signature } = this.me ?? {};
    if (!user || this.linked) {
      this.me = null;
      this.#wire.token = "";
      this.#keep.drop("me");
    } else {
      this.me = { ...this.me, until: 0 };
      await this.identify({ user, signature });
    }
    return undefined;
  }

  // What a form or the site says of the visitor; it goes with the next message.
  introduce(given) {
    const said = FACTS.filter((name) => typeof given[name] === "string" && given[name]);
    if (!said.length) return;
    const facts = said.map((name) => [name, given[name].slice(0, FACT_MOST)]);
    this.profile = { ...this.profile, ...Object.fromEntries(facts) };
    this.#keep.set("profile", this.profile);
  }
}
