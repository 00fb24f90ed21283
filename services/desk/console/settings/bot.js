// One bot: what it says is edited at one side, and tried at the other, as it stands in the editor.

import { call } from "../frame/api.js";
import { html, useMemo, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { go, href } from "../frame/router.js";
import { t } from "../frame/words.js";
import { Button, Card, Choices, IconButton, Problem, Switch, TextField, Waiting, confirm, inWords, toast, useGet, useUnsaved, useWork, wrongWith } from "../ui/index.js";
import { Faq } from "./bot-faq.js";
import { Flow } from "./bot-flow.js";
import { Try } from "./bot-try.js";
import { Webhook } from "./bot-webhook.js";
import { Where } from "./bots.js";
import { SettingsPage } from "./frame.js";
import { channelOptions } from "./standard-scope.js";

// What PUT takes: the view without what only the API says.
export function contentOf({ name, kind, enabled, channels, automation, faq, fuzzy, misses, start, steps, layout, url }) {
  const common = { name, kind, enabled, channels, automation };
  return { ...common, ...{ faq: { faq, fuzzy, misses }, flow: { start, steps, layout }, webhook: { url } }[kind] };
}

export default function View({ params }) {
  const bot = useGet(`/bots/${params.id}`);
  const back = { href: href("/settings/bots"), label: t("bots.back") };
  if (!bot.data) return html`<${SettingsPage} title=${t("bots.title")} back=${back}>${bot.error ? html`<${Problem} error=${bot.error} retry=${bot.reload} />` : html`<${Waiting} />`}<//>`;
  return html`<${Editor} key=${bot.etag} bot=${bot} back=${back} />`;
}

function Editor({ bot, back }) {
  const first = useMemo(() => contentOf(bot.data), []);
  const [given, put] = useState(first);
  const rules = useGet("/rules");
  const changed = JSON.stringify(first) !== JSON.stringify(given);
  const keeps = given.kind !== "webhook" || may("admin");
  const set = (more) => put((old) => ({ ...old, ...more }));
  const work = useWork(() => call("PUT", `/bots/${bot.data.id}`, given, { etag: bot.etag }));
  const save = async () => {
    if (!(await work.run())) return;
    toast(t("ui.saved"));
    bot.reload();
  };
  useUnsaved(changed);
  const remove = async () => {
    if (!(await confirm({ title: t("bots.delete", { name: bot.data.name }), text: t("bots.delete_text"), action: t("ui.delete"), danger: true }))) return;
    try {
      await call("DELETE", `/bots/${bot.data.id}`);
      put(first);
      go("/settings/bots", {}, { saved: true });
    } catch (failed) {
      toast(inWords(failed), { kind: "bad" });
    }
  };
  const Part = { faq: Faq, flow: Flow, webhook: Webhook }[given.kind];
  const actions = keeps && html`
    ${changed && html`<${Button} onClick=${() => { put(first); work.clear(); }}>${t("bots.discard")}<//>`}
    <${Button} kind="primary" disabled=${!changed} busy=${work.busy} onClick=${save}>${t("ui.save")}<//>
    <${IconButton} icon="trash" label=${t("bots.delete_this")} onClick=${remove} />`;
  return html`<${SettingsPage} title=${bot.data.name} hint=${t(`bots.kind.${given.kind}`)} back=${back} actions=${actions}>
    <${Problem} error=${work.error} />
    ${bot.data.warnings.map((text) => html`<p class="words-warned" key=${text}>${text}</p>`)}
    <div class="bot">
      <div class="bot-parts">
        <${Card}>
          <${Switch} label=${t("bots.enabled")} checked=${given.enabled} disabled=${!keeps} onChange=${(enabled) => set({ enabled })} />
          <${TextField} label=${t("bots.name")} value=${given.name} onInput=${(name) => set({ name })} error=${wrongWith(work.error, "name")} maxlength="100" disabled=${!keeps} />
          <details open=${given.kind === "webhook"}><summary>${t("bots.where")} <${Where} bot=${{ ...bot.data, channels: given.channels }} rules=${rules.data?.items ?? []} /></summary>
            <div class="folder-form">
              <${Choices} label=${t("bots.channels")} hint=${t("bots.channels_hint")} options=${channelOptions()} value=${given.channels} onChange=${(channels) => keeps && set({ channels })} error=${wrongWith(work.error, "channels")} />
              ${given.kind !== "webhook" && html`<${Switch} label=${t("bots.automation")} hint=${t("bots.automation_hint")} checked=${given.automation} onChange=${(automation) => set({ automation })} />`}
            </div>
          </details>
        <//>
        <${Part} given=${given} set=${set} error=${work.error} bot=${bot} keeps=${keeps} />
      </div>
      <${Try} id=${bot.data.id} content=${given} />
    </div>
  <//>`;
}
