// The pages behind mailed links: who is invited sets name and password, who forgot it a new one.

import { Refused, call } from "./api.js";
import { el } from "./dom.js";
import { words } from "./en.js";

const said = words.link;
const SHORTEST = 8;
const KINDS = {
  "accept-invitation": { path: "/invitations/accept", named: true },
  "new-password": { path: "/password-resets/done", named: false },
};

// What kind of link an address is, and its token; null: none.
export function linkIn(hash) {
  const [, kind, token] = hash.match(/^#\/([\w-]+)\/([^/?]+)$/) ?? [];
  return Object.hasOwn(KINDS, kind ?? "") ? { kind, token } : null;
}

export function linkView({ kind, token }, { done }) {
  const { path, named } = KINDS[kind];
  const problem = el("p", { class: "problem", role: "alert" });
  const name = el("input", {
    id: "name", type: "text", autocomplete: "name", maxlength: 200, required: true,
  });
  const password = el("input", {
    id: "password", type: "password", autocomplete: "new-password", minlength: SHORTEST,
    required: true, "aria-describedby": "password-help",
  });
  const button = el("button", { class: "primary", type: "submit" }, said[kind].submit);

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    problem.textContent = "";
    try {
      const given = { token, password: password.value };
      await call("POST", path, named ? { ...given, name: name.value } : given);
      done();
    } catch (error) {
      problem.textContent = error instanceof Refused ? error.message : words.login.unreachable;
    } finally {
      button.disabled = false;
    }
  }

  return el(
    "main",
    { class: "login" },
    el(
      "form",
      { class: "card", onsubmit: submit },
      el("img", { src: "/assets/icon.svg", alt: "", width: 48, height: 48 }),
      el("h1", {}, said[kind].title),
      problem,
      named ? field(name, said.name) : null,
      field(password, said.password),
      el("p", { class: "help", id: "password-help" }, said.help(SHORTEST)),
      button,
      el("a", { href: "#/" }, said.login),
    ),
  );
}

function field(control, text) {
  return el("div", { class: "field" }, el("label", { for: control.id }, text), control);
}
