// A list that people put in order: by dragging the handle, or with its arrow keys.

import { classes, html, useRef, useState } from "../frame/html.js";
import { say } from "../frame/dom.js";
import { t } from "../frame/words.js";
import { Icon } from "../ui/index.js";

// items: [{id}]; show(item): what a row holds; name(item): for readers; onOrder(ids) keeps an order.
// `fixed`: cannot be ordered now, so there are no handles.
export function Ordered({ items, show, name, onOrder, fixed, label, rowClass }) {
  const [over, put] = useState(""); // the row that what is dragged would come to
  const dragged = useRef("");
  const box = useRef(null);
  const ids = items.map(({ id }) => id);
  const move = (id, to) => {
    const rest = ids.filter((one) => one !== id);
    rest.splice(Math.max(0, Math.min(to, rest.length)), 0, id);
    if (rest.join() === ids.join()) return;
    say(t("standard.moved", { name: name(items.find((one) => one.id === id)), place: rest.indexOf(id) + 1, total: ids.length }));
    onOrder(rest);
  };
  const keyed = (event, id) => {
    const at = ids.indexOf(id);
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: ids.length }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    move(id, to);
    const handle = `[data-row="${CSS.escape(id)}"] .words-grip`;
    requestAnimationFrame(() => box.current?.querySelector(handle)?.focus());
  };
  const drop = (event, id) => {
    event.preventDefault();
    put("");
    if (dragged.current && dragged.current !== id) move(dragged.current, ids.indexOf(id));
    dragged.current = "";
  };
  const begin = (event, id) => {
    dragged.current = id;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", id);
    event.dataTransfer.setDragImage(event.target.closest("li"), 12, 12);
  };
  return html`<ul class="ordered" ref=${box} aria-label=${label}>
    ${items.map(
      (item) => html`<li
        key=${item.id} data-row=${item.id} class=${classes(rowClass?.(item), over === item.id && "over")}
        onDragOver=${(event) => { if (!dragged.current) return; event.preventDefault(); put(item.id); }}
        onDragLeave=${() => put("")} onDrop=${(event) => drop(event, item.id)}
      >
        ${!fixed &&
        html`<button
          type="button" class="icon-button words-grip" draggable="true" aria-label=${t("standard.move", { name: name(item) })} title=${t("standard.move_hint")}
          onDragStart=${(event) => begin(event, item.id)} onDragEnd=${() => { dragged.current = ""; put(""); }} onKeyDown=${(event) => keyed(event, item.id)}
        ><${Icon} name="grip-vertical" size=${16} /></button>`}
        ${show(item)}
      </li>`,
    )}
  </ul>`;
}
