// What goes out later, and what became of what went out: by day, by state, author and contact (B25, B26).

import { call } from "../frame/api.js";
import { html, useEffect, useState } from "../frame/html.js";
import { may, me } from "../frame/me.js";
import { go, href } from "../frame/router.js";
import { t } from "../frame/words.js";
import { Button, ChannelIcon, Empty, Icon, More, Page, Problem, Select, Time, Waiting, confirm, inWords, toast, usePages } from "../ui/index.js";
import { everything } from "../settings/standard-scope.js";
import { byDay, dayIn, dayName, ownZone, timeIn } from "./days.js";
import { Edit } from "./edit.js";
import { reasonOf } from "./reasons.js";

const STATES = ["pending", "sent", "failed", "skipped", "cancelled"];

export default function View({ query }) {
  const state = query.state ?? "pending";
  const given = { author: query.author, contact: query.contact, session: query.session };
  const pages = usePages("/scheduled-messages", { ...given, state: state === "all" ? "" : state, order: state === "pending" ? "asc" : "desc", limit: 100 });
  const names = useContacts(pages.items);
  const [edited, edit] = useState(null);
  const show = (more) => go("/scheduled", { ...query, ...more }, { replace: true });
  const cancel = async (one) => {
    const sure = await confirm({ title: t("scheduled.cancel_title", { name: one.name }), text: t("scheduled.cancel_text"), action: t("scheduled.cancel"), cancel: t("scheduled.keep"), danger: true });
    if (!sure) return;
    try {
      await call("POST", `/scheduled-messages/${one.id}/cancel`, {});
      toast(t("scheduled.cancelled", { name: one.name }));
      pages.reload();
    } catch (failed) {
      toast(inWords(failed), { kind: "bad" });
      pages.reload();
    }
  };
  return html`<${Page} title=${t("scheduled.title")} hint=${t("scheduled.hint", { zone: ownZone() })}>
    <${Filters} state=${state} query=${query} show=${show} contact=${names[query.contact]} />
    <${Problem} error=${pages.error} retry=${pages.reload} />
    ${pages.loading && !pages.items.length && html`<${Waiting} />`}
    ${pages.whole && !pages.items.length && !pages.error && html`<${Empty} icon="calendar-clock" title=${t(state === "pending" ? "scheduled.none" : "scheduled.none_such")}>${t("scheduled.none_hint")}<//>`}
    ${byDay(pages.items).map(
      ({ day, at, items }) => html`<section key=${day} class="day">
        <h2><span>${dayName(at)}</span> <span class="dim">${t("scheduled.count", { n: items.length })}</span></h2>
        <ul>${items.map((one) => html`<${Row} key=${one.id} one=${one} name=${names[one.contact]} onEdit=${edit} onCancel=${cancel} onContact=${(contact) => show({ contact })} />`)}</ul>
      </section>`,
    )}
    <${More} pages=${pages} />
    ${edited && html`<${Edit} id=${edited} onClose=${() => edit(null)} onSaved=${() => { edit(null); pages.reload(); toast(t("ui.saved")); }} />`}
  <//>`;
}

function Filters({ state, query, show, contact }) {
  const [agents, put] = useState([]);
  useEffect(() => {
    everything("/agents").then(put, () => {}); // mine and everybody's remain
  }, []);
  const mine = me.value.agent;
  const authors = [["", t("scheduled.everybody")], [mine.id, t("scheduled.mine")], ...agents.filter(({ id }) => id !== mine.id).map(({ id, name }) => [id, name])];
  return html`<div class="words-filters">
    <div class="segments" role="group" aria-label=${t("scheduled.state")}>
      ${[...STATES, "all"].map((one) => html`<button key=${one} type="button" aria-pressed=${String(one === state)} onClick=${() => show({ state: one === "pending" ? "" : one })}>${t(`scheduled.state.${one}`)}</button>`)}
    </div>
    <${Select} class="inline" label=${t("scheduled.author")} value=${query.author ?? ""} options=${authors} onChange=${(author) => show({ author })} />
    ${query.contact && html`<${Button} small icon="x" onClick=${() => show({ contact: "" })}>${t("scheduled.of_contact", { name: contact ?? query.contact })}<//>`}
    ${query.session && html`<${Button} small icon="x" onClick=${() => show({ session: "" })}>${t("scheduled.of_session")}<//>`}
  </div>`;
}

const TONES = { sent: "good", failed: "bad", pending: "", skipped: "late", cancelled: "" };

function Row({ one, name, onEdit, onCancel, onContact }) {
  const reason = reasonOf(one);
  const open = one.state === "pending" && !one.being_sent && may("agent");
  const abroad = one.zone && timeIn(one.due_at, one.zone) !== timeIn(one.due_at);
  return html`<li class="scheduled-row">
    <div class="words-when">
      <time datetime=${one.due_at}>${timeIn(one.due_at)}</time>
      ${abroad && html`<small title=${one.zone}>${t("scheduled.there", { time: timeIn(one.due_at, one.zone), day: dayIn(one.due_at, one.zone).slice(5), zone: one.zone.split("/").at(-1).replaceAll("_", " ") })}</small>`}
    </div>
    <div class="grow">
      <h3 dir="auto">${one.name}<span class=${`chip ${TONES[one.state]}`}>${t(`scheduled.state.${one.held ? "held" : one.being_sent ? "being_sent" : one.state}`)}</span></h3>
      <p class="words-excerpt" dir="auto">${one.text || one.attachments.map((file) => file.name).join(", ")}</p>
      <p class="chips dim">
        <${ChannelIcon} channel=${one.channel} size=${14} />
        <a href=${one.session ? href(`/sessions/${one.session}`) : href(`/contacts/${one.contact}`)}>${name || t("scheduled.a_contact")}</a>
        <button type="button" class="as-link" onClick=${() => onContact(one.contact)}>${t("scheduled.all_of")}</button>
        <span>${t("scheduled.by", { name: one.author.name })}</span>
        ${one.moved_by_quiet_hours && html`<span class="chip"><${Icon} name="moon" size=${12} />${t("scheduled.moved")}</span>`}
        ${one.shifted && html`<span class="chip">${t(`scheduled.shifted.${one.shifted}`)}</span>`}
        ${one.settled_at && html`<${Time} at=${one.settled_at} />`}
      </p>
      ${reason && html`<p class=${one.state === "failed" ? "wrong" : "words-warned"}><${Icon} name="triangle-alert" size=${14} /> ${reason}</p>`}
    </div>
    ${open && html`<div class="row-actions">
      <${Button} small icon="pencil" aria-label=${t("scheduled.edit_one", { name: one.name })} onClick=${() => onEdit(one.id)}>${t("ui.edit")}<//>
      <${Button} small kind="quiet" icon="x" aria-label=${t("scheduled.cancel_one", { name: one.name })} onClick=${() => onCancel(one)}>${t("scheduled.cancel")}<//>
    </div>`}
  </li>`;
}

// The names of contacts by id, asked for once each.
function useContacts(items) {
  const [names, put] = useState({});
  const ids = [...new Set(items.map(({ contact }) => contact))].filter((id) => id && !(id in names)).join();
  useEffect(() => {
    for (const id of ids ? ids.split(",").slice(0, 60) : []) {
      call("GET", `/contacts/${id}`).then(({ name }) => put((old) => ({ ...old, [id]: name })), () => put((old) => ({ ...old, [id]: "" })));
    }
  }, [ids]);
  return names;
}
