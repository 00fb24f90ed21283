// How wide the panes are, and whether the contact's is shown: remembered by this browser.

import { html, signal, useEffect, useRef, useState } from "../frame/html.js";

const KEPT = "relaydesk:panes";
const LIMITS = { list: [280, 520], contact: [260, 480] };
const FIRST = { list: 376, contact: 320, shown: null };
const STEP = 16;

export const panes = signal({ ...FIRST, ...stored() });

function stored() {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
    return Object.fromEntries(Object.entries(found).filter(([name]) => Object.hasOwn(FIRST, name)));
  } catch {
    return {};
  }
}

function keep(more) {
  panes.value = { ...panes.value, ...more };
  try {
    localStorage.setItem(KEPT, JSON.stringify(panes.value));
  } catch {
    // the next visit begins with the usual widths
  }
}

// "wide": three panes; "middle": two, the contact's over the conversation; "narrow": one at a time.
export function useRoom() {
  const [room, put] = useState(roomNow);
  useEffect(() => {
    const change = () => put(roomNow());
    addEventListener("resize", change);
    return () => removeEventListener("resize", change);
  }, []);
  return room;
}

function roomNow() {
  if (innerWidth >= 1240) return "wide";
  return innerWidth > 820 ? "middle" : "narrow";
}

// Until somebody chooses, the contact's pane is shown where there is room for it.
export function contactShown(room) {
  return room === "narrow" ? false : (panes.value.shown ?? room === "wide");
}

export function showContact(shown) {
  keep({ shown });
}

// The line between two panes: dragged, or moved by the arrow keys.
export function Splitter({ name, label }) {
  const [least, most] = LIMITS[name];
  const drag = useRef(null);
  const width = panes.value[name];
  const along = (name === "list" ? 1 : -1) * (document.documentElement.dir === "rtl" ? -1 : 1);
  const set = (to, done = true) => {
    const next = { [name]: Math.round(Math.max(least, Math.min(most, to))) };
    if (done) keep(next);
    else panes.value = { ...panes.value, ...next };
  };
  const down = (event) => {
    drag.current = { x: event.clientX, width };
    event.currentTarget.setPointerCapture(event.pointerId);
    event.preventDefault();
  };
  const moved = (event) => drag.current && set(drag.current.width + along * (event.clientX - drag.current.x), false);
  const up = () => {
    if (drag.current) set(panes.value[name]);
    drag.current = null;
  };
  const keyed = (event) => {
    const by = { ArrowRight: STEP, ArrowLeft: -STEP }[event.key];
    if (!by) return;
    event.preventDefault();
    set(width + along * by);
  };
  return html`<div
    class="splitter" role="separator" aria-orientation="vertical" aria-label=${label} tabindex="0"
    aria-valuemin=${least} aria-valuemax=${most} aria-valuenow=${width}
    onPointerDown=${down} onPointerMove=${moved} onPointerUp=${up} onPointerCancel=${up} onKeyDown=${keyed}
    onDblClick=${() => set(FIRST[name])}
  ></div>`;
}
