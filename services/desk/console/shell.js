// What stands around every view: the bar, the hints, the list beside what is open.

import { el } from "./dom.js";
import { words } from "./en.js";
import { pushWords } from "./notify.js";

const STATES = ["online", "away"];

export class Shell {
  #present;
  #ask;
  #connection = el("span", { class: "connection", role: "status" });
  #radios = new Map();
  #soundHint = el("p", { class: "hint", hidden: true }, words.hints.sound);
  #notifyHint = el("div", { class: "hint", hidden: true });
  #main = el("main", { class: "view", id: "content", tabindex: "-1" });
  #count = el("span", { class: "chip count", hidden: true });

  constructor({ me, list, present, ask, logout }) {
    this.#present = present;
    this.#ask = ask;
    this.element = el(
      "div",
      { class: "shell" },
      el("a", { class: "skip", href: "#content", onclick: this.#skip }, words.skip),
      el(
        "header",
        {},
        el(
          "a",
          { class: "brand", href: "/#/" },
          el("img", { src: "/assets/icon.svg", alt: "", width: 28, height: 28 }),
          words.brand,
        ),
        this.#connection,
        el("span", { class: "gap" }),
        me.role === "read_only" ? null : this.#switch(),
        el("a", { class: "button", href: "/#/settings" }, words.settings),
        el("button", { type: "button", class: "quiet", onclick: logout }, words.logout),
      ),
      el(
        "div",
        { class: "panes" },
        el(
          "section",
          { class: "side", "aria-labelledby": "alerts-title" },
          el("h1", { id: "alerts-title" }, words.alerts.title, " ", this.#count),
          this.#soundHint,
          this.#notifyHint,
          list,
        ),
        this.#main,
      ),
    );
    this.connection("connecting");
  }

  #skip = (event) => {
    event.preventDefault(); // the address says which view is open
    this.#main.focus();
  };

  #switch() {
    const options = STATES.map((state) => {
      const radio = el("input", {
        type: "radio", name: "presence", value: state, id: `presence-${state}`,
        onchange: () => this.#present(state).catch(() => (radio.checked = false)),
      });
      this.#radios.set(state, radio);
      return el("label", { for: radio.id, class: state }, radio, words.presence[state]);
    });
    return el(
      "fieldset",
      { class: "presence" },
      el("legend", { class: "apart" }, words.presence.legend),
      ...options,
    );
  }

  connection(state) {
    this.#connection.dataset.state = state;
    this.#connection.textContent = words.connection[state] ?? state;
  }

  presence(state) {
    for (const [name, radio] of this.#radios) radio.checked = name === state;
  }

  waiting(count) {
    this.#count.textContent = String(count);
    this.#count.hidden = count === 0;
    document.title = count ? `(${count}) ${words.brand}` : words.brand;
  }

  hintSound(locked) {
    this.#soundHint.hidden = !locked;
  }

  notifications(state) {
    this.#notifyHint.dataset.state = state;
    const parts = notificationHint(state, this.#ask);
    this.#notifyHint.replaceChildren(...parts);
    this.#notifyHint.hidden = parts.length === 0 || state === "on" || state === "checking";
  }

  place(name, element) {
    this.element.dataset.place = name;
    this.#main.replaceChildren(
      ...(element
        ? [el("a", { class: "back", href: "/#/" }, `‹ ${words.back}`), element]
        : [el("p", { class: "pick" }, words.session.pick)]),
    );
    if (element) this.#main.focus({ preventScroll: true });
  }
}

// What there is to say, and to do, about notifications.
export function notificationHint(state, ask) {
  if (state === "ask") {
    return [
      el("p", {}, words.hints.ask),
      el("button", { type: "button", class: "primary", onclick: ask }, words.hints.askButton),
    ];
  }
  const text = words.hints[state] ?? pushWords(state);
  return text ? [el("p", {}, text)] : [];
}
