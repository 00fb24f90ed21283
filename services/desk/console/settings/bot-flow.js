// A flow: its steps as a picture, and the chosen one beside it to be edited.

import { classes, html, useEffect, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Card, Icon, wrongWith } from "../ui/index.js";
import { HIGH, WIDE, edgesOf, layout, pathOf, problemsOf } from "./bot-graph.js";
import { Step } from "./bot-step.js";
import { walked } from "./bot-walked.js";

const BLANK = { say: "", choices: [], ask: "", to: "", when: [], hand_off: false, end: false, wait_s: 0, late_to: "" };

function freshId(steps) {
  for (let n = steps.length + 1; ; n++) if (!steps.some(({ id }) => id === `step${n}`)) return `step${n}`;
}

// The steps after one got another id: whatever names it goes along.
export function renamed(steps, before, after) {
  const other = (id) => (id === before ? after : id);
  return steps.map((step) => ({
    ...step, id: other(step.id), to: other(step.to), late_to: other(step.late_to),
    choices: step.choices.map((choice) => ({ ...choice, to: other(choice.to) })),
    when: step.when.map(([name, value, to]) => [name, value, other(to)]),
  }));
}

export function Flow({ given, set, error }) {
  const { steps, start } = given;
  const [chosen, choose] = useState(start);
  const at = Math.max(0, steps.findIndex(({ id }) => id === chosen));
  const step = steps[at];
  const problems = problemsOf(steps, start);
  const field = error?.problem?.facts?.field ?? "";
  useEffect(() => {
    const [, place] = field.match(/^steps\.(\d+)/) ?? [];
    if (place && steps[place]) choose(steps[place].id);
  }, [error]);
  const change = (more) => set({ steps: steps.map((one, place) => (place === at ? { ...one, ...more } : one)) });
  const add = (id = freshId(steps)) => {
    set({ steps: [...steps, { ...BLANK, id }] });
    choose(id);
  };
  const rename = (id) => {
    if (!id || steps.some((one) => one.id === id)) return false;
    const place = given.layout?.[step.id];
    const { [step.id]: _, ...rest } = given.layout ?? {};
    set({ steps: renamed(steps, step.id, id), start: start === step.id ? id : start, layout: place ? { ...rest, [id]: place } : rest });
    choose(id);
    return true;
  };
  const remove = () => {
    const { [step.id]: _, ...rest } = given.layout ?? {};
    set({ steps: steps.filter((one) => one !== step), layout: rest });
    choose(start);
  };
  const bad = steps.filter(({ id }) => problems[id].length);
  return html`<${Card} title=${t("bots.flow")} hint=${t("bots.flow_hint")} actions=${html`<${Button} icon="plus" onClick=${() => add()}>${t("bots.step_add")}<//>`}>
    ${bad.length > 0 && html`<p class="words-warned" role="status"><${Icon} name="triangle-alert" size=${15} /> ${t("bots.flow_problems", { n: bad.length })} ${bad.map(({ id }) => html`<button key=${id} type="button" class="as-link" onClick=${() => choose(id)}>${id}</button> `)}</p>`}
    <${Picture} steps=${steps} start=${start} problems=${problems} chosen=${step?.id} choose=${choose} />
    ${wrongWith(error, "start") && html`<p class="wrong" role="alert">${wrongWith(error, "start")}</p>`}
    ${step && html`<${Step} key=${at} step=${step} steps=${steps} first=${step.id === start} problems=${problems[step.id]} wrong=${field === `steps.${at}` || field.startsWith(`steps.${at}.`) ? error.problem.detail : ""} onChange=${change} onRename=${rename} onRemove=${remove} onStart=${() => set({ start: step.id })} onAdd=${add} />`}
  <//>`;
}

function Picture({ steps, start, problems, chosen, choose }) {
  const { places, width, height } = layout(steps, start);
  const went = new Set(walked.value);
  return html`<div class="flow-box" role="group" aria-label=${t("bots.flow_picture")} dir="ltr" tabindex="0">
    <div class="flow-picture" style=${{ width: `${width}px`, height: `${height}px` }}>
      <svg width=${width + 40} height=${height} aria-hidden="true">
        <defs><marker id="flow-head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" /></marker></defs>
        ${steps.flatMap((step) =>
          edgesOf(step).filter(({ to }) => places[to]).map(({ to, kind }, nth) => html`<path key=${`${step.id}-${nth}`} class=${classes("edge", kind, (step.id === chosen || to === chosen) && "near")} d=${pathOf(places[step.id], places[to], Math.min(nth, 5))} marker-end="url(#flow-head)" />`),
        )}
      </svg>
      ${steps.map((step) => html`<button
        key=${step.id} type="button" class=${classes("flow-node", went.has(step.id) && "went", problems[step.id].length && "bad")} aria-pressed=${String(step.id === chosen)}
        style=${{ left: `${places[step.id].x}px`, top: `${places[step.id].y}px`, width: `${WIDE}px`, height: `${HIGH}px` }}
        aria-label=${spoken(step, problems[step.id])} onClick=${() => choose(step.id)}
      >
        <strong>${step.id === start && html`<${Icon} name="play" size=${12} />`}${step.id}${problems[step.id].length > 0 && html`<${Icon} name="triangle-alert" size=${13} />`}${step.hand_off && html`<${Icon} name="headphones" size=${13} />`}${step.end && html`<${Icon} name="flag" size=${13} />`}</strong>
        <span class="words-excerpt" dir="auto">${step.say || (step.when.length ? step.when.map(([name, value]) => `${name} = ${value}`).join(", ") : "")}</span>
        <small>${step.choices.map(({ title }) => `[${title}]`).join(" ")}${step.ask ? `? ${step.ask}` : ""}</small>
      </button>`)}
    </div>
  </div>`;
}

// A step for readers, who do not see the arrows.
function spoken(step, problems) {
  const leads = edgesOf(step).map(({ to }) => to);
  return [
    step.id, step.say, leads.length && t("bots.leads_to", { steps: [...new Set(leads)].join(", ") }),
    step.hand_off && t("bots.hand_off"), step.end && t("bots.end"), ...problems.map((one) => t(`bots.problem.${one}`)),
  ].filter(Boolean).join(". ");
}
