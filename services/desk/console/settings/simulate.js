// What would have happened over the last days by other switches: figures beside those of what did.

import { call } from "../frame/api.js";
import { html, useState } from "../frame/html.js";
import { href } from "../frame/router.js";
import { duration, number, t } from "../frame/words.js";
import { Button, Card, Checkbox, Problem, Select, Table, Time, TextArea, useGet, useWork } from "../ui/index.js";
import { SettingsPage } from "./frame.js";
import { namesOf } from "./settings_data.js";

const SWITCHES = ["auto_hosting", "auto_assign", "session_hosting", "auto_termination"];

export default function SimulateView() {
  const [asked, put] = useState({ days: 7, assume: false, rules: "" });
  const [found, show] = useState(null);
  const agents = useGet("/agents");
  const names = namesOf(agents.data?.items ?? []);
  const set = (more) => put({ ...asked, ...more });
  const work = useWork(() => call("POST", "/rules/simulate", bodyOf(asked)));
  const run = async (event) => {
    event.preventDefault();
    const answer = await work.run();
    if (answer) show(answer);
  };
  return html`<${SettingsPage} title=${t("settings.nav.simulate")} hint=${t("rules.sim.hint")}>
    <${Card} title=${t("rules.sim.proposal")}>
      <form class="try-form" onSubmit=${run}>
        <div class="two">
          <${Select} label=${t("rules.sim.days")} value=${String(asked.days)} options=${[1, 3, 7, 14, 30].map((n) => [String(n), t("rules.sim.last", { n })])} onChange=${(text) => set({ days: Number(text) })} />
          ${SWITCHES.map((name) => html`<${Select} key=${name} label=${t(`rules.sim.${name}`)} value=${asked[name] ?? ""} options=${[["", t("rules.sim.same")], ["on", t("rules.sim.on")], ["off", t("rules.sim.off")]]} onChange=${(value) => set({ [name]: value })} />`)}
          <${Select} label=${t("rules.sim.strategy")} value=${asked.strategy ?? ""} options=${[["", t("rules.sim.same")], ...["least_loaded", "round_robin", "priority", "sticky"].map((one) => [one, t(`rules.sim.strategy.${one}`)])]} onChange=${(strategy) => set({ strategy })} />
        </div>
        <${Checkbox} label=${t("rules.sim.assume")} checked=${asked.assume} onChange=${(assume) => set({ assume })} />
        <details><summary>${t("rules.sim.rules")}</summary><${TextArea} class="json" rows=${8} label=${t("rules.sim.rules.label")} hint=${t("rules.sim.rules.hint")} spellcheck=${false} value=${asked.rules} onInput=${(rules) => set({ rules })} /></details>
        <${Problem} error=${work.error instanceof SyntaxError ? new Error(t("rules.json.wrong", { why: work.error.message })) : work.error} />
        <p><${Button} type="submit" kind="primary" icon="play" busy=${work.busy}>${t("rules.sim.run")}<//></p>
      </form>
    <//>
    ${found && html`<${Result} found=${found} names=${names} />`}
  <//>`;
}

function bodyOf(asked) {
  const settings = {};
  for (const name of SWITCHES) if (asked[name]) settings[name] = asked[name] === "on";
  if (asked.strategy) settings.strategy = asked.strategy;
  const body = { days: asked.days, assume_online: asked.assume };
  if (Object.keys(settings).length) body.settings = settings;
  if (asked.rules.trim()) body.rules = JSON.parse(asked.rules);
  return body;
}

function Result({ found, names }) {
  const { happened, would } = found;
  return html`<${Card} title=${t(found.same ? "rules.sim.equal" : "rules.sim.differs", { n: found.differences })} hint=${t("rules.sim.over", { n: found.decisions, sessions: found.sessions })}>
    ${!found.complete && html`<p class="notice warned">${t("rules.sim.part")} <${Time} at=${found.until} /></p>`}
    <div class="sim-plots">
      <${Bars} title=${t("rules.sim.lists")} now=${happened.lists} then=${would.lists} say=${(one) => t(`rules.list.${one}`)} />
      <${Bars} title=${t("rules.sim.waits")} now=${waits(happened.waits)} then=${waits(would.waits)} say=${(one) => t(`rules.sim.wait.${one}`)} show=${(value, one) => (one === "never" ? number(value) : duration(value))} />
      <${Bars} title=${t("rules.sim.agents")} now=${loads(happened.agents)} then=${loads(would.agents)} say=${(one) => names.get(one) ?? one} />
      <${Bars} title=${t("rules.sim.ends")} now=${happened.terminations} then=${would.terminations} say=${(one) => t(`rules.list.${one}`)} />
    </div>
    ${found.examples.length > 0 && html`<h3>${t("rules.sim.examples")}</h3><${Table} caption=${t("rules.sim.examples")} rows=${found.examples} rowKey=${(row) => row.session + row.at + row.trigger} columns=${[
      { name: "at", label: t("rules.sim.when"), show: (row) => html`<a href=${href(`/sessions/${row.session}/why`)}><${Time} at=${row.at} /></a>` },
      { name: "was", label: t("rules.sim.happened"), show: (row) => brief(row.was, names) },
      { name: "would", label: t("rules.sim.would"), show: (row) => brief(row.would, names) },
    ]} />`}
  <//>`;
}

function waits({ median_s, p90_s, longest_s, never }) {
  return { median_s, p90_s, longest_s, never };
}

function loads(agents) {
  return Object.fromEntries(Object.entries(agents).map(([id, one]) => [id, one.sessions]));
}

function brief(decision, names) {
  if (!decision) return t("rules.sim.none");
  return [t(`rules.list.${decision.list}`), names.get(decision.owner) ?? decision.owner, ...decision.rules].filter(Boolean).join(" · ");
}

// Two bars for each: what happened, and what would have.
function Bars({ title, now, then, say, show = number }) {
  const keys = [...new Set([...Object.keys(now), ...Object.keys(then)])];
  if (!keys.length) return null;
  const most = Math.max(1, ...Object.values(now), ...Object.values(then));
  const bar = (kind, value, key) => html`<div class="bar-line" data-kind=${kind}><span class="apart">${t(`rules.sim.${kind}`)}:</span><i ref=${(one) => one && (one.style.inlineSize = `${(60 * (value ?? 0)) / most}%`)}></i><b>${show(value ?? 0, key)}</b></div>`;
  return html`<section class="bars"><h3>${title}</h3>
    <p class="bars-key"><span data-kind="happened">${t("rules.sim.happened")}</span> <span data-kind="would">${t("rules.sim.would")}</span></p>
    <dl>${keys.map((key) => html`<div key=${key}><dt>${say(key)}</dt><dd>${bar("happened", now[key], key)}${bar("would", then[key], key)}</dd></div>`)}</dl>
  </section>`;
}
