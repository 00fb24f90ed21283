// The window: head, conversation, form or composer, our name.

import { button, el } from "./dom.js";
import { Composer } from "./composer.js";
import { Log } from "./log.js";
import { askedFields, preChatForm } from "./form.js";

const NARROW = "(max-width: 480px)";
const SOON_MS = 2000;

export class Panel {
  #chat;
  #phrases;
  #full;
  #config = {};
  #late;
  #said = "";

  // `full`: it is the whole page. `close` is called where the visitor wants it gone.
  constructor({ chat, phrases, origin, full, close, mute }) {
    this.#chat = chat;
    this.#phrases = phrases;
    this.#full = full;
    this.origin = origin;
    this.log = new Log({ chat, phrases, origin, page: pageOf });
    this.composer = new Composer({ chat, phrases, page: pageOf });
    this.title = el(full ? "h1" : "h2", { id: "title", class: "title", dir: "auto" });
    this.state = el("p", { class: "state" });
    this.sound = button("", "mute", mute, { "aria-pressed": "false" });
    this.notice = el("p", { class: "notice", role: "status" });
    this.away = el("p", { class: "away", dir: "auto", hidden: true });
    this.foot = el("div", { class: "foot" });
    this.brand = el("p", { class: "brand" });
    const names = el("div", { class: "names" }, this.title, this.state);
    const leave = full ? null : button(phrases.say("close"), "close", close);
    const head = el("header", { class: "head" }, names, this.sound, leave);
    const kind = full ? {} : { role: "dialog", "aria-labelledby": "title", id: "chat", hidden: true };
    const drops = { dragover: (event) => this.#over(event), dragleave: () => this.#dropping(false), drop: (event) => this.#dropped(event) };
    const hint = el("p", { class: "hint", "aria-hidden": "true", text: phrases.say("drop") });
    const on = { ...drops, keydown: (event) => this.#key(event, close) };
    this.box = el(full ? "main" : "div", { class: "panel", ...kind, on }, head, this.away, this.notice, this.log.box, this.foot, this.brand, hint);
    this.#listen();
  }

  #listen() {
    const { log } = this;
    this.#chat.on("messages", () => this.#shown());
    this.#chat.on("typing", (is) => log.isTyping(is));
    this.#chat.on("connection", () => this.#connection());
    this.#chat.on("me", () => this.#ask());
    this.#chat.on("left", () => this.#left());
    for (const event of ["online", "offline"]) addEventListener(event, () => this.#connection());
    document.addEventListener("visibilitychange", () => this.looked());
    addEventListener("focus", () => this.looked());
  }

  dress(config) {
    this.#config = config;
    const { offline } = config;
    this.title.textContent = config.title || (this.#full && config.name) || this.#phrases.say("title");
    this.state.textContent = offline ? this.#phrases.say("away") : "";
    this.away.hidden = !offline;
    this.brand.textContent = config.branding ? this.#phrases.say("brand") : "";
    const welcome = this.#full ? "" : config.welcome || this.#phrases.say("welcome");
    this.log.dress({ welcome, avatar: config.avatar, origin: this.origin });
    this.composer.dress(config.files);
    this.#ask();
    this.#shown();
  }

  // The form, as long as something is to be asked; then the composer.
  #ask() {
    if (!this.#config.files || (this.#full && !this.#chat.me)) return;
    const { offline, offline_text: own } = this.#config;
    const fields = askedFields({ config: this.#config, chat: this.#chat });
    const words = fields.some(({ id }) => id === "email") ? "offlineEmail" : "offline";
    this.away.textContent = offline ? own || this.#phrases.say(words) : "";
    if (!fields.length) {
      if (!this.composer.form.isConnected) this.foot.replaceChildren(this.composer.form);
      return;
    }
    const form = this.foot.firstChild;
    const key = fields.map(({ id }) => id).join();
    if (form?.asks === key) return; // it is being filled in
    const text = this.#config.pre_chat.text || this.#phrases.say("formText");
    const made = preChatForm({ fields, text, phrases: this.#phrases, done: (rows) => this.#asked(rows) });
    made.asks = key;
    this.foot.replaceChildren(made);
  }

  // Somebody else may sit here now: what was being written goes as well.
  #left() {
    this.composer.clear();
    if (!this.#full) this.foot.replaceChildren();
  }

  #asked(rows) {
    const isKnown = ({ id }) => ["name", "email", "phone"].includes(id);
    this.#chat.asked = true;
    this.#chat.introduce(Object.fromEntries(rows.filter(isKnown).map(({ id, value }) => [id, value])));
    this.#ask();
    const others = rows.filter((row) => !isKnown(row) && row.value);
    this.#chat.filled(others.map(({ label, value }) => `${label}: ${value}`).join("\n"));
    this.focus();
  }

  #shown() {
    this.log.show();
    this.looked();
  }

  get isOpen() {
    return this.#full || !this.box.hidden;
  }

  // Somebody looks at the window: what it shows is read.
  looked() {
    if (this.isOpen && document.visibilityState === "visible") this.#chat.markRead();
  }

  open(is) {
    this.box.hidden = !is;
    this.box.setAttribute("aria-modal", String(is && matchMedia(NARROW).matches));
    if (!is) return;
    this.log.toEnd();
    this.looked();
    this.focus();
  }

  focus() {
    const first = this.foot.querySelector("input:not([type=file]), textarea");
    (first ?? this.log.box).focus({ preventScroll: true });
  }

  // What stands above the conversation until something else does.
  say(text) {
    this.#said = text;
    this.notice.textContent = text;
  }

  #connection() {
    const { connection, resting } = this.#chat;
    const lost = connection === "reconnecting" || resting;
    clearTimeout(this.#late);
    if (this.#said) return;
    if (!lost) {
      this.notice.textContent = "";
      return;
    }
    const words = navigator.onLine ? "connecting" : "noNetwork";
    this.#late = setTimeout(() => !this.#said && (this.notice.textContent = this.#phrases.say(words)), SOON_MS);
  }

  // --- keys and drops

  #key(event, close) {
    if (event.key === "Escape" && !event.isComposing) {
      event.stopPropagation();
      if (!this.composer.escape() && !this.#full) close();
    } else if (event.key === "Tab" && !this.#full && matchMedia(NARROW).matches) this.#trap(event);
  }

  // The window hides the page there, so that the focus must not leave it.
  #trap(event) {
    const reached = [...this.box.querySelectorAll("button, a[href], input:not([type=file]), textarea, [tabindex='0'], audio, video")];
    const seen = reached.filter((one) => one.checkVisibility());
    const [first, last] = [seen[0], seen.at(-1)];
    const now = this.box.getRootNode().activeElement;
    const over = event.shiftKey ? now === first : now === last;
    if (!over) return;
    event.preventDefault();
    (event.shiftKey ? last : first).focus();
  }

  #over(event) {
    if (!event.dataTransfer?.types.includes("Files") || !this.composer.form.isConnected) return;
    event.preventDefault();
    this.#dropping(true);
  }

  #dropping(is) {
    this.box.classList.toggle("dropping", is);
  }

  #dropped(event) {
    this.#dropping(false);
    if (!event.dataTransfer?.files.length || !this.composer.form.isConnected) return;
    event.preventDefault();
    this.composer.take([...event.dataTransfer.files]);
  }
}

let told = "";

// Where the window stands; told once for each place.
function pageOf() {
  const url = location.origin + location.pathname + location.search;
  if (told === url) return undefined;
  told = url;
  return { url, title: document.title, referrer: document.referrer };
}
