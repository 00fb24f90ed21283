// The pages behind mailed links: who is invited sets name and password, who forgot it a new one.

import { Button, Problem, TextField, useWork, wrongWith } from "../ui/index.js";
import { call } from "./api.js";
import { html, useState } from "./html.js";
import { Card } from "./login.js";
import { t } from "./words.js";

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

export function LinkForm({ kind, token, done }) {
  const { path, named } = KINDS[kind];
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const work = useWork(async () => {
    await call("POST", path, { token, password, ...(named && { name }) });
    done();
  });
  const submit = (event) => {
    event.preventDefault();
    work.run();
  };
  return html`<${Card}>
    <form onSubmit=${submit}>
      <h1>${t(`frame.link.${kind}.title`)}</h1>
      <${Problem} error=${work.error} />
      ${named &&
      html`<${TextField} label=${t("frame.link.name")} autocomplete="name" maxlength="200" required value=${name} onInput=${setName} error=${wrongWith(work.error, "name")} />`}
      <${TextField} label=${t("frame.link.password")} hint=${t("frame.link.help", { n: SHORTEST })} type="password"
        autocomplete="new-password" minlength=${SHORTEST} required value=${password} onInput=${setPassword} error=${wrongWith(work.error, "password")} />
      <${Button} type="submit" kind="primary" busy=${work.busy}>${t(`frame.link.${kind}.submit`)}<//>
      <a href="#/">${t("frame.link.login")}</a>
    </form>
  <//>`;
}
