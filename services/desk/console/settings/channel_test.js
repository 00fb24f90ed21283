// Where a provider posts, and a test of the account, step by step.

import { call } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { has, language, t } from "../frame/words.js";
import { Button, Icon, Problem, useWork } from "../ui/index.js";
import { Copy, Note } from "./copy.js";

const SIGNS = { ok: "circle-check", failed: "circle-x", unknown: "circle-question-mark" };
const KINDS = { ok: "good", failed: "bad", unknown: "" };

export function Address({ account }) {
  const url = account.webhook_url || account.webhook_path;
  if (account.channel === "web") return null; // the website's page knows it by its script tag
  return html`
    <${Copy} label=${t("channels.webhook_url")} value=${url} hint=${t("channels.webhook_url_hint")} />
    ${!account.webhook_url && html`<${Note} kind="late" icon="triangle-alert">${t("channels.no_public_url")}<//>`}
    ${account.verify_token && html`<${Copy} label=${t("channels.verify_token")} value=${account.verify_token} hint=${t("channels.verify_token_hint")} />`}
  `;
}

export function Test({ slug, onDone }) {
  const [found, put] = useState(null);
  const work = useWork(async () => {
    put(await call("POST", `/accounts/${encodeURIComponent(slug)}/test`));
    onDone?.();
  });
  return html`<div class="test">
    <div class="form-end">
      <${Button} icon="play" busy=${work.busy} onClick=${work.run}>${t("channels.test")}<//>
      <span class="hint-text" role="status">${work.busy ? t("channels.testing") : found && t(found.ok ? "channels.test_ok" : "channels.test_failed")}</span>
    </div>
    ${work.error && html`<${Problem} error=${work.error} retry=${work.run} />`}
    ${found && !work.busy && html`<ul class="test-steps">${found.steps.map((step) => html`<${Step} key=${step.code} step=${step} />`)}</ul>`}
  </div>`;
}

function Step({ step }) {
  // the API's own words say more, as which secret; they are English
  const words = (part) => {
    const key = `channels.check.${step.reason || `ok_${step.code}`}.${part}`;
    return language.value !== "en" && has(key) ? t(key) : step[part];
  };
  return html`<li>
    <span class=${`test-sign ${KINDS[step.result]}`}><${Icon} name=${SIGNS[step.result]} label=${t(`channels.result.${step.result}`)} /></span>
    <div><b>${t(`channels.check.${step.code}`)}</b><p dir="auto">${words("words")}</p>${step.advice && html`<p class="hint-text" dir="auto">${words("advice")}</p>`}</div>
  </li>`;
}
