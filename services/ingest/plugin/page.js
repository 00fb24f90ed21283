// The conversation as a page of its own, behind the link in an email.

import { Panel } from "./panel.js";
import { Phrases, chosenLanguage } from "./phrases.js";
import { Surface } from "./surface.js";
import { el } from "./dom.js";

const WORDS = { old: "oldLink", bad: "badLink", away: "unreachable" };

export class FullPage {
  #chat;

  constructor({ chat, origin }) {
    this.#chat = chat;
    this.phrases = new Phrases(chosenLanguage(chat.config?.language || navigator.language));
    document.documentElement.lang = this.phrases.language;
    this.surface = new Surface({ full: true, phrases: this.phrases });
    const none = () => {};
    this.panel = new Panel({ chat, phrases: this.phrases, origin, full: true, close: none, mute: none });
    this.panel.sound.hidden = true;
    this.surface.root.append(this.panel.box);
    this.panel.title.textContent = this.phrases.say("title");
    chat.on("config", (config) => this.#dress(config));
    chat.on("refused", () => this.#shut());
  }

  async begin() {
    this.surface.show(true);
    if (this.#chat.config) this.#dress(this.#chat.config);
    this.#chat.begin();
    const token = new URLSearchParams(location.hash.slice(1)).get("t");
    if (token) history.replaceState(null, "", location.pathname); // out of the address bar and history
    if (token) await this.#enter(token);
    else if (!this.#chat.me) this.panel.say(this.phrases.say("noLink"));
  }

  #dress(config) {
    if (config.name) document.title = config.name;
    this.surface.dress(config, config.name);
    this.panel.dress(config);
  }

  async #enter(token) {
    this.panel.say(this.phrases.say("opening"));
    const became = await this.#chat.enter(token);
    if (became === "known") {
      this.panel.say("");
      return;
    }
    if (became !== "away") this.#chat.logout();
    this.panel.foot.replaceChildren();
    this.panel.say(this.phrases.say(WORDS[became]));
    if (became !== "away") return;
    const again = () => this.#enter(token);
    this.panel.notice.append(" ", el("button", { type: "button", text: this.phrases.say("retry"), on: { click: again } }));
  }

  #shut() {
    this.panel.foot.replaceChildren();
    this.panel.say(this.phrases.say("shut"));
  }
}
