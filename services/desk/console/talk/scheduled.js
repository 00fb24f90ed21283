// The messages of this session that are to go out later (B25); they are changed and cancelled here.

import { call, query } from "../frame/api.js";
import { ScheduleDialog } from "../contact/schedule.js";
import { html, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { clock, t } from "../frame/words.js";
import { Button, Icon, confirm, inWords, useWork } from "../ui/index.js";

export function scheduledPath(session) {
  return `/scheduled-messages${query({ session, state: "pending", limit: 20 })}`;
}

// Those of the session that are to come.
export function ScheduledStrip({ list, contact }) {
  const [changing, change] = useState(null);
  const cancel = useWork(async (item) => {
    const sure = await confirm({ title: t("talk.schedule.cancel"), text: item.name, action: t("talk.schedule.cancel"), danger: true, cancel: t("talk.schedule.keep") });
    if (!sure) return;
    await call("POST", `/scheduled-messages/${encodeURIComponent(item.id)}/cancel`, {});
    list.reload();
  });
  const items = list.data?.items ?? [];
  if (!items.length) return null;
  return html`<details class="talk-scheduled"><summary><${Icon} name="calendar-clock" size=${15} /> ${t("talk.schedule.count", { n: items.length })}</summary>
    <ul>${items.map((item) => html`<li key=${item.id}>
      <span class="talk-grow"><strong><bdi>${item.name}</bdi></strong> <span class="dim">${clock(item.due_at)}${item.held && ` · ${t("talk.schedule.held")}`}${item.only_if_no_reply && ` · ${t("talk.schedule.noreply")}`}</span></span>
      ${may("agent") && !item.being_sent && html`<${Button} small kind="quiet" onClick=${() => change(item)}>${t("ui.edit")}<//>
        <${Button} small kind="quiet" busy=${cancel.busy} onClick=${() => cancel.run(item)}>${t("ui.cancel")}<//>`}
    </li>`)}</ul>
    ${changing && html`<${ScheduleDialog} session=${changing.session} contact=${contact} given=${changing} onDone=${(made) => { change(null); if (made) list.reload(); }} />`}
    ${cancel.error && html`<p class="wrong" role="alert">${inWords(cancel.error)}</p>`}
  </details>`;
}
