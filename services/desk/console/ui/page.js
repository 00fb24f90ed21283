// A page: its title, what can be done there, and what it holds. Tables, pages of lists, and times.

import { html } from "../frame/html.js";
import { ago, clock, fullTime, t } from "../frame/words.js";
import { Button } from "./button.js";

export function Page({ title, hint, actions, children, narrow, back }) {
  return html`<section class=${`page ${narrow ? "narrow" : ""}`}>
    <header class="page-head">
      <div>
        ${back && html`<a class="back" href=${back.href}>${back.label}</a>`}
        <h1 tabindex="-1">${title}</h1>
        ${hint && html`<p class="hint-text">${hint}</p>`}
      </div>
      <div class="page-actions">${actions}</div>
    </header>
    ${children}
  </section>`;
}

export function Card({ title, hint, actions, children }) {
  return html`<section class="card">
    ${(title || actions) &&
    html`<header><div><h2>${title}</h2>${hint && html`<p class="hint-text">${hint}</p>`}</div><div class="page-actions">${actions}</div></header>`}
    ${children}
  </section>`;
}

// columns: [{name, label, show(row), end?: at the end of the line}]; `caption` is said to readers alone.
export function Table({ columns, rows, caption, rowKey = (row) => row.id }) {
  return html`<div class="table-box" tabindex="0" role="region" aria-label=${caption}>
    <table>
      <caption class="apart">${caption}</caption>
      <thead><tr>${columns.map(({ name, label, end }) => html`<th key=${name} scope="col" class=${end ? "end" : ""}>${label || html`<span class="apart">${t("ui.actions")}</span>`}</th>`)}</tr></thead>
      <tbody>
        ${rows.map(
          (row) => html`<tr key=${rowKey(row)}>
            ${columns.map(({ name, show, end }) => html`<td key=${name} class=${end ? "end" : ""}>${show(row)}</td>`)}
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

export function More({ pages }) {
  if (pages.whole || !pages.items.length) return null;
  return html`<p class="more"><${Button} busy=${pages.loading} onClick=${pages.more}>${t("ui.more")}<//></p>`;
}

export function Time({ at, relative }) {
  if (!at) return null;
  return html`<time datetime=${at} title=${fullTime(at)}>${relative ? ago(at) : clock(at)}</time>`;
}
