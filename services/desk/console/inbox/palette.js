// The palette: contacts, conversations and messages by words, from everywhere.

import { call, query } from "../frame/api.js";
import { html, useEffect, useId, useMemo, useRef, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { go } from "../frame/router.js";
import { clock, t } from "../frame/words.js";
import { ROUTES } from "../routes.js";
import { Avatar, ChannelIcon, Dialog, Icon, Problem } from "../ui/index.js";
import { nameOf } from "./row.js";

const TYPED_MS = 140;
const EACH = 6;

// What the words find: [{kind, key, label, path, query, ...}], by kind.
async function find(words, signal) {
  const all = { q: words, limit: EACH };
  const open = { ...all, snoozed: "all", counts: false, list: "bot_hosted,unassigned,assigned,ended" };
  const [found, sessions] = await Promise.all([
    call("GET", `/search${query(all)}`, undefined, { signal }),
    call("GET", `/sessions${query(open)}`, undefined, { signal }),
  ]);
  return [
    ...found.contacts.items.map((one) => ({ kind: "contacts", key: one.id, hit: one, path: `/contacts/${one.id}` })),
    ...sessions.items.map((one) => ({ kind: "sessions", key: one.id, hit: one, path: `/sessions/${one.id}` })),
    ...found.messages.items.map((one) => ({
      kind: "messages", key: one.id, hit: one, path: `/sessions/${one.session}`, query: { at: one.id },
    })),
  ];
}

function places(words) {
  const wanted = words.toLocaleLowerCase();
  return ROUTES.filter(({ nav, role }) => nav && (!role || may(role)))
    .map(({ nav, path, icon }) => ({ kind: "places", key: nav, path, icon, label: t(`frame.nav.${nav}`) }))
    .filter(({ label }) => label.toLocaleLowerCase().includes(wanted));
}

function useFound(words) {
  const [state, put] = useState({ items: [], busy: false, error: null, words: "" });
  useEffect(() => {
    if (!words) return put({ items: [], busy: false, error: null, words });
    const ending = new AbortController();
    put((old) => ({ ...old, busy: true, error: null }));
    const timer = setTimeout(() => {
      find(words, ending.signal).then(
        (items) => put({ items, busy: false, error: null, words }),
        (error) => error.name !== "AbortError" && put({ items: [], busy: false, error, words }),
      );
    }, TYPED_MS);
    return () => {
      clearTimeout(timer);
      ending.abort();
    };
  }, [words]);
  return state;
}

export function Palette({ onClose }) {
  const [text, put] = useState("");
  const [at, move] = useState(0);
  const id = useId();
  const box = useRef(null);
  const words = text.trim();
  const found = useFound(words);
  const items = useMemo(() => [...found.items, ...places(words)], [found.items, words]);
  const here = Math.min(at, items.length - 1);
  useEffect(() => move(0), [found.items]);
  useEffect(() => box.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [here]);
  const choose = (item) => {
    onClose();
    go(item.path, item.query);
  };
  const keyed = (event) => {
    const to = { ArrowDown: here + 1, ArrowUp: here - 1 }[event.key];
    if (to !== undefined && items.length) move((to + items.length) % items.length);
    else if (event.key === "Enter" && items[here] && !event.isComposing) choose(items[here]);
    else return;
    event.preventDefault();
  };
  const groups = Map.groupBy(items, ({ kind }) => kind);
  return html`<${Dialog} title=${t("inbox.palette")} onClose=${onClose} wide>
    <div class="palette">
      <div class="search palette-search"><${Icon} name=${found.busy ? "loader-circle" : "search"} class=${found.busy ? "turning" : ""} />
        <input
          type="text" role="combobox" autofocus aria-label=${t("inbox.palette.words")} placeholder=${t("inbox.palette.words")} autocomplete="off"
          aria-expanded="true" aria-controls=${`${id}-list`} aria-activedescendant=${items[here] ? `${id}-${here}` : undefined} maxlength="200"
          value=${text} onInput=${(event) => put(event.target.value)} onKeyDown=${keyed}
        />
      </div>
      <${Problem} error=${found.error} />
      <div class="palette-found" role="listbox" id=${`${id}-list`} aria-label=${t("inbox.palette.found")} ref=${box}>
        ${[...groups].map(([kind, of]) => html`<div role="group" aria-label=${t(`inbox.palette.${kind}`)} key=${kind}>
          <p class="palette-kind" aria-hidden="true">${t(`inbox.palette.${kind}`)}</p>
          ${of.map((item) => {
            const index = items.indexOf(item);
            return html`<div
              key=${item.key} id=${`${id}-${index}`} role="option" aria-selected=${String(index === here)} class="palette-item"
              onClick=${() => choose(item)} onPointerMove=${() => index !== here && move(index)}
            ><${Hit} item=${item} /></div>`;
          })}
        </div>`)}
      </div>
      ${words && !found.busy && !found.error && found.words === words && !found.items.length && html`<p class="dim" role="status">${t("inbox.palette.nothing", { words })}</p>`}
      ${!words && html`<p class="dim">${t("inbox.palette.hint")}</p>`}
    </div>
  <//>`;
}

function Hit({ item: { kind, hit, icon, label } }) {
  if (kind === "places") return html`<${Icon} name=${icon} /><span class="palette-name">${label}</span>`;
  if (kind === "contacts") {
    const more = [hit.email, hit.phone].filter(Boolean).join(" · ");
    return html`<${Avatar} name=${nameOf(hit)} id=${hit.id} size="small" />
      <span class="palette-name"><${Marked} text=${nameOf(hit)} ranges=${hit.name ? hit.ranges : []} /></span><span class="palette-more"><bdi>${more}</bdi></span>`;
  }
  if (kind === "sessions") {
    return html`<${ChannelIcon} channel=${hit.channel} /><span class="palette-name"><bdi>${nameOf(hit.contact)}</bdi></span>
      <span class="palette-more">${t(`inbox.list.${hit.list}`)}${hit.owner ? ` · ${hit.owner.name}` : ""} · ${clock(hit.updated_at)}</span>`;
  }
  return html`<${ChannelIcon} channel=${hit.channel} />
    <span class="palette-name palette-words"><${Marked} text=${hit.excerpt.text} ranges=${hit.excerpt.ranges} /></span>
    <span class="palette-more"><bdi>${nameOf(hit.contact)}</bdi> · ${clock(hit.at)}</span>`;
}

// Ranges count characters, as Python does: a pair of surrogates is one.
function Marked({ text, ranges }) {
  const letters = [...text];
  const parts = [];
  let from = 0;
  for (const [start, end] of [...ranges].sort((a, b) => a[0] - b[0])) {
    if (start < from) continue;
    parts.push(letters.slice(from, start).join(""), html`<mark>${letters.slice(start, end).join("")}</mark>`);
    from = end;
  }
  return html`<bdi>${parts}${letters.slice(from).join("")}</bdi>`;
}
