// The bots: which there are, where each answers, and making one.

import { call, newKey } from "../frame/api.js";
import { html, useRef, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { go, href } from "../frame/router.js";
import { t } from "../frame/words.js";
import { Button, Dialog, Empty, Icon, Problem, Select, Table, TextField, Waiting, useGet, useWork, wrongWith } from "../ui/index.js";
import { SettingsPage } from "./frame.js";
import { channelName } from "./standard-scope.js";

const ICONS = { faq: "circle-question-mark", flow: "workflow", webhook: "webhook" };

export default function View() {
  const bots = useGet("/bots");
  const rules = useGet("/rules");
  const [open, put] = useState(false);
  const columns = [
    { name: "name", label: t("bots.name"), show: (bot) => html`<a class="strong tag-name" dir="auto" href=${href(`/settings/bots/${bot.id}`)}><${Icon} name=${ICONS[bot.kind]} size=${16} />${bot.name}</a>` },
    { name: "kind", label: t("bots.kind"), show: (bot) => t(`bots.kind.${bot.kind}`) },
    { name: "state", label: t("bots.state"), show: (bot) => html`<span class=${`chip ${bot.enabled ? "good" : ""}`}>${t(bot.enabled ? "bots.on" : "bots.off")}</span>` },
    { name: "where", label: t("bots.where"), show: (bot) => html`<${Where} bot=${bot} rules=${rules.data?.items ?? []} />` },
  ];
  return html`<${SettingsPage} title=${t("bots.title")} hint=${t("bots.hint")} actions=${html`<${Button} kind="primary" icon="plus" onClick=${() => put(true)}>${t("bots.new")}<//>`}>
    <${Problem} error=${bots.error} retry=${bots.reload} />
    ${!bots.data && !bots.error && html`<${Waiting} />`}
    ${bots.data?.items.length === 0 && html`<${Empty} icon="bot" title=${t("bots.none")}>${t("bots.none_hint")}<//>`}
    ${bots.data?.items.length > 0 && html`<${Table} caption=${t("bots.title")} columns=${columns} rows=${bots.data.items} />`}
    <p class="hint-text">${t("bots.chosen_hint")} <a href=${href("/settings/rules")}>${t("bots.to_rules")}</a> · <a href=${href("/settings/switches")}>${t("bots.to_switches")}</a></p>
    ${open && html`<${Create} onClose=${() => put(false)} />`}
  <//>`;
}

// Where a bot answers: rules that name it, and the channels that it is for.
export function Where({ bot, rules }) {
  const naming = rules.filter(({ actions }) => actions.some((one) => one.do === "bot" && one.bot === bot.id));
  return html`<span class="chips">
    ${bot.channels.length ? bot.channels.map((one) => html`<span class="chip" key=${one}>${channelName(one)}</span>`) : html`<span class="chip">${t("bots.every_channel")}</span>`}
    ${naming.map((rule) => html`<a class="chip" key=${rule.id} href=${href("/settings/rules")}><${Icon} name="route" size=${12} />${t("bots.rule", { name: rule.name || rule.id })}</a>`)}
  </span>`;
}

// The least that a new bot of each kind needs to be kept: switched off, until somebody has looked at it.
function firstContent({ name, kind, url }) {
  const content = {
    faq: { faq: [{ id: "hello", questions: [t("bots.sample_question")], keywords: [], language: "", answers: [t("bots.sample_answer")] }] },
    flow: {
      start: "hello",
      steps: [
        { id: "hello", say: t("bots.sample_hello"), choices: [{ title: t("bots.sample_human"), to: "human" }] },
        { id: "human", say: t("bots.sample_colleague"), hand_off: true },
      ],
    },
    webhook: { url },
  }[kind];
  return { name, kind, enabled: false, ...content };
}

function Create({ onClose }) {
  const [given, put] = useState({ name: "", kind: "faq", url: "" });
  const [made, show] = useState(null); // a webhook bot, whose secret is shown once
  const key = useRef(newKey());
  const set = (name) => (value) => {
    key.current = newKey();
    put({ ...given, [name]: value });
  };
  const work = useWork(() => call("POST", "/bots", firstContent(given), { key: key.current }));
  const wrong = (name) => wrongWith(work.error, name);
  const submit = async (event) => {
    event.preventDefault();
    const bot = await work.run();
    if (!bot) return;
    if (bot.secret) show(bot);
    else go(`/settings/bots/${bot.id}`);
  };
  if (made) return html`<${Secret} secret=${made.secret} onClose=${() => go(`/settings/bots/${made.id}`)} />`;
  const kinds = ["faq", "flow", ...(may("admin") ? ["webhook"] : [])];
  const footer = html`<${Button} onClick=${onClose}>${t("ui.cancel")}<//><${Button} kind="primary" busy=${work.busy} onClick=${submit}>${t("bots.make")}<//>`;
  return html`<${Dialog} title=${t("bots.new")} onClose=${onClose} footer=${footer}>
    <form class="form" onSubmit=${submit}>
      <${TextField} autofocus required label=${t("bots.name")} value=${given.name} onInput=${set("name")} error=${wrong("name")} maxlength="100" />
      <${Select} label=${t("bots.kind")} hint=${t(`bots.kind_hint.${given.kind}`)} value=${given.kind} options=${kinds.map((one) => [one, t(`bots.kind.${one}`)])} onChange=${set("kind")} />
      ${given.kind === "webhook" && html`<${TextField} type="url" label=${t("bots.url")} hint=${t("bots.url_hint")} value=${given.url} onInput=${set("url")} error=${wrong("url")} dir="ltr" />`}
      ${!wrong("name") && !wrong("url") && html`<${Problem} error=${work.error} />`}
      <p class="hint-text">${t("bots.begins_off")}</p>
      <button type="submit" hidden></button>
    </form>
  <//>`;
}

// A secret that is shown once: it can be copied now, and never again.
export function Secret({ secret, onClose }) {
  const [copied, put] = useState(false);
  const copy = () => navigator.clipboard?.writeText(secret).then(() => put(true), () => {});
  return html`<${Dialog} title=${t("bots.secret")} onClose=${onClose} footer=${html`<${Button} kind="primary" onClick=${onClose}>${t("bots.secret_kept")}<//>`}>
    <p>${t("bots.secret_hint")}</p>
    <p class="secret"><code dir="ltr">${secret}</code><${Button} small icon=${copied ? "check" : "copy"} onClick=${copy}>${t(copied ? "ui.copied" : "ui.copy")}<//></p>
  <//>`;
}
