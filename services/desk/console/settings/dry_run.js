// A message tried by the rules as they are: what would happen, and why each rule did or did not fire.

import { call } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Card, Problem, Select, TextArea, TextField, useWork, wrongWith } from "../ui/index.js";
import { conditionWords } from "./rule_words.js";

export function DryRun({ known, rules }) {
  const [asked, put] = useState({ of: "account", account: "", session: "", trigger: "", text: "", language: "", returning: "" });
  const [found, show] = useState(null);
  const set = (more) => put({ ...asked, ...more });
  const account = asked.account || known.accounts[0]?.[0] || "";
  const work = useWork(() => call("POST", "/rules/dry-run", bodyOf({ ...asked, account })));
  const run = async (event) => {
    event.preventDefault();
    const answer = await work.run();
    if (answer) show(answer);
  };
  return html`<${Card} title=${t("rules.try")} hint=${t("rules.try.hint")}>
    <form class="try-form" onSubmit=${run}>
      <div class="two">
        <${Select} label=${t("rules.try.of")} value=${asked.of} options=${[["account", t("rules.try.account")], ["session", t("rules.try.session")]]} onChange=${(of) => set({ of })} />
        ${asked.of === "account"
          ? html`<${Select} label=${t("rules.try.at")} value=${account} options=${known.accounts} error=${wrongWith(work.error, "account")} onChange=${(one) => set({ account: one })} />`
          : html`<${TextField} label=${t("rules.try.id")} hint=${t("rules.try.id.hint")} required value=${asked.session} error=${wrongWith(work.error, "session")} onInput=${(session) => set({ session: session.trim() })} />
            <${Select} label=${t("rules.when")} value=${asked.trigger} options=${[["", t("rules.try.as_it_is")], ...["opened", "message", "handoff"].map((one) => [one, t(`rules.when.${one}`)])]} error=${wrongWith(work.error, "trigger")} onChange=${(trigger) => set({ trigger })} />`}
        <${Select} label=${t("rules.try.contact")} value=${asked.returning} options=${[["", t("rules.try.as_it_is")], ["no", t("rules.if.contact.kind.new")], ["yes", t("rules.if.contact.kind.returning")]]} onChange=${(returning) => set({ returning })} />
        <${TextField} class="short" label=${t("rules.if.language")} placeholder="en" value=${asked.language} onInput=${(language) => set({ language })} />
      </div>
      <${TextArea} label=${t("rules.try.text")} rows=${2} maxlength="4000" value=${asked.text} error=${wrongWith(work.error, "text")} onInput=${(text) => set({ text })} />
      <p><${Button} type="submit" icon="play" busy=${work.busy}>${t("rules.try.run")}<//></p>
      ${work.error && !["account", "session", "trigger", "text"].includes(work.error.problem?.field) && html`<${Problem} error=${work.error} />`}
    </form>
    ${found && html`<${Found} found=${found} rules=${rules} known=${known} />`}
  <//>`;
}

function bodyOf({ of, account, session, trigger, text, language, returning }) {
  const body = of === "account" ? { account, text } : { session, text, ...(trigger ? { trigger } : {}) };
  if (language) body.language = language;
  if (returning) body.returning = returning === "yes";
  return body;
}

export function Found({ found, rules, known }) {
  const byId = new Map(rules.map((rule) => [rule.id, rule]));
  return html`<section class="try-found" role="status">
    <h3>${t("rules.try.would")}</h3>
    <ol class="would">${found.words.map((text, at) => html`<li key=${at}>${text.replace(/^\d{4}-\d\d-\d\d [\d:]+ UTC: /, "")}</li>`)}</ol>
    ${found.rules?.length > 0 && html`<h3>${t("rules.try.each")}</h3>
      <ul class="verdicts">${found.rules.map((one) => html`<${Verdict} key=${one.rule} verdict=${one} rule=${byId.get(one.rule)} known=${known} />`)}</ul>`}
  </section>`;
}

function Verdict({ verdict, rule, known }) {
  const held = rule ? (verdict.failed ?? []).map((at) => rule.conditions[at]).filter(Boolean) : [];
  return html`<li data-state=${verdict.state}>
    <span class=${`chip ${verdict.state === "fired" ? "good" : ""}`}>${t(`rules.verdict.${verdict.state}`)}</span>
    <b>${verdict.name || verdict.rule}</b>
    ${held.length > 0 && html`<span>${t("rules.verdict.because")} ${held.map((one, at) => html`${at > 0 && "; "}<q class="said">${conditionWords(one, known)}</q>`)}</span>`}
    ${verdict.state !== "conditions" && html`<span class="dim">${t(`rules.verdict.${verdict.state}.why`)}</span>`}
  </li>`;
}
