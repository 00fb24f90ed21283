// A bot tried as a chat: what it would say to what a visitor writes; nothing is sent.

import { call } from "../frame/api.js";
import { html, useEffect, useRef, useState } from "../frame/html.js";
import { has, t } from "../frame/words.js";
import { Button, Icon, IconButton, TextField, inWords } from "../ui/index.js";
import { walked } from "./bot-walked.js";

export function Try({ id, content }) {
  const [talk, put] = useState([]); // {mine: text} or {tried: answer}
  const [text, type] = useState("");
  const [language, speak] = useState("");
  const [busy, wait] = useState(false);
  const [wrong, tell] = useState("");
  const end = useRef(null);
  const state = talk.findLast(({ tried }) => tried)?.tried.state ?? {};
  useEffect(() => end.current?.scrollIntoView?.({ block: "nearest" }), [talk]);
  const restart = () => {
    put([]);
    tell("");
    walked.value = [];
  };
  const say = async (shown, more) => {
    wait(true);
    tell("");
    put((old) => [...old, { mine: shown }]);
    try {
      const tried = await call("POST", `/bots/${id}/try`, { ...more, state, language, content });
      walked.value = tried.steps;
      put((old) => [...old, { tried }]);
    } catch (failed) {
      tell(inWords(failed));
    }
    wait(false);
  };
  const submit = (event) => {
    event.preventDefault();
    const said = text.trim();
    if (!said || busy) return;
    type("");
    say(said, { text: said });
  };
  const last = talk.at(-1)?.tried;
  return html`<section class="try" aria-label=${t("bots.try")}>
    <header><h2>${t("bots.try")}</h2><${IconButton} icon="rotate-ccw" label=${t("bots.try_again")} onClick=${restart} /></header>
    <div class="try-talk" role="log" aria-live="polite" tabindex="0" aria-label=${t("bots.try_log")}>
      ${!talk.length && html`<p class="hint-text">${t("bots.try_hint")}</p>`}
      ${talk.map((one, at) => (one.tried ? html`<${Said} key=${at} tried=${one.tried} last=${at === talk.length - 1} onTap=${(choice) => say(choice.title, choice.payload ? { payload: choice.payload } : { text: choice.title })} />` : html`<p key=${at} class="bubble visitor" dir="auto">${one.mine}</p>`))}
      ${wrong && html`<p class="wrong" role="alert">${wrong}</p>`}
      <span ref=${end}></span>
    </div>
    ${last?.wait_s > 0 && html`<${Button} small kind="quiet" icon="hourglass" onClick=${() => say(t("bots.try_late"), { late: true })}>${t("bots.try_late")}<//>`}
    <form onSubmit=${submit}>
      <${TextField} class="apart-label" label=${t("bots.try_text")} placeholder=${t("bots.try_text")} value=${text} onInput=${type} maxlength="4000" dir="auto" autocomplete="off" />
      <${Button} kind="primary" type="submit" icon="send" busy=${busy} aria-label=${t("bots.try_send")} />
    </form>
    ${content.kind === "faq" && html`<${TextField} class="inline" label=${t("bots.try_language")} value=${language} onInput=${speak} maxlength="35" dir="ltr" placeholder="en" />`}
  </section>`;
}

function Said({ tried, last, onTap }) {
  const { matched } = tried;
  const notes = [
    matched && t("bots.matched", { how: t(`bots.how.${matched.how}`), text: matched.matched, score: matched.score }),
    tried.hand_off && t("bots.hands_off"), tried.end && t("bots.ends"),
    tried.because && (has(`bots.because.${tried.because}`) ? t(`bots.because.${tried.because}`) : tried.because.replaceAll("_", " ")),
  ].filter(Boolean);
  return html`<div class="try-said">
    ${tried.says.map((part, at) => html`<div key=${at}>
      <p class="bubble" dir="auto">${part.text ?? part.name ?? part.type}</p>
      ${part.choices && html`<div class="chips">${part.choices.map((choice) => html`<button key=${choice.title} type="button" class="button small" disabled=${!last} onClick=${() => onTap(choice)}>${choice.title}</button>`)}</div>`}
    </div>`)}
    ${tried.attachments.length > 0 && html`<p class="dim"><${Icon} name="paperclip" size=${13} /> ${t("bots.files", { n: tried.attachments.length })}</p>`}
    ${tried.asks && html`<details><summary>${t("bots.asks")}</summary><pre dir="ltr" tabindex="0">${JSON.stringify(tried.asks, null, 2)}</pre></details>`}
    ${notes.map((text) => html`<p class="dim note-line" key=${text}>${text}</p>`)}
  </div>`;
}
