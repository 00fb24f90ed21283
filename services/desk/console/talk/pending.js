// A message that is written and not accepted yet, as it stands in the timeline.

import { html } from "../frame/html.js";
import { me } from "../frame/me.js";
import { clock, t } from "../frame/words.js";
import { Button, Icon } from "../ui/index.js";
import { Mark, When } from "./marks.js";
import { accepted, again, discard } from "./outbox.js";

// Those of `items` that no entry shows yet. The stream may tell a message before its acceptance is
// answered; an entry stands for one message, and only for one that is being sent.
export function unshown(items, entries) {
  const taken = new Set(accepted.keys());
  return items.filter((item) => {
    const shown = item.state === "sending" && entries.find((entry) => !taken.has(entry.id) && covers(entry, item));
    if (shown) taken.add(shown.id);
    return !shown;
  });
}

function covers(entry, item) {
  if (entry.sender.id !== me.value.agent.id || entry.sender.kind !== "agent") return false;
  const since = Date.parse(item.at) - 5_000;
  const kind = item.path === "notes" ? "note" : "message";
  return entry.kind === kind && Date.parse(entry.received_at) >= since && entry.text === (item.body.text ?? "")
    && entry.attachments.length === (item.body.attachments?.length ?? 0) && !item.body.template;
}

function said({ body, shown }) {
  return body.text || shown || body.template?.name || "";
}

export function Pending({ item, thread }) {
  const note = item.path === "notes";
  // a template has no text of its own, and an ended session no field for a reply
  const canEdit = !item.body.template && (note || thread.session.value?.list !== "ended");
  const edit = () => {
    discard(item.id);
    thread.giveBack?.(item);
  };
  return html`<article class=${note ? "talk-note" : "talk-message ours first"} aria-label=${t(`talk.status.${item.state}`)}>
    <div class="talk-column">
      <div class="talk-line"><div class="talk-bubble" data-state=${item.state}>
        ${item.files.map(({ id, name }) => html`<p key=${id} class="talk-under"><${Icon} name="paperclip" size=${14} /> <bdi>${name}</bdi></p>`)}
        ${said(item) && html`<p class="talk-text" dir="auto">${said(item)}</p>`}
      </div></div>
      <p class="talk-foot"><${When} at=${item.at} /><${Mark} status=${item.state} /></p>
      ${item.state === "failed" && html`<div class="talk-failure"><${Icon} name="circle-alert" size=${16} />
        <div>
          <p class="strong">${t("talk.refused")}</p>
          <p>${item.stale ? t("talk.stale", { at: clock(item.at) }) : (item.problem?.detail ?? "")}</p>
          <p class="talk-buttons">
            <${Button} small icon="refresh-cw" onClick=${() => again(item.id)}>${t(item.stale ? "talk.stale.send" : "talk.retry")}<//>
            ${canEdit && html`<${Button} small icon="pencil" onClick=${edit}>${t("ui.edit")}<//>`}
            <${Button} small icon="trash" onClick=${() => discard(item.id)}>${t("talk.discard")}<//>
          </p>
        </div></div>`}
    </div>
  </article>`;
}
