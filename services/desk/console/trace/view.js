// What became of one webhook or message: each hop with its time, what was decided, how it ended.

import { html, useState } from "../frame/html.js";
import { go, href } from "../frame/router.js";
import { may } from "../frame/me.js";
import { fullTime, has, number, t } from "../frame/words.js";
import { SettingsPage } from "../settings/frame.js";
import { Button, Card, Empty, Problem, TextField, Waiting, useGet, useWork } from "../ui/index.js";

export default function TraceView({ params }) {
  const [id, set] = useState(params.id ?? "");
  const read = useGet(params.id ? `/trace/${encodeURIComponent(params.id)}` : null);
  const submit = (event) => {
    event.preventDefault();
    if (id.trim()) go(`/trace/${encodeURIComponent(id.trim())}`);
  };
  const missing = read.error?.status === 404;
  return html`<${SettingsPage} title=${t("trace.title")} hint=${t("trace.hint")}>
    <form class="ask-trace" onSubmit=${submit}>
      <${TextField} label=${t("trace.id")} value=${id} onInput=${set} required spellcheck="false" autocomplete="off" />
      <${Button} type="submit" kind="primary" icon="route">${t("trace.show")}<//>
    </form>
    ${params.id && read.loading && !read.data && html`<${Waiting} />`}
    ${missing ? html`<${Empty} icon="route" title=${t("trace.missing")}>${t("trace.missing_more")}<//>` : html`<${Problem} error=${read.error} retry=${read.reload} />`}
    ${read.data && html`<${Found} found=${read.data} />`}
  <//>`;
}

function Found({ found }) {
  return html`
    ${!found.complete && html`<p class="told">${t("trace.incomplete")}</p>`}
    ${found.journey.length > 0 && html`<${Journey} steps=${found.journey} />`}
    ${found.raw && html`<${Raw} id=${found.id} raw=${found.raw} />`}
    ${found.entries.map((entry) => html`<${Entry} key=${entry.message + entry.event_id} entry=${entry} />`)}
    ${found.entries.length === 0 && found.journey.length === 0 && html`<${Empty} icon="hourglass" title=${t("trace.nothing_yet")} />`}
  `;
}

const known = (key, value) => (has(`trace.${key}.${value}`) ? t(`trace.${key}.${value}`) : value);
const BAD = new Set(["failed", "on_dead", "nowhere", "not_told"]);

// Every hop in order of time: what it was, what was decided, how it ended, and who did it.
function Journey({ steps }) {
  const first = Date.parse(steps[0].at);
  return html`<${Card} title=${t("trace.journey")}>
    <ol class="hops journey">
      ${steps.map(
        (step, place) => html`<li key=${place} class=${BAD.has(step.outcome) ? "bad" : ""}>
          <span><span class="chip">${known("step", step.kind)}</span> <strong>${known("hop", step.hop)}</strong> ${place > 0 && html`<span class="dim">+${number(Date.parse(step.at) - first)} ms</span>`}</span>
          <time class="dim" datetime=${step.at}>${fullTime(step.at)}</time>
          <dl class="facts">${about(step).map(([name, value]) => html`<dt key=${name}>${known("fact", name)}</dt><dd>${value}</dd>`)}</dl>
        </li>`,
      )}
    </ol>
  <//>`;
}

function about(step) {
  const outcome = has(`trace.outcome.${step.outcome}`) ? t(`trace.outcome.${step.outcome}`) : known("list", step.outcome);
  return [
    ["decision", known("decision", step.decision)], ["outcome", outcome], ["actor", step.actor],
    ["message", step.message], ["ref", step.ref], ...Object.entries(step.facts),
  ].filter(([, value]) => value);
}

function Entry({ entry }) {
  const session = entry.session && html`<a href=${href(`/sessions/${encodeURIComponent(entry.session)}`)}>${entry.session}</a>`;
  const facts = [
    ["session", session], ["message", entry.message], ["account", entry.account], ["list", entry.list && known("list", entry.list)],
    ["because", entry.because], ["event_id", entry.event_id], ["provider_ids", entry.provider_ids.join(", ")],
    ["ingest_id", entry.ingest_id], ["sequence", entry.sequence || ""], ["status", entry.status && known("status", entry.status)],
    ["status_reason", entry.status_reason], ["provider_code", entry.provider_code], ["via", entry.via],
  ].filter(([, value]) => value);
  const why = entry.session && html`<a class="button small" href=${href(`/sessions/${encodeURIComponent(entry.session)}/why`)}>${t("trace.why")}</a>`;
  return html`<${Card} title=${`${known("kind", entry.kind)} ${entry.event_type}`} actions=${why}>
    <dl class="facts">${facts.map(([name, value]) => html`<dt key=${name}>${t(`trace.fact.${name}`)}</dt><dd>${value}</dd>`)}</dl>
  <//>`;
}

function Raw({ id, raw }) {
  const [text, set] = useState(null);
  const show = useWork(async () => {
    const answer = await fetch(`/api/v1/trace/${encodeURIComponent(id)}/raw`, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(t("ui.refused", { status: answer.status }));
    set(await answer.text());
  });
  const actions = may("admin") && text === null && html`<${Button} small busy=${show.busy} onClick=${show.run}>${t("trace.raw_show")}<//>`;
  return html`<${Card} title=${t("trace.raw")} actions=${actions}>
    <dl class="facts">
      ${["ingest_id", "received_at", "stored_at", "subject", "method", "path", "body_bytes"].map(
        (name) => html`<dt key=${name}>${t(`trace.fact.${name}`)}</dt><dd>${name.endsWith("_at") ? fullTime(raw[name]) : raw[name]}</dd>`,
      )}
    </dl>
    <${Problem} error=${show.error} />
    ${text !== null && html`<pre class="raw" tabindex="0">${text}</pre>`}
  <//>`;
}
