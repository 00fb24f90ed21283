// One broadcast: how far it is, live; pause, go on, cancel, copy; and what became of each recipient.

import { call, newKey } from "../frame/api.js";
import { html, useEffect, useRef, useState } from "../frame/html.js";
import { go, href } from "../frame/router.js";
import { number, t } from "../frame/words.js";
import { Button, Card, ChannelIcon, Empty, Menu, More, Page, Problem, Select, Table, Time, Waiting, confirm, inWords, toast, useGet, usePages } from "../ui/index.js";
import { Marked } from "../settings/standard-list.js";
import { channelName } from "../settings/standard-scope.js";
import { Count } from "./audience.js";
import { Form } from "./form.js";
import { said } from "../scheduled/reasons.js";
import { State } from "./view.js";

const LOOKS_MS = 1500;
const OUTCOMES = ["pending", "sending", "sent", "delivered", "read", "failed", "skipped", "cancelled"];
const GOES_ON = ["running", "scheduled"];

export default function View({ params }) {
  const path = `/broadcasts/${params.id}`;
  const one = useGet(path);
  const [edited, edit] = useState(false);
  const [state, filter] = useState("");
  const latest = useRef(one);
  latest.current = one;
  const lively = one.data && (GOES_ON.includes(one.data.state) || one.data.under_way > 0);
  useEffect(() => {
    if (!lively) return undefined;
    const timer = setInterval(() => document.visibilityState === "visible" && latest.current.reload(), LOOKS_MS);
    return () => clearInterval(timer);
  }, [lively]);
  const back = { href: href("/broadcasts"), label: t("broadcasts.back") };
  if (!one.data) return html`<${Page} title="" back=${back}>${one.error ? html`<${Problem} error=${one.error} retry=${one.reload} />` : html`<${Waiting} />`}<//>`;
  const act = async (verb, body = {}) => {
    try {
      one.set(await call("POST", `${path}/${verb}`, body));
      toast(t(`broadcasts.did.${verb}`));
    } catch (failed) {
      toast(inWords(failed), { kind: "bad" });
      one.reload();
    }
  };
  return html`<${Page}
    back=${back} title=${html`<span dir="auto">${one.data.name}</span> <${State} state=${one.data.state} />`}
    actions=${html`<${Actions} one=${one.data} act=${act} onEdit=${() => edit(true)} />`}
  >
    <${Problem} error=${one.error} retry=${one.reload} />
    <${Progress} one=${one.data} />
    <${About} one=${one.data} />
    ${one.data.gathered && html`<${Recipients} key=${state} path=${path} one=${one.data} state=${state} onState=${filter} />`}
    ${edited && html`<${Form} one=${one.data} etag=${one.etag} onClose=${() => edit(false)} onSaved=${() => { edit(false); one.reload(); toast(t("ui.saved")); }} />`}
  <//>`;
}

const CAN = {
  draft: ["start", "edit", "copy", "delete"], scheduled: ["pause", "edit", "cancel", "copy"], running: ["pause", "cancel", "copy"],
  paused: ["resume", "edit", "cancel", "copy"], done: ["copy"], cancelled: ["copy"],
};

function Actions({ one, act, onEdit }) {
  const can = CAN[one.state] ?? [];
  const start = async () => {
    const text = one.at ? t("broadcasts.start_at", { at: one.at.replace("T", " ") }) : t("broadcasts.start_now");
    const more = html`<${Count} audience=${one.audience} />`;
    if (await confirm({ title: t("broadcasts.start_title", { name: one.name }), text, more, action: t("broadcasts.start") })) act("start");
  };
  const cancel = async () => {
    const sure = await confirm({ title: t("broadcasts.cancel_title", { name: one.name }), text: t("broadcasts.cancel_text"), action: t("broadcasts.cancel"), cancel: t("broadcasts.go_on"), danger: true });
    if (sure) act("cancel");
  };
  const copy = async () => {
    try {
      const made = await call("POST", `/broadcasts/${one.id}/copy`, {}, { key: newKey() });
      toast(t("broadcasts.did.copy"));
      go(`/broadcasts/${made.id}`);
    } catch (failed) {
      toast(inWords(failed), { kind: "bad" });
    }
  };
  const remove = async () => {
    if (!(await confirm({ title: t("broadcasts.delete_title", { name: one.name }), action: t("ui.delete"), danger: true }))) return;
    try {
      await call("DELETE", `/broadcasts/${one.id}`);
      go("/broadcasts");
    } catch (failed) {
      toast(inWords(failed), { kind: "bad" });
    }
  };
  const more = [
    { label: t("broadcasts.copy"), icon: "copy", run: copy },
    { label: t("ui.delete"), icon: "trash", danger: true, hidden: !can.includes("delete"), run: remove },
    { label: t("broadcasts.cancel"), icon: "circle-x", danger: true, hidden: !can.includes("cancel"), run: cancel },
  ];
  return html`
    ${can.includes("edit") && html`<${Button} icon="pencil" onClick=${onEdit}>${t("ui.edit")}<//>`}
    ${can.includes("pause") && html`<${Button} icon="pause" onClick=${() => act("pause")}>${t("broadcasts.pause")}<//>`}
    ${can.includes("resume") && html`<${Button} kind="primary" icon="play" onClick=${() => act("resume")}>${t("broadcasts.resume")}<//>`}
    ${can.includes("start") && html`<${Button} kind="primary" icon="send" onClick=${start}>${t("broadcasts.start")}<//>`}
    <${Menu} label=${t("broadcasts.more")} items=${more} />
  `;
}

function Progress({ one }) {
  if (!one.gathered) return one.state === "draft" ? html`<${Card} title=${t("broadcasts.audience_now")}><${Count} audience=${one.audience} /><//>` : html`<p class="dim" role="status">${t(one.state === "running" ? "broadcasts.gathering" : "broadcasts.waits")}</p>`;
  const waits = (one.counts.pending ?? 0) + (one.counts.sending ?? 0);
  const done = one.total - waits;
  return html`<${Card} title=${t("broadcasts.progress")}>
    <progress max=${one.total || 1} value=${done} aria-label=${t("broadcasts.progress")}></progress>
    <p>${t("broadcasts.progress_of", { done, total: one.total })}${one.under_way > 0 ? ` · ${t("broadcasts.under_way", { n: one.under_way })}` : ""}${one.reason ? ` · ${said(one.reason)}` : ""}</p>
    <dl class="tallies">${OUTCOMES.filter((name) => one.counts[name]).map((name) => html`<div key=${name} data-tally=${name} class=${name === "failed" ? "bad" : ""}><dt>${t(`broadcasts.outcome.${name}`)}</dt><dd>${number(one.counts[name])}</dd></div>`)}</dl>
  <//>`;
}

