// The web chat of one website: its script tag, and how the chat box looks and behaves there.

import { ask } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Card, Problem, Select, Switch, TextArea, TextField, Waiting, toast, useChanged, useGet, useUnsaved, useWork, wrongWith } from "../ui/index.js";
import { Copy, Note } from "./copy.js";

// The origin of this page serves the plugin, too: one front door.
export function tagOf(account) {
  const start = account.webhook_url ? new URL(account.webhook_url).origin : location.origin;
  return `<script src="${start}/plugin/${encodeURIComponent(account.slug)}.js" async></script>`;
}

export function Website({ account }) {
  const page = `${location.origin}/chat/${encodeURIComponent(account.slug)}`;
  return html`<${Card} title=${t("channels.website")} hint=${t("channels.website_hint")}>
    <${Copy} label=${t("channels.script")} value=${tagOf(account)} lines=${2} />
    <p><a href=${page} target="_blank" rel="noopener">${t("channels.try_page")}</a></p>
    <details class="more-fields"><summary>${t("channels.look")}</summary><${Look} slug=${account.slug} /></details>
  <//>`;
}

function Look({ slug }) {
  const settings = useGet("/settings");
  if (settings.error) return html`<${Problem} error=${settings.error} retry=${settings.reload} />`;
  if (!settings.data) return html`<${Waiting} />`;
  return html`<${Form} key=${settings.etag} slug=${slug} settings=${settings} />`;
}

function Form({ slug, settings }) {
  const own = settings.data.plugins?.[slug];
  const [given, put] = useState(own ?? settings.data.plugin);
  const set = (name) => (value) => put((old) => ({ ...old, [name]: value }));
  const save = async (plugin) => {
    const { body, etag } = await ask("PATCH", "/settings", { plugins: { [slug]: plugin } }, { etag: settings.etag });
    settings.set(body, etag);
    toast(t("ui.saved"));
  };
  const work = useWork(save);
  const submit = (event) => {
    event.preventDefault();
    work.run(given);
  };
  useUnsaved(useChanged(given));
  const wrong = (name) => wrongWith(work.error, `plugins.${slug}.${name}`);
  const few = (name, ...values) => values.map((one) => [one, t(`channels.${name}.${one || "none"}`)]);
  const text = (name, more = {}) => html`<${TextField} label=${t(`channels.plugin.${name}`)} hint=${t(`channels.plugin.${name}_hint`)} value=${given[name]} onInput=${set(name)} error=${wrong(name)} ...${more} />`;
  const origins = (value) => set("origins")(value.split("\n").map((one) => one.trim()).filter((one, at, all) => one || at === all.length - 1));
  const form = (changes) => set("pre_chat")({ ...given.pre_chat, ...changes });
  const fields = ["title", "welcome", "launcher", "colour", "origins", "offline_text", "pre_chat"];
  return html`
    <${Note}>${t(own ? "channels.look_own" : "channels.look_shared")}<//>
    <form class="form" onSubmit=${submit}>
      ${text("title", { maxlength: 80 })}
      <${TextArea} label=${t("channels.plugin.welcome")} hint=${t("channels.plugin.welcome_hint")} value=${given.welcome} onInput=${set("welcome")} rows=${2} error=${wrong("welcome")} maxlength="1000" />
      ${text("launcher", { maxlength: 40 })}
      ${text("colour", { type: "color" })}
      <${Select} label=${t("channels.plugin.position")} value=${given.position} options=${few("position", "end", "start")} onChange=${set("position")} />
      <${Select} label=${t("channels.plugin.theme")} value=${given.theme} options=${few("theme", "auto", "light", "dark")} onChange=${set("theme")} />
      <${Select} label=${t("channels.plugin.language")} value=${given.language} options=${few("language", "", "en", "zh-Hant", "ar")} onChange=${set("language")} />
      <${Switch} label=${t("channels.plugin.sound")} checked=${given.sound} onChange=${set("sound")} />
      <${Select} label=${t("channels.plugin.pre_chat")} hint=${t("channels.plugin.pre_chat_hint")} value=${given.pre_chat.when} options=${few("when", "never", "offline", "always")} onChange=${(when) => form({ when })} />
      ${given.pre_chat.when !== "never" && html`<${Ask} fields=${given.pre_chat.fields} onChange=${(asked) => form({ fields: asked })} error=${wrong("pre_chat")} />`}
      <${Select} label=${t("channels.plugin.offline_when")} value=${given.offline_when} options=${few("offline_when", "hours", "nobody", "never")} onChange=${set("offline_when")} />
      <${Select} label=${t("channels.plugin.offline_mode")} value=${given.offline_mode} options=${few("offline_mode", "chat", "email")} onChange=${set("offline_mode")} />
      <${TextArea} label=${t("channels.plugin.offline_text")} value=${given.offline_text} onInput=${set("offline_text")} rows=${2} error=${wrong("offline_text")} maxlength="1000" />
      <${TextArea} label=${t("channels.plugin.origins")} hint=${t("channels.plugin.origins_hint")} value=${given.origins.join("\n")} onInput=${origins} rows=${2} error=${wrong("origins")} dir="ltr" />
      ${work.error && !fields.some(wrong) && html`<${Problem} error=${work.error} />`}
      <div class="form-end">
        <${Button} type="submit" kind="primary" busy=${work.busy}>${t("ui.save")}<//>
        ${own && html`<${Button} busy=${work.busy} onClick=${() => work.run(null)}>${t("channels.look_reset")}<//>`}
      </div>
    </form>`;
}

const KNOWN = ["name", "email", "phone"];

// Which of the known facts the form before a conversation asks for, and which it needs.
function Ask({ fields, onChange, error }) {
  const held = (id) => fields.find((one) => one.id === id);
  const value = (id) => (held(id) ? (held(id).required ? "needed" : "asked") : "none");
  const choose = (id) => (how) => {
    const others = fields.filter((one) => one.id !== id);
    const made = { id, label: held(id)?.label ?? "", required: how === "needed" };
    onChange(how === "none" ? others : held(id) ? fields.map((one) => (one.id === id ? made : one)) : [...others, made]);
  };
  return html`<div class="ask">${KNOWN.map((id) => html`<${Select} key=${id} label=${t(`channels.ask.${id}`)} value=${value(id)} options=${["none", "asked", "needed"].map((how) => [how, t(`channels.how.${how}`)])} onChange=${choose(id)} />`)}</div>
    ${error && html`<p class="wrong" role="alert">${error}</p>`}`;
}
