// Tags of many contacts at once: those that are chosen in the list.

import { call } from "../frame/api.js";
import { html, useRef, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { TagPicker } from "../contact/tags.js";
import { Button, Icon, inWords, toast, useWork } from "../ui/index.js";

export function Bulk({ chosen, clear, done }) {
  const [doing, open] = useState(""); // add, take
  const root = useRef(null);
  const tagging = useWork(async (verb, tag) => {
    const answer = await call("POST", "/contacts/tags", { contacts: chosen, [verb]: [tag.id] });
    const failed = answer.items.filter((one) => !one.done);
    toast(t(`contacts.bulk.${verb}.done`, { n: answer.done, name: tag.name }));
    if (failed.length) toast(t("contacts.bulk.failed", { n: failed.length, why: failed[0].problem?.detail ?? "" }), { kind: "bad" });
    open("");
    done();
  });
  const leave = () => {
    open("");
    requestAnimationFrame(() => root.current?.querySelector("button")?.focus());
  };
  return html`<div class="contacts-bulk" ref=${root} role="region" aria-label=${t("contacts.bulk")}>
    <p class="strong" role="status">${t("contacts.bulk.chosen", { n: chosen.length })}</p>
    <${Button} small icon="tag" aria-expanded=${String(doing === "add")} onClick=${() => open("add")}>${t("contacts.bulk.add")}<//>
    <${Button} small icon="minus" aria-expanded=${String(doing === "take")} onClick=${() => open("take")}>${t("contacts.bulk.take")}<//>
    <${Button} small kind="quiet" onClick=${clear}>${t("contacts.bulk.clear")}<//>
    ${tagging.error && html`<span class="wrong" role="alert"><${Icon} name="circle-alert" size=${15} /> ${inWords(tagging.error)}</span>`}
    ${doing && html`<div class="bulk-picker"><${TagPicker} key=${doing} has=${[]} pick=${(tag) => tagging.run(doing, tag)} leave=${leave} busy=${tagging.busy} /></div>`}
  </div>`;
}
