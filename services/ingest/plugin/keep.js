// What is kept in this browser: the local storage of the page's own origin, or, where that is not
// allowed, the memory of this page. No cookies.

export class Keep {
  #prefix;
  #place;

  constructor(name) {
    this.#prefix = `relaydesk.${name}.`;
    this.#place = this.#opened();
  }

  // Whether other pages, and this one after a reload, find it again.
  get lasts() {
    return !(this.#place instanceof Map);
  }

  #opened() {
    try {
      const probe = `${this.#prefix}probe`;
      localStorage.setItem(probe, "1");
      localStorage.removeItem(probe);
      return localStorage;
    } catch {
      return new Map();
    }
  }

  get(key) {
    const name = this.#prefix + key;
    try {
      const text = this.lasts ? this.#place.getItem(name) : this.#place.get(name);
      return text == null ? null : JSON.parse(text);
    } catch {
      return null; // not ours, or not allowed any more
    }
  }

  // Tells whether it could be kept: storage may be full.
  set(key, value) {
    const text = JSON.stringify(value);
    try {
      if (this.lasts) this.#place.setItem(this.#prefix + key, text);
      else this.#place.set(this.#prefix + key, text);
      return true;
    } catch {
      return false;
    }
  }

  drop(key) {
    try {
      if (this.lasts) this.#place.removeItem(this.#prefix + key);
      else this.#place.delete(this.#prefix + key);
    } catch {} // gone with the storage
  }

  // The keys that begin so, in order.
  keys(beginning = "") {
    const found = this.lasts ? Object.keys(this.#place) : [...this.#place.keys()];
    const whole = this.#prefix + beginning;
    return found.filter((name) => name.startsWith(whole)).map((name) => name.slice(this.#prefix.length)).sort();
  }

  // Calls `heard(key)` once what another page changed can be read here, which may be later than
  // what it says of it.
  watch(heard) {
    addEventListener("storage", ({ key }) => {
      if (key?.startsWith(this.#prefix)) heard(key.slice(this.#prefix.length));
    });
  }
}
