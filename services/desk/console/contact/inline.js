// One fact that is changed where it stands: click or Enter opens it, Enter saves, Esc leaves it as it
// was. A change is based on the version that was shown; if somebody else has set the same fact since,
// both values are shown and one is chosen.

import { html, useEffect, useId, useRef, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Icon, IconButton, inWords, useWork } from "../ui/index.js";

const TRIES = 4; // other facts of the contact may change while this one is saved

function stale(error) {
  return error.status === 412 || error.problem?.code === "changed_meanwhile";
}

// `valueOf(contact)` is the fact; `change(text, etag)` saves it; `fresh()` answers {contact, etag}.
export async function saved({ text, base, valueOf, change, fresh }) {
  let { etag } = base;
  for (let turn = 0; ; turn += 1) {
    try {
      await change(text, etag);
      return null;
    } catch (error) {
      if (!stale(error) || turn === TRIES) throw error;
      const now = await fresh();
      const theirs = valueOf(now.contact);
      if (theirs === text) return null;
      if (theirs !== base.value) return { theirs, mine: text, etag: now.etag };
      etag = now.etag; // something else was changed
    }
  }
}

function Control({ kind, choices, given, value, put, list }) {
  const typed = (event) => put(event.target.value);
  if (kind === "choice") {
    return html`<select ...${given} value=${value} onChange=${typed}>
      ${choices.map(([one, text]) => html`<option key=${one} value=${one} selected=${one === value}>${text}</option>`)}
    </select>`;
  }
  const type = kind === "date" ? "date" : "text";
  const mode = { email: "email", phone: "tel", number: "decimal", url: "url" }[kind];
  return html`<input ...${given} type=${type} inputmode=${mode} list=${list} value=${value} onInput=${typed} autocomplete="off" />`;
}

function Conflict({ label, clash, say, work, leave }) {
  return html`<div class="clash" role="alertdialog" aria-label=${t("contact.clash", { label })}>
    <p>${t("contact.clash", { label })}</p>
    <dl>
      <dt>${t("contact.clash.theirs")}</dt><dd>${say(clash.theirs) || t("contact.empty")}</dd>
      <dt>${t("contact.clash.mine")}</dt><dd>${say(clash.mine) || t("contact.empty")}</dd>
    </dl>
    <div class="form-end">
      <${Button} small autofocus onClick=${leave}>${t("contact.clash.keep")}<//>
      <${Button} small kind="primary" busy=${work.busy} onClick=${() => work.run(clash.mine, { value: clash.theirs, etag: clash.etag })}>${t("contact.clash.use")}<//>
    </div>
  </div>`;
}

// `say(value)` is how a value reads, `blank` what stands for none; `extra` stands behind it. Without `canEdit` it is only shown.
export function InlineFact({ label, value, etag, kind = "text", choices, list, hint, blank, say = (one) => one, extra, canEdit, valueOf, change, fresh, class: more = "" }) {
  const [base, open] = useState(null); // what was shown when it was opened
  const [text, put] = useState("");
  const [clash, setClash] = useState(null);
  const id = useId();
  const root = useRef(null);
  const back = useRef(false);
  const leave = () => {
    back.current = Boolean(root.current?.contains(document.activeElement));
    open(null);
    setClash(null);
    work.clear();
  };
  const work = useWork(async (wanted, from) => {
    const found = wanted === from.value ? null : await saved({ text: wanted, base: from, valueOf, change, fresh });
    if (found) setClash(found);
    else leave();
  });
  useEffect(() => {
    if (base && !clash) root.current?.querySelector("input, select")?.focus();
    if (clash) root.current?.querySelector(".clash button")?.focus();
    if (!base && back.current) root.current?.querySelector("button")?.focus();
    back.current = false;
  }, [Boolean(base), clash]);
  const begin = () => {
    put(value);
    open({ value, etag });
  };
  const keyed = (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      event.preventDefault();
      leave();
    } else if (event.key === "Enter" && event.target.matches("select")) {
      event.preventDefault();
      work.run(text.trim(), base);
    }
  };
  const left = (event) => {
    if (!clash && !work.busy && text === base.value && !root.current.contains(event.relatedTarget)) leave();
  };
  const submit = (event) => {
    event.preventDefault();
    work.run(text.trim(), base);
  };
  return html`<div class=${`fact ${more}`} ref=${root}>
    <dt>${label}</dt>
    <dd>
      ${!base && canEdit &&
      html`<button type="button" class="fact-value" onClick=${begin} aria-label=${value ? t("contact.edit", { label, value: say(value) }) : t("contact.add.what", { label })}>
        ${value ? html`<span dir="auto">${say(value)}</span>` : html`<span class="dim">${blank ?? t("contact.add")}</span>`}<${Icon} name="pencil" size=${13} />
      </button>`}
      ${!base && !canEdit && html`<span class="fact-value" dir="auto">${say(value) || "–"}</span>`}
      ${!base && extra}
      ${base && !clash &&
      html`<form class="fact-form field" onSubmit=${submit} onKeyDown=${keyed} onFocusOut=${left}>
        <div class="fact-edit">
          <${Control} kind=${kind} choices=${choices} list=${list} value=${text} put=${put}
            given=${{ "aria-label": label, "aria-invalid": work.error ? "true" : undefined, "aria-describedby": `${id}-hint` }} />
          <button type="submit" class="icon-button" aria-label=${t("ui.save")} title=${t("ui.save")} aria-busy=${work.busy ? "true" : undefined}>
            <${Icon} name=${work.busy ? "loader-circle" : "check"} class=${work.busy ? "turning" : ""} />
          </button>
          <${IconButton} icon="x" label=${t("ui.cancel")} onClick=${leave} />
        </div>
        <p id=${`${id}-hint`} class=${work.error ? "wrong" : "hint-text"} role=${work.error ? "alert" : undefined}>${work.error ? inWords(work.error) : hint}</p>
      </form>`}
      ${clash && html`<div onKeyDown=${keyed}><${Conflict} label=${label} clash=${clash} say=${say} work=${work} leave=${leave} />
        ${work.error && html`<p class="wrong" role="alert">${inWords(work.error)}</p>`}</div>`}
    </dd>
  </div>`;
}
