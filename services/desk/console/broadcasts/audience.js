// Whom a broadcast goes to: tags, channels, who wrote of late; and how many they are now.

import { call } from "../frame/api.js";
import { html, useEffect, useState } from "../frame/html.js";
import { number, t } from "../frame/words.js";
import { Choices, Icon, Select, inWords } from "../ui/index.js";
import { channelName, channelOptions } from "../settings/standard-scope.js";
import { said } from "../scheduled/reasons.js";

const PAUSE_MS = 400;
const DAYS = [0, 1, 7, 30, 90, 365];
const DAY_S = 86_400;

export function Audience({ value, onChange, tags, wrong }) {
  const set = (name) => (one) => onChange({ ...value, [name]: one });
  const options = tags.map(({ id, name }) => [id, name]);
  const days = (value.wrote_within_s ?? 0) / DAY_S;
  const choices = DAYS.includes(days) ? DAYS : [...DAYS, days];
  return html`<fieldset class="audience">
    <legend>${t("broadcasts.audience")}</legend>
    <div class="scopes">
      <div class="choices">
        <${Choices} label=${t("broadcasts.tags")} hint=${options.length ? t("broadcasts.tags_hint") : t("broadcasts.no_tags")} options=${options} value=${value.tags} onChange=${set("tags")} error=${wrong("audience.tags")} />
        ${value.tags.length > 1 && html`<${Select} label=${t("broadcasts.match")} value=${value.match} options=${["any", "all"].map((one) => [one, t(`broadcasts.match.${one}`)])} onChange=${set("match")} />`}
      </div>
      <${Choices} label=${t("broadcasts.without")} options=${options} value=${value.without} onChange=${set("without")} error=${wrong("audience.without")} />
      <${Choices} label=${t("broadcasts.channels")} hint=${t("broadcasts.channels_hint")} options=${channelOptions()} value=${value.channels} onChange=${set("channels")} error=${wrong("audience.channels")} />
    </div>
    <${Select}
      label=${t("broadcasts.wrote")} value=${String(days)} error=${wrong("audience.wrote_within_s")}
      options=${choices.map((one) => [String(one), one ? t("broadcasts.wrote_days", { n: one }) : t("broadcasts.wrote_ever")])}
      onChange=${(one) => set("wrote_within_s")(Number(one) ? Number(one) * DAY_S : null)}
    />
    <${Count} audience=${value} />
  </fieldset>`;
}

// Asks the API whom the audience has: the same reading that gathers recipients later.
export function Count({ audience }) {
  const [found, put] = useState({ count: null, error: null });
  const key = JSON.stringify(audience);
  useEffect(() => {
    let wanted = true;
    const timer = setTimeout(() => {
      call("POST", "/broadcasts/count", { audience }).then(
        (count) => wanted && put({ count, error: null }),
        (error) => wanted && put({ count: null, error }),
      );
    }, PAUSE_MS);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [key]);
  const { count, error } = found;
  if (error) return html`<p class="wrong" role="alert">${inWords(error)}</p>`;
  if (!count) return html`<p class="dim" role="status">${t("broadcasts.counting")}</p>`;
  const parts = ["free_text", "template_only", "closed", "blocked"].filter((name) => count[name]);
  return html`<div class="count" role="status">
    <p><strong class="count-big">${number(count.total)}</strong> ${t(count.complete ? "broadcasts.reached" : "broadcasts.reached_least", { n: count.total })}</p>
    <p class="chips">
      ${Object.entries(count.channels).map(([channel, n]) => html`<span class="chip" key=${channel}>${channelName(channel)} ${number(n)}</span>`)}
      ${parts.map((name) => html`<span key=${name} class=${`chip ${name === "free_text" ? "good" : "late"}`}>${t(`broadcasts.count.${name}`)} ${number(count[name])}</span>`)}
      ${Object.entries(count.reasons).map(([reason, n]) => html`<span class="chip" key=${reason}><${Icon} name="info" size=${12} />${said(reason)} ${number(n)}</span>`)}
    </p>
  </div>`;
}
