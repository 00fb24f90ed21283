// What was scheduled for a contact: what waits first, then what became of the rest.

import { ask, call } from "../frame/api.js";
import { html, useEffect, useState } from "../frame/html.js";
import { has, t } from "../frame/words.js";
import { Button, ChannelIcon, Menu, Problem, Time, Waiting, confirm, inWords, toast, usePages } from "../ui/index.js";
import { editable } from "./facts.js";
import { ScheduleDialog } from "./schedule.js";

const KINDS = { pending: "", sent: "good", skipped: "late", failed: "bad", cancelled: "" };

function Row({ item, canEdit, edit, changed }) {
  const open = item.state === "pending" && !item.being_sent && canEdit;
  const cancel = async () => {
    if (!(await confirm({ title: t("contact.later.cancel"), text: t("contact.later.cancel.text", { name: item.name }), action: t("contact.later.cancel"), cancel: t("contact.later.keep"), danger: true }))) return;
    try {
      changed(await call("POST", `/scheduled-messages/${encodeURIComponent(item.id)}/cancel`, {}));
      toast(t("contact.later.cancelled"));
    } catch (error) {
      toast(inWords(error), { kind: "bad" });
      changed((await ask("GET", `/scheduled-messages/${encodeURIComponent(item.id)}`)).body);
    }
  };
  const warned = item.state === "pending" && item.expected && item.expected !== "goes";
  return html`<li class="later-row">
    <div>
      <p><span class="strong" dir="auto">${item.name}</span> <span class=${`chip ${KINDS[item.state]}`}>${t(`contact.later.state.${item.held ? "held" : item.state}`)}</span></p>
      <p class="dim"><${ChannelIcon} channel=${item.channel} size=${13} /> <${Time} at=${item.due_at} /> · ${item.author.name}</p>
      ${item.text && html`<p class="later-excerpt" dir="auto">${item.text}</p>`}
      ${warned && html`<p class="later-warn">${t("contact.later.expected", { why: has(`contact.later.why.${item.expected}`) ? t(`contact.later.why.${item.expected}`) : item.expected })}</p>`}
      ${item.detail && html`<p class="hint-text">${item.detail}</p>`}
    </div>
    ${open && html`<${Menu} label=${t("contact.later.acts", { name: item.name })} items=${[
      { label: t("ui.edit"), icon: "pencil", run: () => edit(item) },
      { label: t("contact.later.cancel"), icon: "x", danger: true, run: cancel },
    ]} />`}
  </li>`;
}

// `shown`: {open, put} of the dialog, so that the section's head may open it.
export function Scheduled({ contact, session, dialog, close }) {
  const path = { contact: contact.id, order: "desc", limit: 100 };
  const pages = usePages("/scheduled-messages", path);
  const [editing, edit] = useState(null);
  useEffect(() => {
    if (!pages.items.some(({ state }) => state === "pending")) return undefined;
    const next = Math.min(...pages.items.filter(({ state }) => state === "pending").map(({ due_at: at }) => Date.parse(at)));
    const timer = setTimeout(pages.reload, Math.min(Math.max(next - Date.now(), 0) + 4000, 2 ** 31 - 1));
    return () => clearTimeout(timer);
  }, [pages.items]);
  const put = (view) => pages.set([view, ...pages.items.filter(({ id }) => id !== view.id)]);
  const done = (view) => {
    edit(null);
    close();
    if (view) put(view);
  };
  const waiting = pages.items.filter(({ state }) => state === "pending").sort((a, b) => a.due_at.localeCompare(b.due_at));
  const over = pages.items.filter(({ state }) => state !== "pending");
  const row = (item) => html`<${Row} key=${item.id} item=${item} canEdit=${editable(contact)} edit=${edit} changed=${put} />`;
  return html`<div>
    ${pages.loading && !pages.items.length && html`<${Waiting} />`}
    <${Problem} error=${pages.error} retry=${pages.reload} />
    ${!pages.loading && !pages.error && !waiting.length && html`<p class="dim">${t("contact.later.none")}</p>`}
    <ul class="later-list">${waiting.map(row)}</ul>
    ${over.length > 0 && html`<details class="later-over"><summary>${t("contact.later.over", { n: over.length })}</summary><ul class="later-list">${over.map(row)}</ul></details>`}
    ${(dialog || editing) && html`<${ScheduleDialog} session=${editing ? null : session} contact=${contact.id} given=${editing ?? undefined} onDone=${done} />`}
  </div>`;
}

export function NewScheduled({ open }) {
  return html`<${Button} small kind="quiet" icon="plus" onClick=${open}>${t("contact.later.new")}<//>`;
}
