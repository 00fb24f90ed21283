// Writing a message now that goes out later. Used by the pane of a contact, by the composer and by the
// list of scheduled messages:
//   <ScheduleDialog session contact given onDone />
// session: the session (its id or row), or null; contact: the contact's id. One of both is needed.
// given: what it begins with, {text, attachments: [{id, name}], at}; or a scheduled message of the API
// (it has an `id`), which is then changed. onDone(view): it was scheduled or changed; onDone(null): not.

import { ask, call, newKey, upload } from "../frame/api.js";
import { html, useEffect, useRef, useState } from "../frame/html.js";
import { clock, has, t } from "../frame/words.js";
import { Button, Checkbox, Dialog, Icon, Problem, Select, TextArea, TextField, Waiting, inWords, toast, useGet, useWork, wrongWith } from "../ui/index.js";
import { FallbackTemplate, templateBody, templateOf } from "./template.js";

const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const VARIABLES = ["contact.name", "contact.phone", "contact.email", "agent.name", "account.name"];
const MINUTE = 60_000;

// "2026-12-24T09:00" on this browser's clock, as <input type=datetime-local> has it.
export function localInput(date) {
  const two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}`;
}

function presets(now = new Date()) {
  const at = (days, hour) => new Date(now.getFullYear(), now.getMonth(), now.getDate() + days, hour);
  return [
    ["hour", new Date(now.getTime() + 60 * MINUTE)],
    ["tomorrow", at(1, 9)],
    ["monday", at((8 - now.getDay()) % 7 || 7, 9)],
    ["week", at(7, now.getHours())],
  ].map(([name, date]) => [name, localInput(date)]);
}

function beginning(given = {}) {
  if (!given.id) {
    return {
      name: t("contact.later.name.first"), kind: "text", text: given.text ?? "", standard: "", attachments: given.attachments ?? [],
      at: given.at ?? presets()[1][1], zone: ZONE, quiet: true, reply: false, moved: false, closed: "fail", template: null, account: "",
    };
  }
  return {
    name: given.name, kind: given.standard_message ? "standard" : "text", text: given.text, standard: given.standard_message,
    attachments: given.attachments, at: given.local.slice(0, 16), zone: given.zone, quiet: Boolean(given.quiet_hours),
    reply: given.only_if_no_reply, moved: given.unless_moved, closed: given.when_closed,
    template: templateOf(given.fallback_template), account: given.account,
  };
}

function content(form) {
  if (form.kind === "standard") return { standard_message: form.standard };
  return { ...(form.text.trim() && { text: form.text }), ...(form.attachments.length && { attachments: form.attachments.map(({ id }) => id) }) };
}

// The body of a new one; of a change only what differs from `before`, the form as it was.
function bodyOf(form, before, whole) {
  const body = {
    name: form.name.trim(), at: form.at, zone: form.zone,
    only_if_no_reply: form.reply, unless_moved: form.moved, when_closed: form.closed,
    ...(form.closed === "template" && form.template && { fallback_template: templateBody(form.template) }),
    ...(!form.quiet && { quiet_hours: null }),
  };
  if (whole) return { ...body, ...content(form) };
  const same = JSON.stringify(content(form)) === JSON.stringify(content(before));
  if (form.at === before.at) delete body.at;
  if (form.zone === before.zone) delete body.zone;
  if (form.quiet === before.quiet) delete body.quiet_hours;
  return { ...body, ...(!same && content(form)) };
}

function Files({ files, put }) {
  const input = useRef(null);
  const [progress, tell] = useState(null);
  const adding = useWork(async (chosen) => {
    const added = [];
    for (const file of chosen) {
      tell(0);
      added.push(await upload(`/attachments?name=${encodeURIComponent(file.name)}`, file, {
        progress: tell, headers: { "Idempotency-Key": newKey(), "Content-Type": file.type || "application/octet-stream" },
      }));
    }
    put([...files, ...added]);
  });
  return html`<div class="later-files">
    <ul class="tag-list">
      ${files.map((file) => html`<li key=${file.id} class="tag-chip"><${Icon} name="paperclip" size=${13} /><span dir="auto">${file.name}</span>
        <button type="button" aria-label=${t("contact.later.file.take", { name: file.name })} onClick=${() => put(files.filter(({ id }) => id !== file.id))}><${Icon} name="x" size=${13} /></button></li>`)}
      <li><${Button} small kind="quiet" icon="paperclip" busy=${adding.busy} onClick=${() => input.current.click()}>${t("contact.later.file")}<//></li>
    </ul>
    ${adding.busy && html`<progress max="1" value=${progress} aria-label=${t("contact.later.file")}></progress>`}
    <input ref=${input} type="file" multiple hidden onChange=${(event) => { adding.run([...event.target.files]); event.target.value = ""; }} />
    <${Problem} error=${adding.error} />
  </div>`;
}

function Content({ form, set, error }) {
  const area = useRef(null);
  const standard = useGet(form.kind === "standard" ? "/standard-messages?limit=200" : null);
  const put = (name) => {
    const box = area.current.querySelector("textarea");
    const { selectionStart: from, selectionEnd: to, value } = box;
    set({ text: `${value.slice(0, from)}{{${name}}}${value.slice(to)}` });
    box.focus();
  };
  const chosen = standard.data?.items.find(({ id }) => id === form.standard);
  return html`<div class="later-content" ref=${area}>
    <div class="later-segments" role="group" aria-label=${t("contact.later.content")}>
      ${["text", "standard"].map((kind) => html`<button key=${kind} type="button" aria-pressed=${String(form.kind === kind)} onClick=${() => set({ kind })}>${t(`contact.later.kind.${kind}`)}</button>`)}
    </div>
    ${form.kind === "text" && html`
      <${TextArea} label=${t("contact.later.text")} value=${form.text} onInput=${(text) => set({ text })} rows=${4} maxlength="10000" dir="auto"
        error=${wrongWith(error, "text")} />
      <p class="later-names"><span class="dim">${t("contact.later.insert")}</span>
        ${VARIABLES.map((name) => html`<button key=${name} type="button" class="linkish" onClick=${() => put(name)}>${t(`contact.later.variable.${name}`)}</button>`)}</p>
      <${Files} files=${form.attachments} put=${(attachments) => set({ attachments })} />`}
    ${form.kind === "standard" && (standard.loading ? html`<${Waiting} />` : html`
      <${Select} label=${t("contact.later.kind.standard")} value=${form.standard} onChange=${(one) => set({ standard: one })} error=${wrongWith(error, "standard_message")}
        options=${[["", t("contact.later.choose")], ...(standard.data?.items ?? []).map((one) => [one.id, one.title || one.text.slice(0, 60)])]} />
      ${chosen && html`<p class="note-text later-preview" dir="auto">${chosen.text}</p>`}
      <${Problem} error=${standard.error} retry=${standard.reload} />`)}
  </div>`;
}

function When({ form, set, error, contactZone }) {
  const zones = [["contact", contactZone ? t("contact.later.zone.theirs", { zone: contactZone }) : t("contact.later.zone.contact")], [ZONE, t("contact.later.zone.mine", { zone: ZONE })]];
  if (!zones.some(([zone]) => zone === form.zone)) zones.push([form.zone, form.zone]);
  return html`<div class="later-when">
    <div class="two-up">
      <${TextField} label=${t("contact.later.at")} type="datetime-local" value=${form.at} onInput=${(at) => set({ at })} error=${wrongWith(error, "at")} required />
      <${Select} label=${t("contact.later.zone")} value=${form.zone} options=${zones} onChange=${(zone) => set({ zone })} error=${wrongWith(error, "zone")} />
    </div>
    <p class="later-names">${presets().map(([name, at]) => html`<button key=${name} type="button" class="linkish" onClick=${() => set({ at })}>${t(`contact.later.preset.${name}`)}</button>`)}</p>
  </div>`;
}

function Conditions({ form, set, error, templates }) {
  const closes = error?.problem?.code === "window_closes_first";
  return html`<fieldset class="choices">
    <legend>${t("contact.later.conditions")}</legend>
    <${Checkbox} label=${t("contact.later.reply")} checked=${form.reply} onChange=${(reply) => set({ reply })} />
    <${Checkbox} label=${t("contact.later.moved")} checked=${form.moved} onChange=${(moved) => set({ moved })} />
    <${Checkbox} label=${t("contact.later.quiet")} checked=${form.quiet} onChange=${(quiet) => set({ quiet })} />
    <${Select} label=${t("contact.later.closed")} value=${form.closed} onChange=${(closed) => set({ closed })}
      error=${closes ? t("contact.later.closes", { at: clock(error.problem.facts?.until) }) : wrongWith(error, "when_closed")}
      options=${["fail", "hold", "template"].filter((one) => one !== "template" || templates.length || form.closed === one).map((one) => [one, t(`contact.later.closed.${one}`)])} />
    ${form.closed === "template" && html`<${FallbackTemplate} templates=${templates} value=${form.template} put=${(template) => set({ template })} error=${wrongWith(error, "fallback_template")} />`}
  </fieldset>`;
}

const AT_FIELD = ["name", "text", "standard_message", "at", "zone", "when_closed", "fallback_template", "account"];

export function ScheduleDialog({ session, contact, given, onDone }) {
  const where = typeof session === "string" ? session : session?.id;
  const whom = typeof contact === "string" ? contact : contact?.id;
  const before = useRef(beginning(given));
  const [form, put] = useState(before.current);
  const version = useRef(null);
  const key = useRef(newKey());
  const person = useGet(whom ? `/contacts/${encodeURIComponent(whom)}` : null);
  const accounts = useGet("/accounts");
  const set = (more) => put((old) => ({ ...old, ...more }));
  const ways = (person.data?.identities ?? []).map(({ account, channel }) => [account, named(accounts.data, account, channel)]);
  const account = form.account || session?.account || ways[0]?.[0] || "";
  const templates = accounts.data?.items.find(({ slug }) => slug === account)?.templates ?? [];
  useEffect(() => {
    if (given?.id) ask("GET", `/scheduled-messages/${encodeURIComponent(given.id)}`).then(({ etag }) => (version.current = etag), () => {});
  }, [given?.id]);
  const saving = useWork(async () => {
    const path = "/scheduled-messages";
    if (given?.id) {
      const etag = version.current || undefined;
      return call("PATCH", `${path}/${encodeURIComponent(given.id)}`, bodyOf(form, before.current, false), { etag });
    }
    const to = where ? { session: where } : { contact: whom, account };
    try {
      return await call("POST", path, { ...to, ...bodyOf(form, before.current, true) }, { key: key.current });
    } catch (error) {
      if (error.status) key.current = newKey(); // what was refused is written anew; what nobody answered, repeated
      throw error;
    }
  });
  const submit = async (event) => {
    event.preventDefault();
    const view = await saving.run();
    if (!view) return;
    toast(told(view, Boolean(given?.id)));
    onDone(view);
  };
  const { error } = saving;
  const atField = AT_FIELD.some((name) => wrongWith(error, name)) || error?.problem?.code === "window_closes_first";
  const ready = form.name.trim() && form.at && (form.kind === "standard" ? form.standard : form.text.trim() || form.attachments.length);
  const footer = html`<${Button} onClick=${() => onDone(null)}>${t("ui.cancel")}<//>
    <${Button} kind="primary" type="submit" form="later-form" icon="calendar-clock" busy=${saving.busy} disabled=${!ready}>${given?.id ? t("ui.save") : t("contact.later.do")}<//>`;
  return html`<${Dialog} title=${given?.id ? t("contact.later.edit") : t("contact.later.title")} onClose=${() => onDone(null)} footer=${footer}>
    <form class="form later" id="later-form" onSubmit=${submit}>
      <${TextField} label=${t("contact.later.name")} value=${form.name} onInput=${(name) => set({ name })} maxlength="200" required error=${wrongWith(error, "name")} />
      ${!where && !given?.id && ways.length > 1 && html`<${Select} label=${t("contact.later.account")} value=${account} options=${ways} onChange=${(one) => set({ account: one })} error=${wrongWith(error, "account")} />`}
      ${!where && !given?.id && person.data && !ways.length && html`<p class="problem" role="status">${t("contact.later.nowhere")}</p>`}
      <${Content} form=${form} set=${set} error=${error} />
      <${When} form=${form} set=${set} error=${error} contactZone=${person.data?.zone} />
      <${Conditions} form=${form} set=${set} error=${error} templates=${templates} />
      ${error && !atField && html`<p class="problem" role="alert">${error.status === 412 ? t("ui.changed") : inWords(error)}</p>`}
    </form>
  <//>`;
}

function named(accounts, slug, channel) {
  return accounts?.items.find((one) => one.slug === slug)?.name ?? `${t(`frame.channel.${channel}`)} · ${slug}`;
}

function told(view, changed) {
  const said = t(changed ? "contact.later.changed" : "contact.later.done", { at: clock(view.due_at) });
  const more = view.moved_by_quiet_hours ? "quiet" : view.shifted;
  return more && has(`contact.later.moved.${more}`) ? `${said} ${t(`contact.later.moved.${more}`)}` : said;
}

