// The list of alerts: what waits for this agent now.

import { classes, html, useEffect, useState } from "../frame/html.js";
import { standing } from "../frame/shell.js";
import { ago, t } from "../frame/words.js";
import { ChannelIcon, Empty, IconButton, Page } from "../ui/index.js";
import { Hints } from "./hints.js";
import { channelName, headline, kind, ownPath } from "./phrases.js";
import { alertsShown } from "./shown.js";

const AGES_MS = 20_000;

export default function AlertsView() {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick(Date.now()), AGES_MS);
    return () => clearInterval(timer);
  }, []);
  const alerts = alertsShown.value;
  return html`<${Page} title=${t("alerts.title")} hint=${t("alerts.hint")} narrow
    actions=${html`<a class="button" href="/#/settings/alerts">${t("alerts.how")}</a>`}>
    <${Hints} />
    ${alerts.length === 0 &&
    html`<${Empty} icon="bell" title=${t("alerts.none")}>${t("alerts.none_more")}<//>`}
    <ul class="alerts">${alerts.map((alert) => html`<${Row} key=${alert.id} alert=${alert} />`)}</ul>
  <//>`;
}

function Row({ alert }) {
  const { count = 1, summary } = alert;
  const channel = channelName(alert.channel);
  return html`<li data-alert=${alert.id}>
    <a class="alert" href=${ownPath(alert.url)}>
      <span class="line">
        <span class="what" data-trigger=${alert.trigger}>${kind(alert)}</span>
        <time class="when" datetime=${alert.since}>${ago(alert.since)}</time>
      </span>
      <span class="line">
        <span class="who">${headline(alert)}</span>
        ${channel && html`<span class="chip"><${ChannelIcon} channel=${alert.channel} />${channel}</span>`}
        ${count > 1 && !summary && html`<span class="chip count">${t("alerts.count", { n: count })}</span>`}
        ${Boolean(alert.rung) && html`<span class="chip late">${t("alerts.rung")}</span>`}
      </span>
      ${alert.excerpt && html`<span class=${classes("excerpt")} dir="auto">${alert.excerpt}</span>`}
    </a>
    <${IconButton}
      icon="x" class="dismiss" label=${t("alerts.dismiss", { what: headline(alert) })}
      onClick=${() => standing.value.live.dismiss(alert.id)}
    />
  </li>`;
}
