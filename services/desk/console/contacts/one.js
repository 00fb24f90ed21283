// One contact as a page: all that is known of them, and all that was said.

import { useContact } from "../contact/load.js";
import { useParts } from "../contact/pane.js";
import { html } from "../frame/html.js";
import { href } from "../frame/router.js";
import { t } from "../frame/words.js";
import { contactName } from "../frame/who.js";
import { Card, Empty, Page, Problem, Waiting } from "../ui/index.js";
import { History } from "./history.js";

export default function OneContact({ params }) {
  return html`<${Known} key=${params.id} id=${params.id} />`;
}

function Known({ id }) {
  const source = useContact(id);
  const parts = useParts(source, null, true);
  const back = { href: href("/contacts"), label: t("contacts.title") };
  if (!parts) {
    const gone = source.error?.status === 404;
    return html`<${Page} title=${t("contacts.one")} back=${back}>
      ${gone ? html`<${Empty} icon="user-x" title=${t("contact.gone")} />` : source.error ? html`<${Problem} error=${source.error} retry=${source.reload} />` : html`<${Waiting} />`}
    <//>`;
  }
  const { head, tags, facts, notes, channels, later, sessions, merged, dialogs } = parts;
  return html`<${Page} title=${contactName(source.contact)} back=${back}>
    <${Problem} error=${source.error} retry=${source.reload} />
    <div class="one-contact">
      <div class="one-column card">${head}${tags}${facts}${channels}${merged}</div>
      <div class="one-column card">${notes}${later}${sessions}</div>
      <div class="one-history"><${Card} title=${t("contacts.history")}><${History} contact=${source.contact} /><//></div>
    </div>
    ${dialogs}
  <//>`;
}
