// What is asked before a conversation begins.

import { el } from "./dom.js";

const KNOWN = { name: ["text", "name"], email: ["email", "email"], phone: ["tel", "tel"] };
const EMAIL = /^[^\s@]+@[^\s@]+\.[^\s@]+$/;
const LONGEST = 200;

// The fields still to be asked; none: no form.
export function askedFields({ config, chat }) {
  if (chat.asked || chat.linked) return [];
  const { when, fields } = config.pre_chat;
  const asks = when === "always" || (when === "offline" && config.offline);
  const chosen = asks ? fields.map((field) => ({ ...field })) : [];
  if (config.offline && config.offline_mode === "email") {
    const email = chosen.find(({ id }) => id === "email");
    if (email) email.required = true;
    else chosen.push({ id: "email", label: "", required: true });
  }
  return chosen.filter(({ id }) => !Object.hasOwn(chat.profile, id));
}

export function preChatForm({ fields, text, phrases, done }) {
  const rows = fields.map((field) => new Row(field, phrases));
  const submit = (event) => {
    event.preventDefault();
    const wrong = rows.filter((row) => !row.check());
    if (wrong.length) wrong[0].input.focus();
    else done(rows.map((row) => ({ ...row.field, label: row.label, value: row.value })));
  };
  const begin = el("button", { class: "begin", text: phrases.say("begin") });
  const whole = el("form", { class: "ask", novalidate: true, on: { submit } });
  whole.append(el("p", { class: "lead", dir: "auto", text }), ...rows.map((row) => row.box), begin);
  return whole;
}

class Row {
  constructor(field, phrases) {
    this.field = field;
    this.phrases = phrases;
    this.label = field.label || phrases.say(field.id);
    const [type, complete] = Object.hasOwn(KNOWN, field.id) ? KNOWN[field.id] : ["text", "off"];
    const ids = { id: `ask-${field.id}`, "aria-describedby": `wrong-${field.id}` };
    const naming = { type, autocomplete: complete, maxlength: LONGEST, "aria-required": String(field.required) };
    this.input = el("input", { ...ids, ...naming, dir: "auto", on: { blur: () => this.wrong.textContent && this.check() } });
    this.wrong = el("p", { id: ids["aria-describedby"], class: "wrong" });
    const name = el("label", { for: ids.id, dir: "auto", text: this.label });
    if (!field.required) name.append(" ", el("span", { class: "optional", text: `(${phrases.say("optional")})` }));
    this.box = el("div", { class: "field" }, name, this.input, this.wrong);
  }

  get value() {
    return this.input.value.trim();
  }

  check() {
    const missing = this.field.required && !this.value;
    const odd = this.field.id === "email" && this.value && !EMAIL.test(this.value);
    this.wrong.textContent = missing ? this.phrases.say("needed") : odd ? this.phrases.say("badEmail") : "";
    this.input.setAttribute("aria-invalid", String(missing || Boolean(odd)));
    return !missing && !odd;
  }
}
