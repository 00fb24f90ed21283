// The form to log in with. An address that works in several workspaces is asked which.

import { Button, Problem, Select, useWork } from "../ui/index.js";
import { call } from "./api.js";
import { html, useEffect, useState } from "./html.js";
import { LANGUAGES, language, speak, t } from "./words.js";

// `note`: why the form is shown, in words; `done` is called when somebody is in.
export function Login({ note, done }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [workspace, setWorkspace] = useState("");
  const [among, setAmong] = useState([]);
  const [told, tell] = useState(note ?? "");
  const enter = useWork(async () => {
    tell("");
    try {
      await call("POST", "/login", { email, password, ...(workspace && { workspace }) });
    } catch (error) {
      if (error.problem?.code === "workspace_needed") {
        const names = String(error.problem.workspaces || error.problem.facts?.workspaces || "").split(", ");
        setAmong(names);
        setWorkspace(names[0]);
      }
      throw error;
    }
    await done();
  });
  // The answer is the same whether anybody has the address or not.
  const forgotten = useWork(async () => {
    tell("");
    if (!document.getElementById("login-email").reportValidity()) return;
    tell((await call("POST", "/password-resets", { email })).detail);
  });
  const submit = (event) => {
    event.preventDefault();
    enter.run();
  };
  return html`<${Card}>
    <form onSubmit=${submit}>
      <h1>Relaydesk</h1>
      ${told && html`<p class="told" role="alert">${told}</p>`}
      <${Problem} error=${enter.error ?? forgotten.error} />
      <${Labelled} id="login-email" label=${t("frame.login.email")} type="email" autocomplete="username" required autofocus value=${email} onInput=${setEmail} />
      <${Labelled} id="login-password" label=${t("frame.login.password")} type="password" autocomplete="current-password" required value=${password} onInput=${setPassword} />
      ${among.length > 0 &&
      html`<${Select} label=${t("frame.login.workspace")} value=${workspace} onChange=${setWorkspace} options=${among.map((one) => [one, one])} />`}
      <${Button} type="submit" kind="primary" busy=${enter.busy}>${t("frame.login.submit")}<//>
      <${Button} kind="quiet" busy=${forgotten.busy} onClick=${forgotten.run}>${t("frame.login.forgotten")}<//>
      <${SingleSignOn} />
    </form>
  <//>`;
}

function Labelled({ id, label, onInput, ...rest }) {
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <input ...${rest} id=${id} onInput=${(event) => onInput(event.target.value)} />
  </div>`;
}

// A login by the company's own identity provider, where one is set up.
function SingleSignOn() {
  const [there, put] = useState(false);
  useEffect(() => {
    call("GET", "/login").then(({ oidc }) => put(oidc), () => {}); // without an answer: by password
  }, []);
  if (!there) return null;
  return html`<a class="button" href="/api/v1/login/oidc">${t("frame.login.oidc")}</a>`;
}

// What stands around the forms of who is not logged in yet.
export function Card({ children }) {
  language.value; // drawn anew when another is spoken
  const icon = new URL("../icon.svg", import.meta.url).pathname;
  return html`<main class="login">
    <div class="card"><img src=${icon} alt="" width="48" height="48" />${children}</div>
    <p class="languages">
      ${Object.entries(LANGUAGES).map(
        ([tag, name]) => html`<button
          key=${tag} type="button" lang=${tag} class="button quiet small" aria-pressed=${String(tag === language.value)}
          onClick=${() => speak(tag)}
        >${name}</button>`,
      )}
    </p>
  </main>`;
}

