// Earlier conversations of the same contact: one line that unfolds, over every channel.

import { call, query } from "../frame/api.js";
import { ChannelIcon } from "../ui/index.js";
import { html, useEffect, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Icon, Problem } from "../ui/index.js";
import { href } from "../frame/router.js";

const PAGE = 50;

export function Earlier({ thread, row }) {
  const [state, put] = useState({ items: [], next: undefined, open: false, busy: false, error: null });
  const { contact, created_at: since, returning } = thread.session.value;
  useEffect(() => put({ items: [], next: undefined, open: false, busy: false, error: null }), [contact.id]);
  const read = async () => {
    put((old) => ({ ...old, open: true, busy: true, error: null }));
    try {
      const found = await before(contact.id, state.next, thread.id, since);
      put((old) => ({ ...old, items: [...found.items, ...old.items], next: found.next, busy: false }));
    } catch (error) {
      put((old) => ({ ...old, busy: false, error }));
    }
  };
  if (!returning && !state.open) return null;
  if (!state.open) {
    return html`<p class="talk-earlier"><${Button} small kind="quiet" icon="chevron-down" onClick=${read}>${t("talk.earlier")}<//></p>`;
  }
  return html`<section class="talk-earlier open" aria-label=${t("talk.earlier")}>
    ${state.next !== null && html`<p class="more"><${Button} small busy=${state.busy} onClick=${read}>${t("talk.older")}<//></p>`}
    <${Problem} error=${state.error} retry=${read} />
    ${state.next === null && !state.items.length && html`<p class="dim">${t("talk.earlier.none")}</p>`}
    <ol class="talk-list">${state.items.map(({ session, channel, entry }, at) => html`
      ${session && state.items[at - 1]?.session !== session && html`<li class="talk-other" key=${`${session} ${entry.id}`}>
        <${ChannelIcon} channel=${channel} /> <a href=${href(`/sessions/${encodeURIComponent(session)}`)}>${t("talk.earlier.on", { channel: t(`frame.channel.${channel}`) })}</a>
      </li>`}
      <li key=${entry.id} class="talk-row">${row(entry, true)}</li>`)}</ol>
    <p class="talk-day"><span><${Icon} name="chevron-down" size=${13} /> ${t("talk.earlier.end")}</span></p>
  </section>`;
}

// A page of what was said in other sessions that began before this one; pages without any are passed.
async function before(contact, cursor, id, since) {
  for (let next = cursor, turn = 0; ; turn++) {
    const page = await call("GET", `/contacts/${encodeURIComponent(contact)}/messages${query({ limit: PAGE, cursor: next })}`);
    const items = page.items.filter(({ session, entry }) => session && session !== id && entry.at < since).reverse();
    if (items.length || !page.next || turn > 8) return { items, next: page.next };
    next = page.next;
  }
}
