// The conversation from its beginning to now, in one scrolled box. Who stands at its end stays there;
// who reads further up keeps their place, whatever comes above or below it.

import { say } from "../frame/dom.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../frame/html.js";
import { me } from "../frame/me.js";
import { language, t } from "../frame/words.js";
import { Button, Empty, Icon, Problem, Waiting } from "../ui/index.js";
import { Earlier } from "./earlier.js";
import { Entry, nameOf } from "./entry.js";
import { Lightbox } from "./files.js";
import { accepted, waiting } from "./outbox.js";
import { inShort } from "./parts.js";
import { Pending, unshown } from "./pending.js";

const NEAR_PX = 60;
const TOGETHER_MS = 5 * 60_000;

function dayOf(at) {
  return new Date(at).toDateString();
}

function dayName(at) {
  const day = new Date(at);
  const days = Math.round((new Date(new Date().toDateString()) - new Date(day.toDateString())) / 86_400_000);
  if (days < 2) return new Intl.RelativeTimeFormat(language.value, { numeric: "auto" }).format(-days, "day");
  const year = day.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
  return day.toLocaleDateString(language.value, { weekday: "long", day: "numeric", month: "long", ...year });
}

// Whether an entry goes on where the one before it stopped: the same writer, soon after.
function isFirst(entry, before) {
  if (!before || before.kind !== "message" || entry.kind !== "message") return true;
  const one = `${before.direction} ${before.sender.kind} ${before.sender.id}`;
  return one !== `${entry.direction} ${entry.sender.kind} ${entry.sender.id}` || Date.parse(entry.at) - Date.parse(before.at) > TOGETHER_MS;
}

export function Days({ entries, since, row }) {
  return entries.map((entry, at) => {
    const before = entries[at - 1];
    const day = !before || dayOf(before.at) !== dayOf(entry.at);
    const key = accepted.get(entry.id) ?? entry.id;
    return html`<li key=${key} id=${entry.id} class="talk-row">
      ${day && html`<p class="talk-day"><span>${dayName(entry.at)}</span></p>`}
      ${entry.id === since && html`<p class="talk-unread" role="separator"><span>${t("talk.unread")}</span></p>`}
      ${row(entry, day || isFirst(entry, before))}
    </li>`;
  });
}

export function TimelineBox({ thread, onReply }) {
  const box = useRef(null);
  const list = useRef(null);
  const keep = useRef({ end: true, id: "", top: 0 });
  const [below, putBelow] = useState(0); // what came while one reads further up
  const [atEnd, putEnd] = useState(true);
  const [large, look] = useState(null);
  const entries = thread.entries.value;
  const pending = waiting.value.filter(({ session }) => session === thread.id);
  const shown = unshown(pending, entries);
  const newest = entries.at(-1)?.id ?? "";

  const settle = () => {
    const it = box.current;
    if (!it) return;
    const { end, id, top } = keep.current;
    if (end) it.scrollTop = it.scrollHeight;
    else {
      const row = id && document.getElementById(id);
      if (row) it.scrollTop += row.getBoundingClientRect().top - it.getBoundingClientRect().top - top;
    }
  };
  const note = () => {
    const it = box.current;
    const end = it.scrollHeight - it.scrollTop - it.clientHeight < NEAR_PX;
    const edge = it.getBoundingClientRect().top;
    const row = end ? null : [...list.current.children].find((one) => one.id && one.getBoundingClientRect().bottom > edge);
    keep.current = { end, id: row?.id ?? "", top: row ? row.getBoundingClientRect().top - edge : 0 };
    putEnd(end);
    if (end) putBelow(0);
    if (it.scrollTop < 300 && !end) thread.more();
  };
  const toEnd = () => {
    keep.current = { end: true, id: "", top: 0 };
    settle();
    note();
  };

  useLayoutEffect(settle, [entries, shown.length]);
  useEffect(() => {
    const watch = new ResizeObserver(settle); // pictures that load, the composer that grows
    watch.observe(list.current);
    watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  const known = useRef("");
  useEffect(() => {
    const last = entries.at(-1);
    const came = known.current && last && last.id !== known.current;
    if (came && !keep.current.end) putBelow((n) => n + 1);
    if (came && isOthers(last)) say(`${nameOf(last.sender, thread.session.value?.contact)}: ${inShort(last)}`);
    known.current = newest;
  }, [newest]);
  useEffect(() => {
    if (shown.length) toEnd(); // one's own message is shown
  }, [shown.length]);
  // A page that does not fill the box has the older one with it.
  useEffect(() => {
    if (thread.older.value && box.current.scrollHeight <= box.current.clientHeight + 200) thread.more();
  }, [entries]);

  const row = (entry, first) => html`<${Entry} entry=${entry} first=${first} thread=${thread} onReply=${onReply}
    onLook=${(files, file) => look({ files, file })} />`;
  return html`<div class="talk-scroll" ref=${box} onScroll=${note} tabindex="0" role="region" aria-label=${t("talk.messages")}>
    <div class="talk-inner" ref=${list}>
      ${thread.loadingOlder.value && html`<${Waiting} />`}
      ${thread.older.value && !thread.loadingOlder.value && html`<p class="more"><${Button} small onClick=${() => thread.more()}>${t("talk.older")}<//></p>`}
      ${!thread.older.value && thread.session.value && html`<${Earlier} thread=${thread} row=${row} />`}
      <${Problem} error=${thread.error.value} retry=${() => thread.read()} />
      ${!entries.length && !shown.length && !thread.error.value && html`<${Empty} icon="message-circle" title=${t("talk.nothing")} />`}
      <${List} entries=${entries} since=${thread.since.value} row=${row} pending=${shown} thread=${thread} />
    </div>
    ${!atEnd && html`<p class="talk-below"><${Button} small kind=${below ? "primary" : ""} onClick=${toEnd}>
      <${Icon} name="chevron-down" size=${16} />${below ? t("talk.below", { n: below }) : t("talk.newest")}<//></p>`}
    ${large && html`<${Lightbox} ...${large} onClose=${() => look(null)} />`}
  </div>`;
}

// What a screen reader is told of as it comes; older pages and one's own words are not.
function isOthers({ kind, sender }) {
  return kind !== "system" && !(sender.kind === "agent" && sender.id === me.value.agent.id);
}

function List({ entries, since, row, pending, thread }) {
  return html`<ol class="talk-list">
    ${Days({ entries, since, row })}
    ${pending.map((item) => html`<li key=${item.id} class="talk-row"><${Pending} item=${item} thread=${thread} /></li>`)}
  </ol>`;
}
