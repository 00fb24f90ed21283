// The composer: a reply, or a note among agents; files, emoji, standard messages, templates, and later.

import { ScheduleDialog } from "../contact/schedule.js";
import { call } from "../frame/api.js";
import { classes, html, useEffect, useLayoutEffect, useRef, useState } from "../frame/html.js";
import { useKeys } from "../frame/keys.js";
import { t } from "../frame/words.js";
import { Button, Icon, IconButton, Menu, toast, useGet } from "../ui/index.js";
import { draftOf, enterSends, keepDraft, setEnterSends } from "./drafts.js";
import { EmojiPanel } from "./emoji.js";
import { MentionPanel, mentioned } from "./mentions.js";
import { nameOf } from "./entry.js";
import { Notices, standing, useNow } from "./notices.js";
import { post } from "./outbox.js";
import { inShort } from "./parts.js";
import { ScheduledStrip, scheduledPath } from "./scheduled.js";
import { StandardPanel } from "./standard.js";
import { TemplateDialog } from "./templates.js";
import { ACCEPT, FileRow, plain, useFiles } from "./uploads.js";
import { Ways } from "./ways.js";

const TYPING_MS = 4000;
const LONGEST = 10_000;

export function Composer({ thread, account, quoted, onQuote, drop }) {
  const session = thread.session.value;
  const ended = session.list === "ended";
  const [kept] = useState(() => draftOf(thread.id));
  const [draft, put] = useState(kept);
  const [open, show] = useState(""); // "emoji", "standard", "template", "schedule"
  const [token, setToken] = useState(null); // {kind: "/" or "@", q, from, to} at the caret
  const [ways, setWays] = useState({ way: "", offline: "" });
  const [enter, setEnter] = useState(enterSends);
  const area = useRef(null);
  const picker = useRef(null);
  const chosenKeys = useRef(null);
  const takes = { carries: session.capabilities?.carries ?? [], limits: account?.limits ?? {} };
  const files = useFiles(thread.id, kept.files, takes);
  const scheduled = useGet(scheduledPath(thread.id));
  const now = useNow(Boolean(session.capabilities?.can_free_text_until || session.capabilities?.human_agent_until));
  const mode = ended ? "note" : draft.mode;
  const text = mode === "note" ? draft.note : draft.text;
  const can = standing(session.capabilities, now);
  const comments = takes.carries.includes("private_reply"); // each answer says by which way it goes
  const something = mode === "note" ? text.trim() : text.trim() || files.files.length;
  const ready = something && (mode === "note" || (files.ready && can.open));

  const change = (more) => put((old) => ({ ...old, ...more }));
  const write = (value) => change(mode === "note" ? { note: value } : { text: value });
  const turn = (to) => {
    if (ended && to === "reply") return;
    change({ mode: to });
    setToken(null);
    setTimeout(() => area.current?.focus());
  };
  useEffect(() => keepDraft(thread.id, { ...draft, files: plain(files.files) }), [draft, files.files]);
  useLayoutEffect(() => {
    const it = area.current;
    it.style.blockSize = "auto"; // as tall as what is written; the sheet says how tall at most
    it.style.blockSize = `${it.scrollHeight + 2}px`;
  }, [text, mode]);
  useEffect(() => {
    if (quoted) area.current.focus();
  }, [quoted]);
  useEffect(() => {
    drop.current = (list) => {
      if (mode === "note") return toast(t("talk.note.nofiles"));
      const said = files.add(list);
      if (said) toast(said, { kind: "bad" });
    };
    // A message that was refused and is taken up again.
    thread.giveBack = (item) => {
      const { body } = item;
      if (item.path === "notes") put((old) => ({ ...old, mode: "note", note: before(body.text, old.note), mentions: [...old.mentions, ...(item.mentions ?? [])] }));
      else {
        put((old) => ({ ...old, mode: "reply", text: before(body.text, old.text), standard: body.standard_message ?? old.standard }));
        setWays({ way: body.way ?? "", offline: body.offline ?? "" });
        const answered = thread.entries.value.find(({ id }) => id === body.reply_to);
        if (answered) onQuote(answered);
      }
      if (item.files.length) files.set((all) => [...item.files.map((one) => ({ ...one, state: "done", part: 1, why: "" })), ...all]);
      area.current?.focus();
    };
  });

  const typed = useRef(0);
  const input = (event) => {
    write(event.target.value);
    setToken(tokenAt(event.target, mode));
    const typing = mode === "reply" && event.target.value.trim() && takes.carries.includes("typing") && can.open;
    if (!typing || Date.now() - typed.current < TYPING_MS || !navigator.onLine) return;
    typed.current = Date.now();
    call("POST", `/sessions/${encodeURIComponent(thread.id)}/typing`, {}).catch(() => {});
  };
  // In place of `instead`, a token, if it still stands there; else at the caret. What was typed since stays.
  const insert = (value, instead = null) => {
    const { value: now, selectionStart, selectionEnd } = area.current;
    const caret = [selectionStart, selectionEnd];
    const field = mode === "note" ? "note" : "text";
    put((old) => {
      const [from, to] = spanOf(old[field], instead, caret);
      return { ...old, [field]: old[field].slice(0, from) + value + old[field].slice(to) };
    });
    setToken(null);
    const [from, to] = spanOf(now, instead, caret);
    const at = Math.max(from, selectionEnd - (to - from)) + value.length;
    setTimeout(() => {
      area.current?.focus();
      area.current?.setSelectionRange(at, at);
    });
  };
  const send = () => {
    if (!ready) return;
    if (mode === "note") {
      post(thread.id, { path: "notes", body: { text: text.trimEnd(), mentions: mentioned(text, draft.mentions) }, mentions: draft.mentions });
      change({ note: "", mentions: [] });
    } else {
      const sent = plain(files.files);
      post(thread.id, { body: bodyOf({ text, sent, quoted, ways: comments ? { ...ways, way: ways.way || "public" } : ways, standard: draft.standard }), files: sent });
      change({ text: "", standard: "" });
      files.set([]);
      onQuote(null);
      setWays({ way: ways.way === "private" ? "" : ways.way, offline: "" });
    }
    setToken(null);
    area.current.focus();
  };
  const takeTemplate = (template, shown) => {
    post(thread.id, { body: { template }, shown });
    show("");
  };
  const planned = (made) => {
    close();
    if (!made) return;
    change({ text: "", standard: "" });
    files.set([]);
    scheduled.reload();
  };
  const takeStandard = (made) => {
    const { body, missing, problem } = made;
    const slash = token?.kind === "/" ? token : null;
    insert(body.text, slash);
    if (body.attachments.length) {
      const known = new Map(made.attachments.map((one) => [one.id, one]));
      files.set((all) => [...all, ...body.attachments.map(({ id }) => ({ key: id, id, name: known.get(id)?.name ?? id, size: known.get(id)?.size_bytes, kind: known.get(id)?.kind, state: "done", part: 1, why: "" }))]);
    }
    change({ standard: body.standard_message });
    show("");
    if (missing.length) toast(t("talk.standard.missing", { names: missing.map(({ name }) => name).join(", ") }));
    if (problem) toast(problem.detail, { kind: "bad" });
  };
  const keyed = (event) => {
    if (event.isComposing || event.keyCode === 229) return; // an input method is choosing
    if (token && chosenKeys.current?.(event)) return;
    if (event.key === "Escape") {
      if (quoted) onQuote(null);
      else area.current.blur();
    }
    const mod = event.ctrlKey || event.metaKey;
    if (event.key !== "Enter" || event.shiftKey || (!mod && !enter)) return;
    event.preventDefault();
    event.stopPropagation();
    send();
  };
  const pasted = (event) => {
    if (!event.clipboardData?.files.length) return;
    event.preventDefault();
    drop.current(event.clipboardData.files);
  };
  useKeys([
    { keys: "r", label: "talk.key.reply", group: "talk.keys", run: () => turn("reply") },
    { keys: "n", label: "talk.key.note", group: "talk.keys", run: () => turn("note") },
    { keys: "mod+Enter", label: "talk.key.send", group: "talk.keys", typing: true, run: send },
  ], [mode, ready, text, files.files, quoted, ways, draft, ended]);

  const close = () => {
    show("");
    area.current?.focus();
  };
  const toggle = (name) => show(open === name ? "" : name);
  const later = { label: t("talk.schedule"), icon: "calendar-clock", run: () => show("schedule"), hidden: mode === "note" };
  const more = [
    { ...later, hidden: later.hidden || ended },
    { label: t("talk.template"), icon: "file-text", run: () => show("template"), hidden: mode === "note" || !can.templates.length },
    { label: t("talk.enter"), checked: enter, run: () => { setEnterSends(!enter); setEnter(!enter); } },
  ];
  return html`<section class=${classes("composer", mode)} aria-label=${t(mode === "note" ? "talk.note" : "talk.reply")}>
    <${ScheduledStrip} list=${scheduled} contact=${session.contact.id} />
    <${Notices} thread=${thread} mode=${mode} now=${now} onTemplates=${() => show("template")} />
    <div class="composer-box">
      <div class="composer-top" role="group" aria-label=${t("talk.mode")}>
        ${!ended && html`<button type="button" aria-pressed=${String(mode === "reply")} onClick=${() => turn("reply")}>${t("talk.reply")}</button>`}
        <button type="button" aria-pressed=${String(mode === "note")} onClick=${() => turn("note")}><${Icon} name="sticky-note" size=${14} />${t("talk.note")}</button>
        ${mode === "reply" && html`<${Ways} thread=${thread} ways=${ways} onChange=${setWays} now=${now} />`}
      </div>
      ${quoted && mode === "reply" && html`<p class="talk-quote now"><span><strong>${nameOf(quoted.sender, session.contact)}</strong> <span dir="auto">${inShort(quoted)}</span></span>
        <${IconButton} icon="x" size=${15} label=${t("talk.quote.drop")} onClick=${() => onQuote(null)} /></p>`}
      <textarea ref=${area} rows="2" dir=${text ? "auto" : undefined} maxlength=${LONGEST} value=${text} onInput=${input} onKeyDown=${keyed} onPaste=${pasted}
        onBlur=${() => setTimeout(() => setToken(null), 150)}
        aria-label=${t(mode === "note" ? "talk.note.write" : "talk.write")}
        placeholder=${t(mode === "note" ? "talk.note.place" : "talk.place")}></textarea>
      ${mode === "reply" && html`<${FileRow} ...${files} />`}
      <div class="composer-end">
        ${mode === "reply" && html`<${IconButton} icon="paperclip" label=${t("talk.attach")} onClick=${() => picker.current.click()} />
          <input ref=${picker} type="file" multiple hidden accept=${ACCEPT} onChange=${(event) => { drop.current(event.target.files); event.target.value = ""; }} />`}
        <${IconButton} icon="smile" label=${t("talk.emoji")} aria-expanded=${String(open === "emoji")} onClick=${() => toggle("emoji")} />
        ${mode === "reply" && html`<${IconButton} icon="folder" label=${t("talk.standard")} aria-expanded=${String(open === "standard")} onClick=${() => toggle("standard")} />`}
        <${Menu} label=${t("talk.more")} items=${more} class="icon-button composer-more" />
        <span class="talk-hint composer-hint">${text.length > LONGEST - 500 ? t("talk.chars", { n: LONGEST - text.length }) : t(enter ? "talk.hint.enter" : "talk.hint.mod")}</span>
        <${Button} kind="primary" icon=${mode === "note" ? "sticky-note" : "send"} aria-disabled=${ready ? undefined : "true"} disabled=${!ready} onClick=${send}
          title=${mode === "reply" && !can.open ? t("talk.send.closed") : undefined}>${t(mode === "note" ? "talk.note.keep" : "talk.send")}<//>
      </div>
      ${open === "emoji" && html`<${Away} onClose=${() => show("")}><${EmojiPanel} onClose=${close} onPick=${(sign) => { show(""); insert(sign); }} /><//>`}
      ${open === "standard" && html`<${Away} onClose=${() => show("")}><${StandardPanel} thread=${thread} onPick=${takeStandard} onClose=${close} /><//>`}
      ${!open && token?.kind === "/" && html`<${StandardPanel} thread=${thread} q=${token.q} keys=${chosenKeys} onPick=${takeStandard} onClose=${() => setToken(null)} />`}
      ${!open && token?.kind === "@" && html`<${MentionPanel} q=${token.q} keys=${chosenKeys} onClose=${() => setToken(null)}
        onPick=${(agent) => { change({ mentions: [...draft.mentions, { id: agent.id, name: agent.name }] }); insert(`@${agent.name} `, token); }} />`}
    </div>
    ${open === "template" && html`<${TemplateDialog} templates=${account?.templates ?? []} allowed=${can.templates} onPick=${takeTemplate} onClose=${close} />`}
    ${open === "schedule" && html`<${ScheduleDialog} session=${session} contact=${session.contact.id} given=${{ text: draft.text, attachments: plain(files.files) }} onDone=${planned} />`}
  </section>`;
}

function Away({ onClose, children }) {
  const box = useRef(null);
  useEffect(() => {
    const away = (event) => !box.current?.contains(event.target) && !event.target.closest?.(".composer-end") && onClose();
    addEventListener("pointerdown", away);
    return () => removeEventListener("pointerdown", away);
  }, []);
  return html`<div ref=${box}>${children}</div>`;
}

// "/words" at the beginning of a reply's line, or "@name" in a note, that ends at the caret.
export function tokenAt({ value, selectionStart: to }, mode) {
  const before = value.slice(0, to);
  const found = mode === "note" ? /(?:^|\s)@([^\s@]{0,40})$/u.exec(before) : /(?:^|\n)\/([^\n/]{0,60})$/u.exec(before);
  if (!found) return null;
  return { kind: mode === "note" ? "@" : "/", q: found[1], from: to - found[1].length - 1, to };
}

// [from, to] of the token where it stands, else the caret's.
function spanOf(text, token, caret) {
  return token && text.slice(token.from, token.to) === token.kind + token.q ? [token.from, token.to] : caret;
}

// What is taken up again stands before what is being written.
function before(back, writing) {
  return [back ?? "", writing].filter((one) => one.trim()).join("\n");
}

function bodyOf({ text, sent, quoted, ways, standard }) {
  const body = { text: text.trimEnd(), attachments: sent.map(({ id }) => id) };
  if (quoted) body.reply_to = quoted.id;
  if (ways.way) body.way = ways.way;
  if (ways.offline) body.offline = ways.offline;
  if (standard) body.standard_message = standard;
  return body;
}
