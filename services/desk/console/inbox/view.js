// The inbox: the list, the conversation, and whom it is with, side by side where there is room.

import { classes, html, signal, useEffect, useMemo, useState } from "../frame/html.js";
import { useKeys } from "../frame/keys.js";
import { go, href } from "../frame/router.js";
import { t } from "../frame/words.js";
import { Empty, Icon, IconButton, Problem, Waiting } from "../ui/index.js";
import { BulkBar } from "./bulk.js";
import { addressOf, completed, filtersOf } from "./filters.js";
import { Head } from "./head.js";
import { InboxList } from "./list.js";
import { useOpened, useReading } from "./opening.js";
import { Splitter, contactShown, panes, showContact, useRoom } from "./panes.js";
import { nameOf } from "./row.js";
import { Sessions } from "./sessions.js";
import { first, lastShown, readAgents, start } from "./start.js";

// The panes beside the list come after it: the list is what is waited for.
const PARTS = {
  Conversation: () => import("../talk/conversation.js").then((module) => module.Conversation),
  ContactPane: () => import("../contact/pane.js").then((module) => module.ContactPane),
};

function Part({ name, ...given }) {
  const [state, put] = useState({ part: null, error: null });
  const load = () => {
    put({ part: null, error: null });
    PARTS[name]().then((part) => put({ part, error: null }), (error) => put({ part: null, error }));
  };
  useEffect(load, [name]);
  if (state.error) return html`<${Problem} error=${state.error} retry=${load} />`;
  return state.part ? html`<${state.part} ...${given} />` : html`<${Waiting} />`;
}

// Reads what the inbox begins with, then shows what the address means: without any filter in it,
// what was on the screen last, else what a login shows.
function useBegun(list, query, open) {
  const [state, put] = useState({ error: null });
  const named = filtersOf(query);
  const begin = async () => {
    put({ error: null });
    try {
      if (named) list.show(named);
      const found = await start();
      if (named) return;
      const wanted = lastShown.query ? filtersOf(lastShown.query) : completed(found.default.query);
      list.show(wanted, lastShown.query ? undefined : found.sessions);
      if (!open) go("/", addressOf(wanted), { replace: true });
    } catch (error) {
      put({ error });
    }
  };
  useEffect(() => {
    list.begin();
    begin();
    readAgents().catch(() => {}); // their names are only missing in a filter
    return () => list.end();
  }, []);
  return { error: state.error, retry: begin };
}

export default function InboxView({ params, query }) {
  const id = params.id ?? null;
  const list = useMemo(() => new InboxList(), []);
  const picked = useMemo(() => signal(new Set()), []);
  const begun = useBegun(list, query, id);
  const room = useRoom();
  const address = JSON.stringify(query);
  useEffect(() => {
    const named = filtersOf(query);
    if (named) {
      lastShown.query = addressOf(named);
      list.show(named);
    } else if (!id && list.counts.value) {
      go("/", addressOf(completed(first.value.query)), { replace: true }); // "Inbox" in the bar
    }
  }, [address, id]);
  const opened = useOpened(id, list);
  useReading(opened.row);
  const filters = list.filters.value;
  const back = () => go("/", addressOf(filters));
  const missing = Boolean(opened.error) && !opened.row;
  const shown = Boolean(id) && !missing && contactShown(room);
  const [over, putOver] = useState(false); // on a narrow screen: the contact in place of the talk
  useEffect(() => putOver(false), [id]);
  useKeys([
    { keys: "Escape", group: "inbox.keys", label: "inbox.key.back", run: () => (picked.value.size ? (picked.value = new Set()) : back()) },
    { keys: "]", group: "inbox.keys", label: "inbox.key.contact", run: () => (room === "narrow" ? putOver(!over) : showContact(!shown)) },
  ], [room, shown, over, JSON.stringify(addressOf(filters))]);
  const widths = { "--list": `${panes.value.list}px`, "--contact": `${panes.value.contact}px` };
  const pane = id ? (over ? "contact" : "talk") : "list";
  return html`<div class=${classes("inbox", room, shown && "with-contact")} data-pane=${pane} style=${widths}>
    <section class="inbox-list" aria-label=${t("inbox.sessions")}>
      <${Head} filters=${filters} counts=${list.counts.value} />
      ${picked.value.size > 0 && html`<${BulkBar} list=${list} picked=${picked} />`}
      ${begun.error ? html`<${Problem} error=${begun.error} retry=${begun.retry} />` : html`<${Sessions} list=${list} picked=${picked} current=${id} onOpen=${(one) => go(`/sessions/${encodeURIComponent(one)}`, addressOf(filters))} />`}
    </section>
    ${room !== "narrow" && html`<${Splitter} name="list" label=${t("inbox.width.list")} />`}
    <section class="inbox-talk" aria-label=${t("inbox.conversation")}>
      ${room === "narrow" && id && html`<${Back} row=${opened.row} href=${href("/", addressOf(filters))} onContact=${() => putOver(true)} />`}
      <${Talk} id=${id} opened=${opened} at=${query.at} aside=${room !== "narrow" && html`<${IconButton} icon="user" pressed=${shown} label=${t(shown ? "inbox.contact.hide" : "inbox.contact.show")} onClick=${() => showContact(!shown)} />`} />
    </section>
    ${shown && room === "wide" && html`<${Splitter} name="contact" label=${t("inbox.width.contact")} />`}
    ${(shown || (room === "narrow" && over)) && html`<${Contact} row=${opened.row} room=${room} onBack=${() => (room === "narrow" ? putOver(false) : showContact(false))} />`}
  </div>`;
}

function Talk({ id, opened, at, aside }) {
  if (!id) return html`<${Empty} icon="message-square" title=${t("inbox.none.title")}>${t("inbox.none")}<//>`;
  if (opened.error && !opened.row) {
    if (opened.error.status !== 404) return html`<${Problem} error=${opened.error} retry=${opened.retry} />`;
    return html`<${Empty} icon="circle-question-mark" title=${t("inbox.missing.title")}>${t("inbox.missing")}<//>`;
  }
  return html`<${Part} name="Conversation" key=${id} session=${id} unread=${opened.row?.unread} at=${at} aside=${aside} />`;
}

function Back({ row, href: to, onContact }) {
  return html`<div class="inbox-back">
    <a href=${to}><${Icon} name="arrow-left" />${t("inbox.back")}</a>
    ${row && html`<button type="button" class="button quiet small" onClick=${onContact}><${Icon} name="user" />${nameOf(row.contact)}</button>`}
  </div>`;
}

// In "middle" it lies over the end of the conversation, and over the button that has opened it.
function Contact({ row, room, onBack }) {
  return html`<aside class="inbox-contact" aria-label=${t("inbox.contact")}>
    ${room === "narrow" && html`<div class="inbox-back"><button type="button" class="button quiet small" onClick=${onBack}><${Icon} name="arrow-left" />${t("inbox.conversation")}</button></div>`}
    ${room === "middle" && html`<div class="inbox-back"><strong>${t("inbox.contact")}</strong><${IconButton} icon="x" label=${t("inbox.contact.hide")} onClick=${onBack} /></div>`}
    ${row ? html`<${Part} name="ContactPane" key=${row.contact.id} session=${row} contact=${row.contact.id} />` : html`<${Waiting} />`}
  </aside>`;
}
