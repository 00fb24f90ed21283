// What is done to many sessions at once, and what became of each.

import { call, newKey } from "../frame/api.js";
import { html, useEffect, useState } from "../frame/html.js";
import { me } from "../frame/me.js";
import { t } from "../frame/words.js";
import { Button, Dialog, Icon, IconButton, Menu, Select, TextField, confirm, inWords, toast, useWork } from "../ui/index.js";
import { nameOf } from "./row.js";
import { agents, readAgents } from "./start.js";

const MOST = 100; // sessions of one call
const AT_ONCE = 4;

// Does one action to all of them, in calls of at most a hundred. Where the workspace wants an end
// confirmed (A21), asks once. Answers the items, or null where it was not confirmed.
async function doAll(ids, body) {
  const items = [];
  let sure = false;
  for (let from = 0; from < ids.length; from += MOST) {
    const given = { ...body, ids: ids.slice(from, from + MOST) };
    try {
      items.push(...(await call("POST", "/sessions/bulk", given, { key: newKey() })).items);
    } catch (error) {
      if (error.problem?.code !== "confirmation_required") throw error;
      sure ||= await confirm({
        title: t("inbox.end.sure", { n: ids.length }), text: error.problem.facts?.summary, action: t("inbox.end"), danger: true,
      });
      if (!sure) return items.length ? items : null;
      const again = { ...given, confirm: error.problem.facts.token };
      items.push(...(await call("POST", "/sessions/bulk", again, { key: newKey() })).items);
    }
  }
  return items;
}

