// The button that opens the window, with how much is unread.

import { el, icon } from "./dom.js";

export class Launcher {
  #phrases;

  constructor({ phrases, work }) {
    this.#phrases = phrases;
    this.badge = el("span", { class: "badge", "aria-hidden": "true", hidden: true });
    this.words = el("span", { class: "words", dir: "auto" });
    const state = { "aria-expanded": "false", "aria-controls": "chat", "aria-haspopup": "dialog" };
    this.box = el("button", { type: "button", class: "launcher", ...state, on: { click: work } }, icon("chat"), icon("down"), this.words, this.badge);
    this.spoken = el("p", { class: "hidden", role: "status" });
    this.show(0, false);
  }

  dress({ launcher }) {
    this.words.textContent = launcher;
    this.words.hidden = !launcher;
    this.#name();
  }

  show(unread, open) {
    this.open = open;
    this.unread = unread;
    this.badge.hidden = !unread || open;
    this.badge.textContent = unread > 9 ? "9+" : String(unread);
    this.box.setAttribute("aria-expanded", String(open));
    this.box.classList.toggle("open", open);
    const news = unread && !open ? this.#phrases.say("unread", { n: unread }) : "";
    if (this.spoken.textContent !== news) this.spoken.textContent = news;
    this.#name();
  }

  // What is seen comes first in what is said (WCAG 2.5.3).
  #name() {
    const what = this.#phrases.say(this.open ? "close" : "open");
    const news = this.unread && !this.open ? this.#phrases.say("unread", { n: this.unread }) : "";
    this.box.setAttribute("aria-label", [this.words.textContent, what, news].filter(Boolean).join(", "));
  }
}
