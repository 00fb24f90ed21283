// What the website may say: `relaydesk("open")` and so on, also before we are there.

const ANSWERED = ["ready", "open", "close", "unread", "message", "identity"];

export class Commands {
  #does;
  #listeners = new Map(ANSWERED.map((name) => [name, []]));
  #last = new Map();

  constructor(does) {
    this.#does = does;
    const waiting = window.relaydesk?.q ?? [];
    const command = (...call) => this.#run(...call);
    command.loaded = true;
    window.relaydesk = command;
    this.waiting = waiting;
  }

  // What was said before.
  begin() {
    this.waiting.forEach((call) => this.#run(...call));
    this.tell("ready");
  }

  #run(name, ...given) {
    if (name === "on") return this.#on(...given);
    const work = Object.hasOwn(this.#does, name) ? this.#does[name] : null;
    if (!work) console.warn(`relaydesk: there is no "${name}"; there are on, ${Object.keys(this.#does).join(", ")}`);
    else work(...given);
    return undefined;
  }

  #on(name, listener) {
    const listeners = this.#listeners.get(name);
    if (!listeners || typeof listener !== "function") {
      console.warn(`relaydesk: on needs one of ${ANSWERED.join(", ")}, and a function`);
      return;
    }
    listeners.push(listener);
    if (this.#last.has(name)) this.#call(listener, this.#last.get(name));
  }

  // What holds on (`ready`, `unread`) is told to who asks later, too.
  tell(name, data) {
    if (name === "unread" && this.#last.get(name) === data) return;
    if (name === "ready" || name === "unread") this.#last.set(name, data);
    this.#listeners.get(name).forEach((listener) => this.#call(listener, data));
  }

  #call(listener, data) {
    try {
      listener(data);
    } catch (error) {
      console.error(error); // the website's own
    }
  }
}
