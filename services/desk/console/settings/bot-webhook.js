// A webhook bot: its address, its secret, and the contract with the program behind it.

import { call } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { href } from "../frame/router.js";
import { t } from "../frame/words.js";
import { Button, Card, Problem, TextField, confirm, useGet, useWork, wrongWith } from "../ui/index.js";
import { Secret } from "./bots.js";

const REQUEST = `POST /hook HTTP/1.1
content-type: application/json
webhook-id: call_8f2c…
webhook-timestamp: 1788264000
webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=

{"type": "message.received",
 "timestamp": "2026-09-01T12:00:00Z",
 "data": {
  "session": "ses_1", "epoch": 3, "channel": "line", "account": "acme-line",
  "message": {"id": "msg_9", "sender": "visitor",
              "parts": [{"type": "text", "text": "Where is my parcel?"}]},
  "contact": {"id": "con_4", "name": "Vera", "language": "en"},
  "history": [],
  "reply_url": "https://…/answers",
  "deadline": "2026-09-01T12:00:30Z"}}`;
const ANSWER = `{"messages": [{"text": "It is on its way.",
               "choices": [{"title": "Talk to us", "payload": "human"}]}],
 "hand_off": false, "end": false}`;
const PROOF = `key  = base64.b64decode(secret.removeprefix("whsec_"))
text = b".".join((webhook_id, webhook_timestamp, body))
"v1," + base64.b64encode(hmac.digest(key, text, "sha256"))`;

export function Webhook({ given, set, error, bot, keeps }) {
  const settings = useGet("/settings");
  const [secret, show] = useState("");
  const rotate = useWork(() => call("POST", `/bots/${bot.data.id}/secret`, {}));
  const fresh = async () => {
    if (!(await confirm({ title: t("bots.rotate_title"), text: t("bots.rotate_text"), action: t("bots.rotate") }))) return;
    const made = await rotate.run();
    if (made) show(made.secret);
  };
  const deadline = settings.data?.bot_deadline_s ?? settings.data?.settings?.bot_deadline_s;
  return html`<${Card} title=${t("bots.address")}>
      <${TextField} type="url" label=${t("bots.url")} hint=${t("bots.url_hint")} value=${given.url} onInput=${(url) => set({ url })} error=${wrongWith(error, "url")} disabled=${!keeps} dir="ltr" />
      <div><p class="strong">${t("bots.secret")}</p>
        <p class="hint-text">${t(bot.data.secrets > 1 ? "bots.secrets_two" : "bots.secret_once")}</p>
        ${keeps && html`<p><${Button} icon="key" busy=${rotate.busy} onClick=${fresh}>${t("bots.rotate")}<//></p>`}
        <${Problem} error=${rotate.error} /></div>
      <p>${deadline ? t("bots.deadline", { n: deadline }) : t("bots.deadline_some")} <a href=${href("/settings/switches", { find: "bot_deadline_s" })}>${t("bots.deadline_change")}</a></p>
    <//>
    <${Card} title=${t("bots.contract")} hint=${t("bots.contract_hint")}>
      <h3>${t("bots.contract_request")}</h3><pre dir="ltr" tabindex="0">${REQUEST}</pre>
      <h3>${t("bots.contract_proof")}</h3><pre dir="ltr" tabindex="0">${PROOF}</pre>
      <h3>${t("bots.contract_answer")}</h3><pre dir="ltr" tabindex="0">${ANSWER}</pre>
      <ul class="bullets">${["later", "repeat", "one", "failed"].map((name) => html`<li key=${name}>${t(`bots.contract.${name}`)}</li>`)}</ul>
    <//>
    ${secret && html`<${Secret} secret=${secret} onClose=${() => { show(""); bot.reload(); }} />`}`;
}
