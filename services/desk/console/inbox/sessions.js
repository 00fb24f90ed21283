// The rows in sight, of however many there are; going through them by keys, and picking some.

import { classes, html, useEffect, useRef, useState } from "../frame/html.js";
import { useKeys } from "../frame/keys.js";
import { t } from "../frame/words.js";
import { Button, Empty, Icon, Problem, Waiting } from "../ui/index.js";
import { EVERYTHING, same } from "./filters.js";
import { choose } from "./facets.js";
import { Row } from "./row.js";
import { useVirtual } from "./virtual.js";

const ROW_PX = 82; // as --session-row in inbox.css
const DRAWN_MS = 500; // a key's row is focused by then
const AHEAD = 24; // rows before the end at which the next page is read

export function Sessions({ list, picked, current, onOpen }) {
  const state = list.state.value;
  const status = list.status.value;
  const { order } = state;
  const [cursor, put] = useState(0);
  const last = useRef(null); // id that was picked last: Shift picks up to it
  const virtual = useVirtual({ count: order.length, height: ROW_PX, keyOf: (index) => order[index] });
  const at = Math.max(0, Math.min(cursor, order.length - 1));
  const lastShown = virtual.items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (state.next && order.length && lastShown >= order.length - AHEAD) list.more();
  }, [lastShown, order.length, state.next]);
  const going = useRef(null); // {to, at}: where a key has just led, before it is drawn and focused
  const move = (to) => {
    list.keyed();
    const next = Math.max(0, Math.min(to, order.length - 1));
    going.current = { to: next, at: Date.now() };
    put(next);
    virtual.to(next);
    requestAnimationFrame(() => requestAnimationFrame(() => focusRow(virtual.box.current, order[next])));
  };
  const pick = (id, range) => {
    picked.value = range && last.current ? between(order, last.current, id, picked.value) : flipped(picked.value, id);
    last.current = id;
    put(Math.max(0, order.indexOf(id)));
  };
  useListKeys({ order, at: () => (isRecent(going.current) ? going.current.to : at), going, move, pick, picked, onOpen });
  const keyed = (event) => {
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: order.length - 1 }[event.key];
    if (to === undefined || event.defaultPrevented) return;
    event.preventDefault();
    move(to);
  };
  const scrolled = (event) => list.hold("scroll", event.currentTarget.scrollTop > 4);
  const newer = () => {
    list.settle();
    virtual.box.current.scrollTo({ top: 0 });
  };
  return html`<div
    class="session-list"
    onPointerEnter=${(event) => event.pointerType === "mouse" && list.hold("pointer", true)} onPointerLeave=${() => list.hold("pointer", false)}
  >
    ${state.fresh.size > 0 && html`<${Button} small kind="primary" icon="chevron-up" class="newer" onClick=${newer}>${t("inbox.newer", { n: state.fresh.size })}<//>`}
    <div
      class=${classes("session-scroll", picked.value.size > 0 && "picking")} ref=${virtual.box} onScroll=${scrolled} onKeyDown=${keyed}
    >
      <ul class="session-rows" aria-label=${t("inbox.sessions")} style=${{ height: `${virtual.total}px` }}>
        ${virtual.items.map(({ index, key, start }) => state.rows.has(key) && html`<${Row}
          key=${key} row=${state.rows.get(key)} filters=${list.filters.value} place=${{ index, start, of: state.next ? -1 : order.length }}
          current=${key === current} cursor=${index === at} picked=${picked.value.has(key)} onPick=${pick}
          gone=${state.gone.has(key)} why=${list.why.value.get(key)}
        />`)}
      </ul>
      <${Below} list=${list} status=${status} order=${order} />
    </div>
  </div>`;
}

function Below({ list, status, order }) {
  if (status.error) return html`<div class="below"><${Problem} error=${status.error} retry=${() => list.retry()} /></div>`;
  if (status.loading) return html`<${Waiting} />`;
  if (status.more) return html`<p class="below dim" role="status"><${Icon} name="loader-circle" class="turning" /> ${t("ui.loading")}</p>`;
  if (!order.length) return html`<${Nothing} filters=${list.filters.value} />`;
  return !status.complete && html`<p class="below dim">${t("inbox.incomplete")}</p>`;
}

function Nothing({ filters }) {
  const all = same(filters, EVERYTHING);
  const action = !all && html`<${Button} onClick=${() => choose(EVERYTHING)}>${t("inbox.showall")}<//>`;
  const said = all ? "inbox.empty.all" : filters.q ? "inbox.empty.words" : "inbox.empty.some";
  return html`<${Empty} title=${t(`${said}.title`)} action=${action}>${t(said)}<//>`;
}

function useListKeys(given) {
  const latest = useRef(given);
  latest.current = given;
  const group = "inbox.keys";
  useKeys([
    { keys: "j", group, label: "inbox.key.next", run: () => step(latest.current, 1) },
    { keys: "k", group, label: "inbox.key.previous", run: () => step(latest.current, -1) },
    { keys: "o", group, label: "inbox.key.open", run: () => opened(latest.current) },
    { keys: "x", group, label: "inbox.key.pick", run: () => latest.current.order.length && latest.current.pick(latest.current.order[latest.current.at()]) },
    { keys: "Shift+j", group, label: "inbox.key.nextopen", run: () => neighbour(latest.current, 1) },
    { keys: "Shift+k", group, label: "inbox.key.previousopen", run: () => neighbour(latest.current, -1) },
  ]);
}

// The first press goes to the row that is marked; only then does it move.
function step({ at, going, move }, by) {
  const inside = isRecent(going.current) || document.activeElement?.closest?.(".session-rows");
  move(inside ? at() + by : at());
}

function isRecent(going) {
  return Boolean(going) && Date.now() - going.at < DRAWN_MS;
}

function opened({ order, at, onOpen }) {
  if (order[at()]) onOpen(order[at()]);
}

function neighbour({ order, at, move, onOpen }, by) {
  const to = Math.max(0, Math.min(at() + by, order.length - 1));
  move(to);
  if (order[to]) onOpen(order[to]);
}

function focusRow(box, id) {
  box?.querySelector(`[data-session="${CSS.escape(id ?? "")}"] .row-link`)?.focus({ preventScroll: true });
}

function flipped(set, id) {
  const next = new Set(set);
  if (!next.delete(id)) next.add(id);
  return next;
}

function between(order, one, other, set) {
  const [from, to] = [order.indexOf(one), order.indexOf(other)].sort((a, b) => a - b);
  return new Set([...set, ...order.slice(Math.max(0, from), to + 1)]);
}
