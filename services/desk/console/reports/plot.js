// A plot over days, drawn by uPlot on a canvas. The table below says the same to who cannot see it.

import { html, useEffect, useRef, useState } from "../frame/html.js";
import { language } from "../frame/words.js";
import UPlot from "../vendor/uplot.js";
import { columnName, shown } from "./figures.js";

const HEIGHT = 250;
const HUES = ["--accent", "--good", "--late", "--bad", "--dim"];

// rows: [{key: "2026-03-01", values}]; columns: names of what is drawn.
export function Plot({ rows, columns, stacked, label }) {
  const box = useRef(null);
  const [at, point] = useState(null);
  useEffect(() => {
    const drawn = draw(box.current, rows, columns, stacked, point);
    const sized = new ResizeObserver(([{ contentRect }]) => drawn.setSize({ width: Math.floor(contentRect.width), height: HEIGHT }));
    sized.observe(box.current);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const again = () => drawn.redraw();
    dark.addEventListener("change", again);
    return () => {
      dark.removeEventListener("change", again);
      sized.disconnect();
      drawn.destroy();
    };
  }, [rows, columns.join(), stacked, language.value]);
  const row = at === null ? null : rows[at];
  return html`<figure class="plot">
    <figcaption class="legend">
      ${columns.map(
        (column, place) => html`<span key=${column} class="legend-item" data-hue=${place}>
          ${columnName(column)}${row && html` <b>${shown(column, row.values[column])}</b>`}
        </span>`,
      )}
      ${row && html`<span class="dim">${dayName(row.key)}</span>`}
    </figcaption>
    <div ref=${box} class="plot-box" role="img" aria-label=${label}></div>
  </figure>`;
}

function dayName(key) {
  return new Date(`${key}T12:00:00Z`).toLocaleDateString(language.value, { dateStyle: "medium", timeZone: "UTC" });
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function draw(box, rows, columns, stacked, point) {
  const days = rows.map(({ key }) => Date.parse(`${key}T12:00:00Z`) / 1000);
  const lines = columns.map((column) => rows.map(({ values }) => values[column] ?? null));
  if (stacked) {
    for (let line = lines.length - 2; line >= 0; line -= 1) {
      lines[line] = lines[line].map((value, place) => (value ?? 0) + (lines[line + 1][place] ?? 0));
    }
  }
  const axis = { stroke: () => colour("--dim"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false } };
  const format = new Intl.DateTimeFormat(language.value, { day: "numeric", month: "short", timeZone: "UTC" });
  const options = {
    width: Math.max(200, Math.floor(box.clientWidth)),
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    hooks: { setCursor: [(plot) => point(plot.cursor.idx ?? null)] },
    scales: { x: { time: true }, y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.08 : 1] } },
    axes: [
      { ...axis, values: (_, splits) => splits.map((one) => format.format(new Date(one * 1000))) },
      { ...axis, size: 66, values: (_, splits) => splits.map((one) => shown(columns[0], one)) },
    ],
    series: [
      {},
      ...columns.map((column, place) => ({
        label: columnName(column),
        stroke: () => colour(HUES[place % HUES.length]),
        fill: stacked || columns.length === 1 ? () => `color-mix(in srgb, ${colour(HUES[place % HUES.length])} ${stacked ? 55 : 16}%, transparent)` : undefined,
        width: 2,
        spanGaps: true,
        points: { show: rows.length < 15 },
      })),
    ],
  };
  return new UPlot(options, [days, ...lines], box);
}