function About({ one }) {
  const tags = useGet("/tags");
  const name = (id) => tags.data?.items.find((tag) => tag.id === id)?.name ?? id;
  const { audience } = one;
  const facts = [
    [t("broadcasts.tags"), audience.tags.map(name).join(audience.match === "all" ? " + " : ", ")],
    [t("broadcasts.without"), audience.without.map(name).join(", ")],
    [t("broadcasts.channels"), audience.channels.map(channelName).join(", ")],
    [t("broadcasts.when"), one.at ? `${one.at.replace("T", " ")} · ${one.zone === "contact" ? t("broadcasts.zone_contact") : one.zone}` : t("broadcasts.at_once")],
    [t("broadcasts.pace"), Object.entries(one.pace).map(([account, n]) => t("broadcasts.pace_of", { account, n })).join(", ") || (one.per_minute ? number(one.per_minute) : "")],
    [t("broadcasts.author"), one.author.name],
  ].filter(([, value]) => value);
  return html`<${Card} title=${t("broadcasts.content")}>
    <p class="bubble" dir="auto"><${Marked} text=${one.text || one.attachments.map((file) => file.name).join(", ")} /></p>
    <dl class="words-facts">${facts.map(([label, value]) => html`<div key=${label}><dt>${label}</dt><dd dir="auto">${value}</dd></div>`)}</dl>
  <//>`;
}

function Recipients({ path, one, state, onState }) {
  const pages = usePages(`${path}/recipients`, { state, limit: 50 });
  const mark = JSON.stringify(one.counts);
  const seen = useRef(mark);
  useEffect(() => {
    if (seen.current === mark) return;
    seen.current = mark;
    if (pages.items.length <= 50) pages.reload(); // further pages stay as they were read
  }, [mark]);
  const columns = [
    { name: "contact", label: t("broadcasts.contact"), show: (row) => html`<a href=${href(row.session ? `/sessions/${row.session}` : `/contacts/${row.contact.id}`)} dir="auto">${row.contact.name || t("broadcasts.a_contact")}</a>` },
    { name: "channel", label: t("broadcasts.channel"), show: (row) => html`<span class="chips"><${ChannelIcon} channel=${row.channel} />${channelName(row.channel)}</span>` },
    { name: "state", label: t("broadcasts.outcome"), show: (row) => html`<span class=${`chip ${{ failed: "bad", skipped: "late", delivered: "good", read: "good", sent: "good" }[row.state] ?? ""}`}>${t(`broadcasts.outcome.${row.state}`)}</span>` },
    { name: "reason", label: t("broadcasts.reason"), show: (row) => [row.reason && said(row.reason), row.detail].filter(Boolean).join(": ") },
    { name: "at", label: t("broadcasts.changed"), show: (row) => html`<${Time} at=${row.updated_at} />` },
  ];
  return html`<${Card} title=${t("broadcasts.recipients")} actions=${html`<${Select} class="inline" label=${t("broadcasts.outcome")} value=${state} options=${[["", t("broadcasts.state.all")], ...OUTCOMES.map((name) => [name, t(`broadcasts.outcome.${name}`)])]} onChange=${onState} />`}>
    <${Problem} error=${pages.error} retry=${pages.reload} />
    ${pages.loading && !pages.items.length && html`<${Waiting} />`}
    ${pages.whole && !pages.items.length && !pages.error && html`<${Empty} icon="users" title=${t("broadcasts.nobody")} />`}
    ${pages.items.length > 0 && html`<${Table} caption=${t("broadcasts.recipients")} columns=${columns} rows=${pages.items} />`}
    <${More} pages=${pages} />
  <//>`;
}