async function snoozeAll(ids, until) {
  const waiting = [...ids];
  const items = [];
  const worker = async () => {
    for (let id = waiting.shift(); id; id = waiting.shift()) {
      const path = `/sessions/${encodeURIComponent(id)}/snooze`;
      items.push(await call("POST", path, { until }).then(
        (session) => ({ id, done: true, session }),
        (error) => ({ id, done: false, problem: { detail: inWords(error) } }),
      ));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return items;
}

const LATER = [
  ["hour", () => new Date(Date.now() + 3_600_000)],
  ["hours", () => new Date(Date.now() + 3 * 3_600_000)],
  ["tomorrow", () => morning(1)],
  ["week", () => morning(7)],
];

function morning(days) {
  const at = new Date();
  at.setDate(at.getDate() + days);
  at.setHours(9, 0, 0, 0);
  return at;
}

export function BulkBar({ list, picked }) {
  const [open, put] = useState("");
  const [results, show] = useState(null);
  const ids = [...picked.value].filter((id) => list.state.value.rows.has(id));
  const n = ids.length;
  const work = useWork(async (doing) => {
    try {
      const items = await doing();
      if (items) finish(items);
    } catch (error) {
      toast(inWords(error), { kind: "bad" });
    }
  });
  const finish = (items) => {
    for (const { session } of items) if (session) list.update(session);
    const failed = items.filter(({ done }) => !done);
    const rows = list.state.value.rows;
    picked.value = new Set(failed.map(({ id }) => id));
    if (!failed.length) toast(t("inbox.bulk.done", { n: items.length }));
    else show(items.map((item) => ({ ...item, name: nameOf(rows.get(item.id)?.contact ?? { id: item.id }) })));
  };
  const act = (body) => work.run(() => doAll(ids, body));
  const closed = (body) => {
    put("");
    if (body) act(body);
  };
  const others = [
    { label: t("inbox.bulk.read"), icon: "check-check", run: () => act({ action: "read" }) },
    { label: t("inbox.bulk.claim"), icon: "hand", run: () => act({ action: "claim" }) },
    { label: t("inbox.bulk.leave"), icon: "user-minus", run: () => act({ action: "remove", agents: [me.value.agent.id] }) },
    { label: t("inbox.bulk.boton"), icon: "bot", run: () => act({ action: "bot", on: true }) },
    { label: t("inbox.bulk.botoff"), icon: "power", run: () => act({ action: "bot", on: false }) },
  ];
  const snooze = LATER.map(([name, at]) => ({
    label: t(`inbox.later.${name}`), icon: "moon", run: () => work.run(() => snoozeAll(ids, at().toISOString())),
  }));
  const all = list.state.value.order;
  return html`<div class="bulk-bar" role="toolbar" aria-label=${t("inbox.bulk", { n })}>
    <${IconButton} icon="x" label=${t("inbox.bulk.none")} onClick=${() => (picked.value = new Set())} />
    <strong>${t("inbox.bulk", { n })}</strong>
    <${Button} small kind="quiet" onClick=${() => (picked.value = new Set(all))}>${t("inbox.bulk.all")}<//>
    <span class="bulk-acts">
      <${IconButton} icon="user-plus" label=${t("inbox.bulk.assign")} onClick=${() => put("assign")} />
      <${IconButton} icon="circle-check" label=${t("inbox.end")} onClick=${() => act({ action: "end" })} />
      <${IconButton} icon="tag" label=${t("inbox.bulk.tag")} onClick=${() => put("tag")} />
      <${Menu} label=${t("inbox.bulk.snooze")} button=${html`<${Icon} name="moon" />`} items=${snooze} />
      <${Menu} label=${t("inbox.bulk.more")} items=${others} />
    </span>
    ${work.busy && html`<${Icon} name="loader-circle" class="turning" label=${t("ui.loading")} />`}
    ${open === "assign" && html`<${AssignMany} n=${n} onDone=${closed} />`}
    ${open === "tag" && html`<${TagMany} n=${n} onDone=${closed} />`}
    ${results && html`<${Results} items=${results} onClose=${() => show(null)} />`}
  </div>`;
}

function AssignMany({ n, onDone }) {
  const [who, put] = useState(me.value.agent.id);
  useEffect(() => void readAgents().catch((error) => toast(inWords(error), { kind: "bad" })), []);
  const able = agents.value.filter(({ role, id }) => role !== "read_only" && id !== me.value.agent.id);
  const options = [[me.value.agent.id, t("inbox.assign.me")], ...able.map(({ id, name, presence }) => [id, presence ? `${name} (${t(`frame.presence.${presence}`)})` : name])];
  const footer = html`<${Button} onClick=${() => onDone(null)}>${t("ui.cancel")}<//>
    <${Button} kind="primary" onClick=${() => onDone({ action: "assign", assignees: [who] })}>${t("inbox.bulk.assign")}<//>`;
  return html`<${Dialog} title=${t("inbox.assign.title", { n })} onClose=${() => onDone(null)} footer=${footer}>
    <${Select} label=${t("inbox.assign.to")} value=${who} options=${options} onChange=${put} hint=${t("inbox.assign.hint")} />
  <//>`;
}

function TagMany({ n, onDone }) {
  const [add, putAdd] = useState("");
  const [take, putTake] = useState("");
  const words = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);
  const send = (event) => {
    event.preventDefault();
    if (words(add).length || words(take).length) onDone({ action: "tag", add: words(add), take: words(take) });
  };
  const footer = html`<${Button} onClick=${() => onDone(null)}>${t("ui.cancel")}<//><${Button} kind="primary" type="submit" form="tag-many">${t("ui.save")}<//>`;
  return html`<${Dialog} title=${t("inbox.tag.title", { n })} onClose=${() => onDone(null)} footer=${footer}>
    <form id="tag-many" class="form" onSubmit=${send}>
      <${TextField} label=${t("inbox.tag.add")} hint=${t("inbox.tag.hint")} value=${add} onInput=${putAdd} autofocus />
      <${TextField} label=${t("inbox.tag.take")} value=${take} onInput=${putTake} />
    </form>
  <//>`;
}

function Results({ items, onClose }) {
  const done = items.filter((item) => item.done).length;
  const footer = html`<${Button} kind="primary" onClick=${onClose}>${t("ui.close")}<//>`;
  return html`<${Dialog} title=${t("inbox.bulk.some", { done, n: items.length })} onClose=${onClose} footer=${footer}>
    <ul class="bulk-results">
      ${items.map(({ id, name, done: went, problem }) => html`<li key=${id} class=${went ? "" : "failed"}>
        <${Icon} name=${went ? "circle-check" : "circle-alert"} size=${16} /><bdi>${name}</bdi>
        <span>${went ? t("inbox.bulk.ok") : problem.detail}</span>
      </li>`)}
    </ul>
  <//>`;
}
