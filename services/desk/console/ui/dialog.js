// Dialogs by the browser's own <dialog>: it keeps the focus inside, and Esc closes it.

import { classes, html, signal, useEffect, useId, useRef } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, IconButton } from "./button.js";

export function Dialog({ title, onClose, children, footer, wide, side }) {
  const box = useRef(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    box.current.querySelector("[autofocus]")?.focus();
    return () => before?.isConnected && before.focus?.();
  }, []);
  const outside = (event) => {
    if (event.target === box.current) onClose();
  };
  const cancelled = (event) => {
    event.preventDefault();
    onClose();
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
        <${IconButton} icon="x" label=${t("ui.close")} onClick=${onClose} />
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
