// The conversation on the screen: grouped by day and by who speaks, kept at its end while one reads
// there, and changed only where something changed, so that a screen reader hears what is new.

import { Bubbles } from "./bubbles.js";
import { el } from "./dom.js";

const GROUP_MS = 5 * 60_000;
const NEAR_PX = 80;

export class Log {
  #nodes = new Map(); // id -> {node, form}
  #chat;
  #phrases;
  #bubbles;
  #avatar = "";
  #pinned = true; // who reads the end goes on doing so when the window's parts change

  constructor({ chat, phrases, origin, page }) {
    this.#chat = chat;
    this.#phrases = phrases;
    const choose = (what) => chat.say(what, page());
    this.#bubbles = new Bubbles({ origin, phrases, choose });
    this.list = el("ol", { class: "messages" });
    this.welcome = el("p", { class: "welcome", dir: "auto" });
    this.typing = el("p", { class: "typing" });
    this.box = el(
      "div",
      { class: "log", role: "log", "aria-live": "polite", "aria-label": phrases.say("log"), tabindex: 0 },
      this.welcome,
      this.list,
      this.typing,
    );
    this.box.addEventListener("scroll", () => (this.#pinned = this.#isAtEnd()));
    new ResizeObserver(() => this.#pinned && this.toEnd()).observe(this.box);
  }

  dress({ welcome, avatar, origin }) {
    this.welcome.textContent = welcome;
    this.#avatar = avatar ? new URL(avatar, origin).href : "";
  }

  who(message) {
    if (message.sender === "visitor") return this.#phrases.say("you");
    if (message.sender === "system") return "";
    return message.agent || this.#phrases.say(message.sender === "agent" ? "agent" : message.sender);
  }

  show() {
    const atEnd = this.#isAtEnd();
    const messages = this.#chat.list();
    const lastOwn = messages.findLast(({ sender }) => sender === "visitor")?.id;
    const wanted = [];
    let before = null;
    for (const message of messages) {
      const day = this.#phrases.day(Date.parse(message.at));
      if (!before || before.day !== day) wanted.push(this.#node(`day:${day}:${message.id}`, day, () => dayLine(day)));
      const first = !before || before.day !== day || !isSameGroup(before, message);
      const status = this.#status(message, message.id === lastOwn);
      const form = JSON.stringify([message.parts, message.at, status, first, this.#avatar]);
      wanted.push(this.#node(message.id, form, () => this.#item(message, first, status)));
      before = { ...message, day };
    }
    this.#arrange(wanted);
    if (atEnd || messages.at(-1)?.waiting) this.toEnd();
  }

  isTyping(is) {
    const agent = this.#chat.list().findLast(({ sender }) => sender === "agent")?.agent;
    const who = agent || this.#phrases.say("agent");
    const atEnd = this.#isAtEnd();
    this.typing.textContent = is ? this.#phrases.say("typing", { who }) : "";
    if (atEnd) this.toEnd();
  }

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.box;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }

  toEnd() {
    this.box.scrollTop = this.box.scrollHeight;
  }

  #node(id, form, make) {
    const known = this.#nodes.get(id);
    if (known?.form === form) return [id, known];
    return [id, { node: make(), form }];
  }

  #arrange(wanted) {
    const focus = this.box.getRootNode().activeElement;
    this.#nodes.forEach(({ node }, id) => {
      if (wanted.every(([one, { node: own }]) => one !== id || own !== node)) node.remove();
    });
    this.#nodes = new Map(wanted);
    let next = this.list.firstChild;
    for (const [, { node }] of wanted) {
      if (node === next) next = next.nextSibling;
      else this.list.insertBefore(node, next);
    }
    if (focus && !focus.isConnected) this.box.focus(); // what had it was replaced
  }

  #status(message, isLast) {
    if (message.sender !== "visitor") return "";
    if (message.failed) return "failed";
    if (message.waiting) return "sending";
    if (!isLast) return "";
    if (Date.parse(message.at) <= this.#chat.seen) return "read";
    return message.sent ? "sent" : "delivered";
  }

  #item(message, first, status) {
    const kind = message.sender === "visitor" ? "visitor" : message.sender === "system" ? "system" : "ours";
    const state = `${message.waiting ? " waiting" : ""}${message.failed ? " failed" : ""}`;
    const at = Date.parse(message.at);
    const time = el("time", { datetime: new Date(at).toISOString(), text: this.#phrases.time(at) });
    const who = this.who(message);
    const head = who ? el("p", { class: first && kind === "ours" ? "who" : "who hidden", dir: "auto", text: who }) : null;
    const picture = kind === "ours" && first && this.#avatar && message.sender !== "system";
    return el(
      "li",
      { class: `${kind}${state}${first ? " first" : ""}` },
      picture ? el("img", { class: "avatar", src: this.#avatar, alt: "" }) : null,
      head,
      el("div", { class: "bubble" }, ...this.#bubbles.parts(message)),
      el("p", { class: "about" }, time, status ? el("span", { class: "status", text: this.#phrases.say(status) }) : null),
      message.failed ? this.#again(message) : null,
    );
  }

  #again({ client }) {
    const retry = () => this.#chat.retry(client);
    const discard = () => this.#chat.discard(client);
    return el(
      "p",
      { class: "again" },
      el("button", { type: "button", text: this.#phrases.say("retry"), on: { click: retry } }),
      el("button", { type: "button", text: this.#phrases.say("discard"), on: { click: discard } }),
    );
  }
}

const dayLine = (day) => el("li", { class: "day" }, el("span", { text: day }));

function isSameGroup(one, other) {
  const near = Date.parse(other.at) - Date.parse(one.at) < GROUP_MS;
  return near && one.sender === other.sender && (one.agent ?? "") === (other.agent ?? "");
}
