// The plugin on somebody's website: button, window, and what the website may say.

import { Chime } from "./sound.js";
import { Commands } from "./commands.js";
import { Launcher } from "./launcher.js";
import { Panel } from "./panel.js";
import { Phrases, chosenLanguage } from "./phrases.js";
import { Surface } from "./surface.js";

export class Widget {
  #chat;
  #open = false;
  #chime = new Chime();
  #origin;

  constructor({ chat, origin }) {
    this.#chat = chat;
    this.#origin = origin;
    this.commands = new Commands({
      open: () => this.open(true),
      close: () => this.open(false),
      identify: (given) => this.#identify(given),
      logout: () => this.#logout(),
    });
    this.#build(chosenLanguage(chat.config?.language));
    chat.on("config", (config) => this.#dress(config));
    chat.on("gone", () => this.surface.host.remove());
    chat.on("messages", () => this.#count());
    chat.on("me", () => this.#count());
    chat.on("arrival", (message) => this.#arrived(message));
    for (const event of ["pointerdown", "keydown"]) {
      addEventListener(event, () => this.#sounds && this.#chime.unlock(), { capture: true, once: true });
    }
  }

  begin() {
    if (this.#chat.config) this.#dress(this.#chat.config);
    this.#chat.begin();
    this.commands.begin();
  }

  #build(language) {
    this.surface?.host.remove();
    this.phrases = new Phrases(language);
    const { phrases } = this;
    this.surface = new Surface({ full: false, phrases });
    const close = () => this.open(false);
    this.panel = new Panel({ chat: this.#chat, phrases, origin: this.#origin, full: false, close, mute: () => this.#mute() });
    this.launcher = new Launcher({ phrases, work: () => this.open(!this.#open) });
    this.surface.root.append(this.panel.box, this.launcher.box, this.launcher.spoken);
    this.#showSound();
  }

  #dress(config) {
    const language = chosenLanguage(config.language);
    if (language !== this.phrases.language && !this.#open) this.#build(language);
    this.surface.dress(config, this.phrases.say("title"));
    this.launcher.dress(config);
    this.panel.dress(config);
    this.#showSound();
    this.surface.show(false);
    this.#count();
    if (this.#open) this.panel.open(true);
  }

  open(is) {
    if (is === this.#open) return;
    this.#open = is;
    if (is) {
      this.#chat.wake(true);
      this.#chat.configure();
    }
    const inside = this.surface.root.getRootNode().activeElement;
    this.panel.open(is);
    this.#count();
    if (!is && inside) this.launcher.box.focus();
    this.commands.tell(is ? "open" : "close");
  }

  #count() {
    const { unread } = this.#chat;
    this.launcher.show(unread, this.#open);
    this.commands.tell("unread", unread);
  }

  // --- sound

  get #sounds() {
    return this.#chat.option("sound") ?? this.#chat.config?.sound ?? false;
  }

  #mute() {
    this.#chat.option("sound", !this.#sounds);
    this.#chime.unlock();
    if (this.#sounds) this.#chime.play();
    this.#showSound();
  }

  #showSound() {
    const on = this.#sounds;
    const { sound } = this.panel;
    const label = this.phrases.say(on ? "soundOn" : "soundOff");
    sound.setAttribute("aria-pressed", String(on));
    sound.setAttribute("aria-label", label);
    sound.title = label;
    sound.classList.toggle("on", on);
  }

  #arrived(message) {
    this.commands.tell("message", { id: message.id, at: message.at, sender: message.sender, agent: message.agent ?? "" });
    const looks = this.#open && document.visibilityState === "visible";
    if (this.#sounds && !looks && Date.now() - Date.parse(message.at) < 60_000) this.#chime.play();
  }

  // --- who the visitor is

  async #identify(given = {}) {
    const { user, signature, ...facts } = given;
    if (user && signature) {
      const became = await this.#chat.identify({ ...facts, user: String(user), signature: String(signature) });
      if (became === "refused") console.warn("relaydesk: the signature does not fit this user");
      this.commands.tell("identity", became);
      return;
    }
    if (user) console.warn("relaydesk: a user without a signature is only what the visitor says");
    this.#chat.introduce(facts);
    this.commands.tell("identity", "introduced");
  }

  #logout() {
    this.open(false);
    this.#chat.logout();
  }
}
