// Where Relaydesk is named, and how the chat window looks: with a preview of both.

import { html, useEffect, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Card, Checkbox, Problem, Select, Switch, TextArea, TextField, Waiting, toast, useUnsaved, useWork, wrongWith } from "../ui/index.js";
import { ChatPreview, MailPreview } from "./branding_preview.js";
import { SettingsPage } from "./frame.js";
import { Conflict, alike, useLastChanges, useSettings } from "./settings_data.js";
import { LastChange } from "./switch_row.js";
import { lines } from "./switch_editors.js";

export default function BrandingView() {
  const live = useSettings();
  const last = useLastChanges(live.etag);
  return html`<${SettingsPage} title=${t("settings.nav.branding")} hint=${t("switches.branding.hint")}>
    ${live.error && html`<${Problem} error=${live.error} retry=${live.reload} />`}
    ${!live.settings && live.loading && html`<${Waiting} />`}
    ${live.settings && html`<${Branding} live=${live} last=${last} />`}
  <//>`;
}

function Branding({ live, last }) {
  const { remove_branding: removed, plugin } = live.settings;
  const [draft, put] = useState(plugin);
  useEffect(() => put(plugin), [JSON.stringify(plugin)]);
  return html`<div class="branding">
    <div class="branding-form">
      <${Card} title=${t("switches.branding.name")}>
        <${Remove} name="widget" live=${live} /><${Remove} name="email" live=${live} />
        <${LastChange} last=${last.remove_branding} />
      <//>
      <${Window} live=${live} draft=${draft} put=${put} last=${last} />
    </div>
    <div class="branding-previews">
      <${ChatPreview} plugin=${draft} removed=${removed.widget} />
      <${MailPreview} removed=${removed.email} />
    </div>
  </div>`;
}

function Remove({ name, live }) {
  const work = useWork((value) => live.save({ remove_branding: { [name]: value } }, [`remove_branding.${name}`]));
  const save = async (value) => (await work.run(value)) && toast(t("switches.saved", { name: t(`switches.branding.${name}`) }));
  return html`<${Switch} label=${t(`switches.branding.${name}`)} hint=${t(`switches.branding.${name}.hint`)} checked=${live.settings.remove_branding[name]} busy=${work.busy} onChange=${save} />
    <${Wrong} work=${work} />`;
}

function Wrong({ work }) {
  if (work.error instanceof Conflict) return html`<p class="wrong" role="alert">${t("switches.conflict.other")}</p>`;
  return html`<${Problem} error=${work.error} />`;
}

const CHOICES = { position: ["end", "start"], theme: ["auto", "light", "dark"], language: ["", "en", "zh-Hant", "ar"], offline_when: ["hours", "nobody", "never"], offline_mode: ["chat", "email"] };

function Window({ live, draft, put, last }) {
  const { plugin } = live.settings;
  const changed = Object.fromEntries(Object.entries(draft).filter(([name, value]) => !alike(value, plugin[name])));
  const names = Object.keys(changed);
  useUnsaved(names.length > 0);
  const work = useWork(() => live.save({ plugin: changed }, names.map((name) => `plugin.${name}`)));
  const set = (name) => (value) => put({ ...draft, [name]: value });
  const error = (name) => wrongWith(work.error, `plugin.${name}`) || wrongWith(work.error, `settings.plugin.${name}`);
  const text = (name, most) => html`<${TextField} label=${t(`switches.plugin.${name}`)} hint=${t("switches.plugin.empty")} maxlength=${most} value=${draft[name]} error=${error(name)} onInput=${set(name)} />`;
  const choice = (name) => html`<${Select} label=${t(`switches.plugin.${name}`)} value=${draft[name]} options=${CHOICES[name].map((one) => [one, t(`switches.plugin.${name}.${one || "page"}`)])} onChange=${set(name)} />`;
  const submit = async (event) => {
    event.preventDefault();
    if (names.length && (await work.run())) toast(t("switches.saved", { name: t("switches.plugin") }));
  };
  return html`<${Card} title=${t("switches.plugin")} hint=${t("switches.plugin.hint")}>
    <form class="form" onSubmit=${submit}>
      ${text("title", 80)} ${text("launcher", 40)}
      <${TextArea} rows=${2} label=${t("switches.plugin.welcome")} hint=${t("switches.plugin.empty")} maxlength="1000" value=${draft.welcome} error=${error("welcome")} onInput=${set("welcome")} />
      <${TextField} type="color" label=${t("switches.plugin.colour")} value=${draft.colour} error=${error("colour")} onInput=${set("colour")} />
      <div class="two">${choice("position")} ${choice("theme")} ${choice("language")}</div>
      <${Checkbox} label=${t("switches.plugin.sound")} checked=${draft.sound} onChange=${set("sound")} />
      <div class="two">${choice("offline_when")} ${choice("offline_mode")}</div>
      <${TextArea} rows=${2} label=${t("switches.plugin.offline_text")} hint=${t("switches.plugin.empty")} maxlength="1000" value=${draft.offline_text} error=${error("offline_text")} onInput=${set("offline_text")} />
      <${PreChat} value=${draft.pre_chat} onChange=${set("pre_chat")} error=${error("pre_chat")} />
      <${TextArea} rows=${2} label=${t("switches.plugin.origins")} hint=${t("switches.plugin.origins.hint")} value=${draft.origins.join("\n")} error=${error("origins")} onInput=${(value) => set("origins")(lines(value))} />
      ${work.error && !["title", "launcher", "welcome", "colour", "offline_text", "pre_chat", "origins"].some(error) && html`<${Wrong} work=${work} />`}
      <div class="form-end"><${Button} type="submit" kind=${names.length ? "primary" : ""} disabled=${!names.length} busy=${work.busy}>${t("ui.save")}<//>
        ${names.length > 0 && html`<${Button} onClick=${() => put(plugin)}>${t("ui.cancel")}<//>`}</div>
      <${LastChange} last=${last.plugin} />
    </form>
  <//>`;
}

function PreChat({ value, onChange, error }) {
  const ask = (id, on) => onChange({ ...value, fields: on ? [...value.fields, { id, label: "", required: false }] : value.fields.filter((one) => one.id !== id) });
  const need = (id, required) => onChange({ ...value, fields: value.fields.map((one) => (one.id === id ? { ...one, required } : one)) });
  const ids = [...new Set(["name", "email", "phone", ...value.fields.map(({ id }) => id)])];
  return html`<fieldset class="choices"><legend>${t("switches.plugin.pre_chat")}</legend>
    <${Select} label=${t("switches.plugin.pre_chat.when")} value=${value.when} options=${["never", "offline", "always"].map((one) => [one, t(`switches.plugin.pre_chat.${one}`)])} onChange=${(when) => onChange({ ...value, when })} />
    ${value.when !== "never" && ids.map((id) => {
      const field = value.fields.find((one) => one.id === id);
      return html`<div key=${id} class="two"><${Checkbox} label=${field?.label || t(`switches.plugin.field.${id}`)} checked=${Boolean(field)} onChange=${(on) => ask(id, on)} />
        ${field && html`<${Checkbox} label=${t("switches.plugin.required", { name: field.label || t(`switches.plugin.field.${id}`) })} checked=${field.required} onChange=${(on) => need(id, on)} />`}</div>`;
    })}
    ${error && html`<p class="wrong" role="alert">${error}</p>`}
  </fieldset>`;
}
