// Where the visitor writes: text, emoji, files by button, drop or paste.

import { button, el } from "./dom.js";

const TEXT_MOST = 4000;
const EMOJI = [..."😀😂😊😍😉😎🤔😅😢😭😡😴👍👎👏🙏💪👋✌🤝❤💔🎉🔥⭐✅❌❓⏰📦💳🚚"];

export class Composer {
  #chat;
  #phrases;
  #page;
  #rules = { max_bytes: 0, types: [] };
  #underway = new Set(); // AbortController of each upload

  constructor({ chat, phrases, page }) {
    this.#chat = chat;
    this.#phrases = phrases;
    this.#page = page;
    const say = (key) => phrases.say(key);
    const keys = { input: () => this.#typed(), keydown: (event) => this.#key(event), paste: (event) => this.#pasted(event) };
    const naming = { rows: 1, maxlength: TEXT_MOST, "aria-label": say("message"), placeholder: say("write") };
    this.text = el("textarea", { ...naming, enterkeyhint: "send", on: keys });
    const chosen = () => {
      this.take([...this.input.files]);
      this.input.value = "";
    };
    this.input = el("input", { type: "file", multiple: true, hidden: true, tabindex: -1, "aria-label": say("attach"), on: { change: chosen } });
    this.emoji = this.#emojiGrid();
    this.emojiButton = button(say("emoji"), "smile", () => this.#toggle(), { "aria-expanded": "false" });
    this.sendButton = button(say("send"), "send", () => {}, { type: "submit", class: "plain send" });
    this.uploads = el("ul", { class: "uploads" });
    this.problem = el("p", { class: "problem", role: "alert" });
    const attach = button(say("attach"), "clip", () => this.input.click());
    const tools = el("div", { class: "row" }, attach, this.emojiButton, this.text, this.sendButton);
    const submit = (event) => {
      event.preventDefault();
      this.#submit();
    };
    this.form = el("form", { class: "composer", on: { submit } }, this.uploads, this.problem, this.emoji, tools, this.input);
    this.text.value = chat.option("draft") ?? "";
    this.fit();
  }

  dress(rules) {
    this.#rules = rules;
    this.input.accept = rules.types.map((type) => `.${type}`).join(",");
  }

  #emojiGrid() {
    const grid = el("div", { class: "emoji", role: "group", "aria-label": this.#phrases.say("emoji"), hidden: true });
    const pick = (one) => () => {
      this.text.setRangeText(one, this.text.selectionStart, this.text.selectionEnd, "end");
      this.#typed();
      this.#toggle(false);
      this.text.focus();
    };
    grid.append(...EMOJI.map((one) => el("button", { type: "button", text: one, on: { click: pick(one) } })));
    return grid;
  }

  // Tells whether it was open.
  #toggle(open = this.emoji.hidden) {
    const was = !this.emoji.hidden;
    this.emoji.hidden = !open;
    this.emojiButton.setAttribute("aria-expanded", String(open));
    if (open) this.emoji.firstChild.focus();
    return was;
  }

  // Tells whether Esc closed something here.
  escape() {
    const was = this.#toggle(false);
    if (was) this.emojiButton.focus();
    return was;
  }

  #typed() {
    this.fit();
    this.#chat.option("draft", this.text.value);
    if (this.text.value) this.#chat.typed();
  }

  fit() {
    // Without text the direction is that of the words that stand for it.
    if (this.text.value) this.text.dir = "auto";
    else this.text.removeAttribute("dir");
    this.text.rows = Math.min(5, Math.max(1, this.text.value.split("\n").length, Math.ceil(this.text.value.length / 34)));
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = this.text.value.trim();
    if (!text) return;
    const kept = this.#chat.say({ text }, this.#page());
    this.problem.textContent = kept ? "" : this.#phrases.say("failed");
    this.text.focus();
    if (!kept) return;
    this.text.value = "";
    this.#typed();
  }

  // Nothing of what was being written or sent stays.
  clear() {
    this.#underway.forEach((cut) => cut.abort());
    this.uploads.replaceChildren();
    this.text.value = this.problem.textContent = "";
    this.fit();
  }

  // --- files

  #pasted(event) {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    this.take(files);
  }

  take(files) {
    this.problem.textContent = "";
    files.forEach((file) => this.#checked(file) && this.#send(file));
  }

  #checked(file) {
    const { max_bytes: most, types } = this.#rules;
    const type = file.name.includes(".") ? file.name.split(".").at(-1).toLowerCase() : "";
    if (!types.includes(type)) this.#refuse("badType", file, { types: types.join(", ") });
    else if (file.size > most) this.#refuse("tooLarge", file, { most: Math.floor(most / 2 ** 20) });
    else if (file.size === 0) this.#refuse("emptyFile", file);
    else return true;
    return false;
  }

  #refuse(key, file, put = {}) {
    this.problem.textContent = this.#phrases.say(key, { name: file.name, ...put });
  }

  async #send(file) {
    const cut = new AbortController();
    this.#underway.add(cut);
    const bar = el("progress", { max: 1, value: 0, "aria-label": this.#phrases.say("uploading", { name: file.name }) });
    const cancel = () => {
      cut.abort();
      row.remove();
    };
    const row = el("li", {}, el("span", { dir: "auto", text: file.name }), bar, button(this.#phrases.say("cancel"), "close", cancel));
    this.uploads.append(row);
    const show = (part) => (bar.value = part);
    const { status, body } = await this.#chat.upload(file, show, cut.signal).catch(() => ({ status: 0, body: {} }));
    this.#underway.delete(cut);
    if (cut.signal.aborted) return;
    row.remove();
    if (status === 201) {
      const { id: attachment, kind, name, mime_type, size_bytes } = body;
      this.#chat.say({ type: "media", attachment, kind, name, mime_type, size_bytes }, this.#page());
    } else this.#notSent(file, status, body);
  }

  #notSent(file, status, body) {
    const types = this.#rules.types.join(", ");
    const most = Math.floor(Number(body.limit_bytes || this.#rules.max_bytes) / 2 ** 20);
    if (status === 413) this.#refuse("tooLarge", file, { most });
    else if (status === 415 || status === 422) this.#refuse("badType", file, { types });
    else if (status === 429) this.#refuse("manyFiles", file);
    else this.#refuse("uploadFailed", file);
    if (status === 413 || status === 415 || status === 422) return;
    const again = () => this.take([file]);
    this.problem.append(" ", el("button", { type: "button", text: this.#phrases.say("retry"), on: { click: again } }));
  }
}
