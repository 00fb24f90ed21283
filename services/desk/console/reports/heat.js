// The hours of a week as a field of 7 by 24: the stronger, the more.

import { html } from "../frame/html.js";
import { number, t } from "../frame/words.js";
import { columnName, shown } from "./figures.js";

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const HOURS = Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, "0"));

export function Heat({ rows, column }) {
  const values = new Map(rows.map(({ key, values: of }) => [key, of[column] ?? 0]));
  const most = Math.max(1, ...values.values());
  return html`<div class="table-box heat-box" tabindex="0" role="region" aria-label=${columnName(column)}>
    <table class="heat">
      <caption class="apart">${columnName(column)}</caption>
      <thead><tr><td></td>${HOURS.map((hour) => html`<th key=${hour} scope="col">${number(Number(hour))}</th>`)}</tr></thead>
      <tbody>
        ${DAYS.map(
          (day) => html`<tr key=${day}>
            <th scope="row">${t(`reports.day.${day}`)}</th>
            ${HOURS.map((hour) => {
              const value = values.get(`${day} ${hour}`) ?? 0;
              const strength = Math.ceil((8 * value) / most);
              return html`<td key=${hour} data-strength=${strength} title=${`${t(`reports.day.${day}`)} ${hour}: ${shown(column, value)}`}>${value ? shown(column, value) : ""}</td>`;
            })}
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
