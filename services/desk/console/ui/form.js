// Fields of forms: a label, a hint, what is wrong with it, and the control.

import { classes, html, useId } from "../frame/html.js";

// `children` is a function of {id, describedby, invalid} that returns the control.
export function Field({ label, hint, error, children, inline, class: more }) {
  const id = useId();
  const help = hint ? `${id}-hint` : "";
  const wrong = error ? `${id}-error` : "";
  const given = { id, "aria-describedby": classes(help, wrong) || undefined, "aria-invalid": error ? "true" : undefined };
  return html`<div class=${classes("field", inline && "inline", more)}>
    <label for=${id}>${label}</label>
    ${children(given)}
    ${hint && html`<p class="hint-text" id=${help}>${hint}</p>`}
    ${error && html`<p class="wrong" id=${wrong} role="alert">${error}</p>`}
  </div>`;
}

export function TextField({ label, hint, error, value, onInput, type = "text", class: more, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} error=${error} class=${more}>
    ${(given) => html`<input ...${given} ...${rest} type=${type} value=${value ?? ""} onInput=${(event) => onInput(event.target.value)} />`}
  <//>`;
}

export function TextArea({ label, hint, error, value, onInput, rows = 4, class: more, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} error=${error} class=${more}>
    ${(given) => html`<textarea ...${given} ...${rest} rows=${rows} value=${value ?? ""} onInput=${(event) => onInput(event.target.value)} />`}
  <//>`;
}

// options: [[value, text], ...]
export function Select({ label, hint, error, value, options, onChange, class: more, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} error=${error} class=${more}>
    ${(given) => html`<select ...${given} ...${rest} value=${value ?? ""} onChange=${(event) => onChange(event.target.value)}>
      ${options.map(([one, text]) => html`<option key=${one} value=${one} selected=${one === value}>${text}</option>`)}
    </select>`}
  <//>`;
}

export function Switch({ label, hint, checked, onChange, disabled, busy }) {
  const id = useId();
  return html`<div class="switch-row">
    <button
      type="button" role="switch" id=${id} class="switch"
      aria-checked=${String(Boolean(checked))} aria-busy=${busy ? "true" : undefined}
      aria-labelledby=${`${id}-label`} aria-describedby=${hint ? `${id}-hint` : undefined}
      disabled=${disabled} onClick=${() => !busy && onChange(!checked)}
    ><span class="knob"></span></button>
    <div>
      <label id=${`${id}-label`} for=${id}>${label}</label>
      ${hint && html`<p class="hint-text" id=${`${id}-hint`}>${hint}</p>`}
    </div>
  </div>`;
}

export function Checkbox({ label, checked, onChange, ...rest }) {
  const id = useId();
  return html`<label class="check" for=${id}>
    <input ...${rest} id=${id} type="checkbox" checked=${checked} onChange=${(event) => onChange(event.target.checked)} />
    <span>${label}</span>
  </label>`;
}

// Several of a few: options [[value, text], ...], value a list.
export function Choices({ label, hint, options, value = [], onChange, error }) {
  const toggle = (one, on) => onChange(on ? [...value, one] : value.filter((other) => other !== one));
  return html`<fieldset class="choices">
    <legend>${label}</legend>
    ${hint && html`<p class="hint-text">${hint}</p>`}
    ${options.map(
      ([one, text]) => html`<${Checkbox} key=${one} label=${text} checked=${value.includes(one)} onChange=${(on) => toggle(one, on)} />`,
    )}
    ${error && html`<p class="wrong" role="alert">${error}</p>`}
  </fieldset>`;
}

// What a problem says of a field, for `error` of that field.
export function wrongWith(error, field) {
  const at = error?.problem?.facts?.field;
  if (!at || !(at === field || at.startsWith(`${field}.`) || at.startsWith(`${field}[`))) return "";
  return error.problem.detail;
}
