// Dialogs by the browser's own <dialog>: it keeps the focus inside, and Esc closes it. And the
// question before what was not saved is lost.

import { classes, html, signal, useEffect, useId, useRef } from "../frame/html.js";
import { hold } from "../frame/router.js";
import { t } from "../frame/words.js";
import { Button, IconButton } from "./button.js";

// *unsaved*: Esc, the cross and a click beside it ask first; a Cancel in the footer means it.
export function Dialog({ title, onClose, children, footer, wide, side, unsaved = false }) {
  const box = useRef(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    box.current.querySelector("[autofocus]")?.focus();
    return () => before?.isConnected && before.focus?.();
  }, []);
  useUnsaved(unsaved);
  const close = async () => {
    if (!unsaved || (await mayLose())) onClose();
  };
  const outside = (event) => {
    if (event.target === box.current) close();
  };
  const cancelled = (event) => {
    event.preventDefault();
    close();
  };
  return html`<dialog
    ref=${box}
    class=${classes("dialog", wide && "wide", side && "side")}
    aria-labelledby=${id}
    onCancel=${cancelled}
    onMouseDown=${outside}
  >
    <div class="dialog-box">
      <header>
        <h2 id=${id}>${title}</h2>
        <${IconButton} icon="x" label=${t("ui.close")} onClick=${close} />
      </header>
      <div class="dialog-body">${children}</div>
      ${footer && html`<footer>${footer}</footer>`}
    </div>
  </dialog>`;
}

const asked = signal(null);

// Asks; answers true when the action was chosen. {title, text, action, danger, cancel}.
export function confirm(question) {
  return new Promise((done) => {
    asked.value = { ...question, done };
  });
}

function mayLose() {
  return confirm({ title: t("ui.unsaved"), text: t("ui.unsaved_text"), action: t("ui.unsaved_leave"), cancel: t("ui.unsaved_stay"), danger: true });
}

// While *unsaved*, leaving the view asks first, and the browser does before the page is closed.
export function useUnsaved(unsaved) {
  useEffect(() => {
    if (!unsaved) return undefined;
    const ask = (event) => event.preventDefault();
    addEventListener("beforeunload", ask);
    const end = hold(mayLose);
    return () => {
      removeEventListener("beforeunload", ask);
      end();
    };
  }, [unsaved]);
}

// Whether *given* is another than it was at first, by its contents.
export function useChanged(given) {
  const now = JSON.stringify(given);
  const first = useRef(now);
  return now !== first.current;
}

export function Asking() {
  const question = asked.value;
  if (!question) return null;
  const answer = (value) => {
    asked.value = null;
    question.done(value);
  };
  const footer = html`
    <${Button} onClick=${() => answer(false)}>${question.cancel ?? t("ui.cancel")}<//>
    <${Button} kind=${question.danger ? "danger" : "primary"} autofocus onClick=${() => answer(true)}>
      ${question.action}
    <//>
  `;
  return html`<${Dialog} title=${question.title} onClose=${() => answer(false)} footer=${footer}>
    ${question.text && html`<p>${question.text}</p>`}${question.more}
  <//>`;
}
