// One step of a flow: what it says, the buttons it offers, what it asks, and where it leads.

import { html, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Field, Icon, IconButton, Select, TextField } from "../ui/index.js";
import { TextWithVariables } from "./standard-text.js";

const VARIABLES = ["contact.name", "contact.email", "contact.phone", "contact.language"];
const WAYS = ["next", "buttons", "ask", "hand_off", "end"];

// How a step goes on, by its fields.
function wayOf(step) {
  if (step.hand_off) return "hand_off";
  if (step.end) return "end";
  if (step.choices.length) return "buttons";
  return step.ask ? "ask" : "next";
}

export function Step({ step, steps, first, problems, wrong, onChange, onRename, onRemove, onStart, onAdd }) {
  const [way, turn] = useState(wayOf(step));
  const [id, name] = useState(step.id);
  const taken = id !== step.id && steps.some((one) => one.id === id);
  const fresh = () => {
    let n = steps.length + 1;
    while (steps.some((one) => one.id === `step${n}`)) n += 1;
    return `step${n}`;
  };
  const go = (next) => {
    turn(next);
    const none = { choices: [], ask: "", hand_off: false, end: false };
    const kept = { to: next === "hand_off" || next === "end" ? "" : step.to, ...(next === "buttons" || next === "ask" ? {} : { wait_s: 0, late_to: "" }) };
    const more = { buttons: { choices: [{ title: "", to: steps[0].id }] }, ask: { ask: step.ask || "answer" }, hand_off: { hand_off: true, when: [] }, end: { end: true, when: [] }, next: {} }[next];
    onChange({ ...none, ...kept, ...more });
  };
  const target = (label, value, put, empty) => html`<${Select}
    label=${label} value=${value} options=${[["", empty ?? t("bots.nowhere")], ...steps.map((one) => [one.id, one.id]), ...(value && !steps.some((one) => one.id === value) ? [[value, t("bots.not_there", { id: value })]] : [])]} onChange=${put}
  />`;
  const choice = (at, more) => onChange({ choices: step.choices.map((one, place) => (place === at ? { ...one, ...more } : one)) });
  const when = (at, place, value) => onChange({ when: step.when.map((row, nth) => (nth === at ? row.map((cell, n) => (n === place ? value : cell)) : row)) });
  const waits = way === "buttons" || way === "ask";
  return html`<section class="step" aria-label=${t("bots.step", { id: step.id })}>
    <header class="step-head">
      <h3><${Icon} name="message-square" size=${16} /> ${t("bots.step", { id: step.id })}</h3>
      ${first ? html`<span class="chip good">${t("bots.is_start")}</span>` : html`<${Button} small onClick=${onStart}>${t("bots.make_start")}<//><${Button} small kind="quiet" icon="trash" onClick=${onRemove}>${t("bots.step_remove")}<//>`}
    </header>
    ${problems.map((one) => html`<p class="words-warned" key=${one}><${Icon} name="triangle-alert" size=${14} /> ${t(`bots.problem.${one}`)}</p>`)}
    ${wrong && html`<p class="wrong" role="alert">${wrong}</p>`}
    <div class="words-two">
      <${TextField} label=${t("bots.step_id")} value=${id} onInput=${name} onBlur=${() => { if (id !== step.id && !onRename(id.trim())) name(step.id); }} error=${taken ? t("bots.step_taken") : ""} dir="ltr" maxlength="60" />
      <${Select} label=${t("bots.way")} value=${way} options=${WAYS.map((one) => [one, t(`bots.way.${one}`)])} onChange=${go} />
    </div>
    <${TextWithVariables} label=${t("bots.say")} rows=${3} value=${step.say} names=${VARIABLES} onInput=${(say) => onChange({ say })} />
    ${way === "buttons" && html`<div class="rows" role="group" aria-label=${t("bots.buttons")}>
      ${step.choices.map((one, at) => html`<div class="button-row" key=${at}>
        <${TextField} label=${t("bots.button_title", { n: at + 1 })} value=${one.title} onInput=${(title) => choice(at, { title })} maxlength="80" dir="auto" />
        ${target(t("bots.leads"), one.to, (to) => choice(at, { to }))}
        <${IconButton} icon="trash" label=${t("bots.button_remove", { n: at + 1 })} onClick=${() => onChange({ choices: step.choices.filter((_, place) => place !== at) })} />
      </div>`)}
      <div class="chips"><${Button} small icon="plus" onClick=${() => onChange({ choices: [...step.choices, { title: "", to: "" }] })}>${t("bots.button_add")}<//></div>
    </div>`}
    ${way === "ask" && html`<${TextField} label=${t("bots.ask")} hint=${t("bots.ask_hint")} value=${step.ask} onInput=${(ask) => onChange({ ask })} dir="ltr" maxlength="60" />`}
    ${(way === "next" || way === "ask") && html`
      ${step.when.map(([variable, value, to], at) => html`<div class="button-row" key=${at}>
        <${TextField} label=${t("bots.when_variable")} value=${variable} onInput=${(one) => when(at, 0, one)} dir="ltr" />
        <${TextField} label=${t("bots.when_value")} value=${value} onInput=${(one) => when(at, 1, one)} dir="auto" />
        ${target(t("bots.leads"), to, (one) => when(at, 2, one))}
        <${IconButton} icon="trash" label=${t("bots.when_remove", { n: at + 1 })} onClick=${() => onChange({ when: step.when.filter((_, place) => place !== at) })} />
      </div>`)}
      <div class="words-two">${target(t(step.when.length ? "bots.otherwise" : "bots.then"), step.to, (to) => onChange({ to }))}</div>
      <div class="chips"><${Button} small icon="git-branch" onClick=${() => onChange({ when: [...step.when, ["", "", ""]] })}>${t("bots.when_add")}<//></div>`}
    ${waits && html`<div class="words-two">
      <${Field} label=${t("bots.wait")} hint=${t("bots.wait_hint")}>${(field) => html`<input ...${field} type="number" min="0" max="10080" value=${step.wait_s ? step.wait_s / 60 : ""} onInput=${(event) => onChange({ wait_s: Math.round(60 * Number(event.target.value)) })} />`}<//>
      ${step.wait_s > 0 && target(t("bots.late"), step.late_to, (late_to) => onChange({ late_to }), t("bots.late_human"))}
    </div>`}
    <div class="chips"><${Button} small icon="plus" onClick=${() => onAdd(fresh())}>${t("bots.step_add")}<//></div>
  </section>`;
}
