// One rule in the list: its place, its sentence, whether it is tried.

import { classes, html } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Icon, IconButton, Menu, Switch } from "../ui/index.js";
import { ruleWords } from "./rule_words.js";

export function RuleRow({ rule, at, count, known, dragged, onEdit, onMove, onDelete, onCopy, onEnable, ...drag }) {
  const name = rule.name || rule.id;
  const keyed = (event) => {
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: count - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    onMove(to);
  };
  return html`<li class=${classes("rule", !rule.enabled && "off", dragged && "dragged")} draggable="true" onDragStart=${drag.onDragStart} onDragOver=${drag.onDragOver} onDragEnd=${drag.onDragEnd} onDrop=${(event) => event.preventDefault()}>
    <button type="button" class="icon-button grip" aria-label=${t("rules.grip", { name, n: at + 1, of: count })} title=${t("rules.grip.tip")} onKeyDown=${keyed}><${Icon} name="grip-vertical" /></button>
    <span class="rule-number" aria-hidden="true">${at + 1}</span>
    <div class="rule-text">
      <button type="button" class="rule-name" onClick=${onEdit}>${name}</button>
      <${Sentence} rule=${rule} known=${known} />
    </div>
    <${Switch} label=${html`<span class="apart">${t("rules.enabled", { name })}</span>`} checked=${rule.enabled} onChange=${onEnable} />
    <${IconButton} icon="pencil" label=${t("rules.edit", { name })} onClick=${onEdit} />
    <${Menu} label=${t("rules.more", { name })} items=${[
      { label: t("rules.up"), icon: "chevron-up", hidden: at === 0, run: () => onMove(at - 1) },
      { label: t("rules.down"), icon: "chevron-down", hidden: at === count - 1, run: () => onMove(at + 1) },
      { label: t("rules.copy"), icon: "copy", run: onCopy },
      { label: t("ui.delete"), icon: "trash", danger: true, run: onDelete },
    ]} />
  </li>`;
}

export function Sentence({ rule, known }) {
  const { when, conditions, actions, last } = ruleWords(rule, known);
  return html`<div class="sentence">
    <p>${when}${conditions.length > 0 && html` <b>${t("rules.if")}</b> ${joined(conditions)}`}</p>
    <p><b>${t("rules.then")}</b> ${actions.length ? joined(actions) : t("rules.nothing")}${last && html` <span class="chip">${t("rules.last")}</span>`}</p>
  </div>`;
}

function joined(texts) {
  return texts.map((text, at) => html`${at > 0 && html` <i>${t("rules.and")}</i> `}<span class="said">${text}</span>`);
}
