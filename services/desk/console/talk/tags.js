// Tags of the session: those it has, and another by its name.

import { html, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Dialog, Icon, IconButton, TextField, useGet } from "../ui/index.js";
import { tag } from "./actions.js";

export function TagDialog({ thread, onClose }) {
  const { tags } = thread.session.value;
  const known = useGet("/sessions?limit=1&list=bot_hosted,unassigned,assigned,ended");
  const [text, put] = useState("");
  const wanted = text.trim();
  const offered = Object.keys(known.data?.counts?.tags ?? {})
    .filter((one) => !tags.includes(one) && one.toLocaleLowerCase().includes(wanted.toLocaleLowerCase())).slice(0, 12);
  const add = async (one) => {
    if (one && (await tag(thread, [one], []))) put("");
  };
  return html`<${Dialog} title=${t("talk.tag.title")} onClose=${onClose} footer=${html`<${Button} onClick=${onClose}>${t("ui.close")}<//>`}>
    <ul class="talk-tags">${tags.map((one) => html`<li class="chip" key=${one}><bdi>${one}</bdi>
      <${IconButton} icon="x" size=${14} label=${t("talk.tag.take", { tag: one })} onClick=${() => tag(thread, [], [one])} /></li>`)}
      ${!tags.length && html`<li class="dim">${t("talk.tag.none")}</li>`}</ul>
    <form class="talk-row-form" onSubmit=${(event) => { event.preventDefault(); add(wanted); }}>
      <${TextField} label=${t("talk.tag.add")} value=${text} onInput=${put} maxlength=${60} autofocus autocomplete="off" />
      <${Button} type="submit" kind="primary" disabled=${!wanted}>${t("ui.add")}<//>
    </form>
    ${offered.length > 0 && html`<ul class="talk-tags" aria-label=${t("talk.tag.known")}>${offered.map((one) => html`<li key=${one}>
      <${Button} small onClick=${() => add(one)}><${Icon} name="plus" size=${13} /><bdi>${one}</bdi><//></li>`)}</ul>`}
  <//>`;
}
