// Why a session stands where it does: every decision in words, with who could have had it.

import { html } from "../frame/html.js";
import { href } from "../frame/router.js";
import { clock, fullTime, has, t } from "../frame/words.js";
import { Card, Empty, Page, Problem, Waiting, useGet } from "../ui/index.js";

export default function WhyView({ params }) {
  const path = `/sessions/${encodeURIComponent(params.id)}`;
  const read = useGet(`${path}/why`);
  const back = { href: href(path), label: t("trace.back") };
  return html`<${Page} title=${t("trace.why_title")} hint=${t("trace.why_hint")} back=${back} narrow>
    <${Problem} error=${read.error} retry=${read.reload} />
    ${!read.data && !read.error && html`<${Waiting} />`}
    ${read.data && html`<${Why} why=${read.data} />`}
  <//>`;
}

function Why({ why }) {
  return html`
    <${Card} title=${t("trace.now")}>
      <p class="strong">${why.words}</p>
      <dl class="facts">
        <dt>${t("trace.fact.list")}</dt><dd>${t(`trace.list.${why.list}`)}</dd>
        <dt>${t("trace.fact.owner")}</dt><dd>${why.owner?.name ?? t("trace.nobody")}</dd>
        <dt>${t("trace.fact.bot")}</dt><dd>${why.bot ? t("trace.on") : t("trace.off")}</dd>
        <dt>${t("trace.fact.epoch")}</dt><dd>${why.epoch}</dd>
      </dl>
      ${!why.complete && html`<p class="told">${t("trace.incomplete")}</p>`}
    <//>
    <${Card} title=${t("trace.decisions")}>
      ${why.decisions.length === 0 && html`<${Empty} icon="route" title=${t("trace.no_decisions")} />`}
      <ol class="hops">${why.decisions.map((one) => html`<${Decision} key=${one.id} one=${one} />`)}</ol>
    <//>
    ${why.transitions.length > 0 &&
    html`<${Card} title=${t("trace.transitions")}>
      <ol class="hops">
        ${why.transitions.map((one) => html`<li key=${one.number}><span>${one.text || one.what}</span><time class="dim" datetime=${one.at} title=${fullTime(one.at)}>${clock(one.at)}</time></li>`)}
      </ol>
    <//>`}
  `;
}

function Decision({ one }) {
  const trigger = has(`trace.trigger.${one.trigger}`) ? t(`trace.trigger.${one.trigger}`) : one.trigger;
  return html`<li>
    <span><strong>${trigger}</strong> <time class="dim" datetime=${one.at} title=${fullTime(one.at)}>${clock(one.at)}</time></span>
    ${one.words.map((text, place) => html`<p key=${place} lang="en">${text}</p>`)}
    ${one.rules.length > 0 && html`<p class="dim">${t("trace.rules", { rules: one.rules.map((rule) => rule.name ?? rule.id ?? String(rule)).join(", ") })}</p>`}
    ${one.candidates.length > 0 && html`<${Candidates} of=${one.candidates} chosen=${one.owner} />`}
    <p class="dim">${one.replays ? t("trace.replays") : t("trace.replays_not")}</p>
  </li>`;
}

function Candidates({ of, chosen }) {
  return html`<div class="table-box"><table class="candidates">
    <caption class="apart">${t("trace.candidates")}</caption>
    <thead><tr><th scope="col">${t("trace.candidate")}</th><th scope="col">${t("trace.load")}</th><th scope="col">${t("trace.excluded")}</th></tr></thead>
    <tbody>
      ${of.map(
        (one) => html`<tr key=${one.agent}>
          <td>${one.name ?? one.agent} ${one.agent === chosen && html`<span class="chip good">${t("trace.chosen")}</span>`}</td>
          <td>${one.load ?? ""}${one.limit ? ` / ${one.limit}` : ""}</td>
          <td lang="en">${one.words}</td>
        </tr>`,
      )}
    </tbody>
  </table></div>`;
}
