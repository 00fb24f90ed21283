// The form to log in with. An address that works in several workspaces is asked which.

import { Refused, call } from "./api.js";
import { el } from "./dom.js";
import { words } from "./en.js";

const said = words.login;

export function loginView({ note, done }) {
  const problem = el("p", { class: "problem", role: "alert" }, note || "");
  const email = el("input", {
    id: "email", type: "email", autocomplete: "username", required: true, autofocus: true,
  });
  const password = el("input", {
    id: "password", type: "password", autocomplete: "current-password", required: true,
  });
  const workspace = el("select", { id: "workspace" });
  const which = el(
    "div",
    { class: "field", hidden: true },
    label(workspace, said.workspace),
    workspace,
  );
  const button = el("button", { class: "primary", type: "submit" }, said.submit);

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    problem.textContent = "";
    try {
      const given = { email: email.value, password: password.value };
      if (workspace.value) given.workspace = workspace.value;
      await call("POST", "/login", given);
      await done();
    } catch (error) {
      problem.textContent = error instanceof Refused ? error.message : said.unreachable;
      if (error.problem?.code === "workspace_needed") offer(error.problem);
    } finally {
      button.disabled = false;
    }
  }

  // The answer is the same whether anybody has the address or not.
  async function forgotten() {
    if (!email.reportValidity()) return;
    try {
      problem.textContent = (await call("POST", "/password-resets", { email: email.value })).detail;
    } catch (error) {
      problem.textContent = error instanceof Refused ? error.message : said.unreachable;
    }
  }

  function offer(refusal) {
    const names = String(refusal.workspaces || refusal.facts?.workspaces || "").split(", ");
    workspace.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
    which.hidden = false;
    workspace.focus();
  }

  return el(
    "main",
    { class: "login" },
    el(
      "form",
      { class: "card", onsubmit: submit },
      el("img", { src: "/assets/icon.svg", alt: "", width: 48, height: 48 }),
      el("h1", {}, words.brand),
      problem,
      el("div", { class: "field" }, label(email, said.email), email),
      el("div", { class: "field" }, label(password, said.password), password),
      which,
      button,
      el("button", { type: "button", onclick: forgotten }, said.forgotten),
    ),
  );
}

function label(control, text) {
  return el("label", { for: control.id }, text);
}
