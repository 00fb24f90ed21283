// The versions of the switches: who changed what, before and after, and going back to any of them.

import { call } from "../frame/api.js";
import { html } from "../frame/html.js";
import { has, t } from "../frame/words.js";
import { Button, Empty, Problem, Time, Waiting, confirm, toast, More, useGet, usePages, useWork } from "../ui/index.js";
import { SettingsPage } from "./frame.js";
import { actorName, alike, namesOf } from "./settings_data.js";
import { shownValue } from "./switch_editors.js";
import { GROUPS } from "./switch_rows.js";

const ROWS = new Map(GROUPS.flatMap(({ rows }) => rows.map((row) => [row.name, row])));

export default function HistoryView() {
  const versions = usePages("/settings/history", { limit: 50 });
  const agents = useGet("/agents");
  const names = namesOf(agents.data?.items ?? []);
  return html`<${SettingsPage} narrow title=${t("settings.nav.history")} hint=${t("switches.history.hint")}>
    <${Problem} error=${versions.error} retry=${versions.reload} />
    ${versions.loading && !versions.items.length && html`<${Waiting} />`}
    ${versions.whole && !versions.items.length && !versions.error && html`<${Empty} icon="rotate-ccw" title=${t("switches.history.none")}>${t("switches.history.none_more")}<//>`}
    <ol class="versions">${versions.items.map((one) => html`<${Version} key=${one.id} version=${one} names=${names} reload=${versions.reload} />`)}</ol>
    <${More} pages=${versions} />
  <//>`;
}

function Version({ version, names, reload }) {
  const work = useWork((moment) => call("POST", "/settings/restore", { version: version.id, moment, switches: version.changes.map((one) => one.switch) }));
  const back = async (moment) => {
    const agreed = await confirm({ title: t(`switches.history.${moment}`), text: t("switches.history.confirm", { what: version.changes.map((one) => label(one.switch)).join(", ") }), action: t("switches.history.restore") });
    if (agreed && (await work.run(moment))) {
      toast(t("switches.history.done"));
      reload();
    }
  };
  const how = `switches.history.by.${version.action}`;
  return html`<li class="card version">
    <header><p><b>${actorName(version.actor, names)}</b> ${has(how) && html`<span class="chip">${t(how)}</span>`} <span class="dim"><${Time} at=${version.at} /></span></p>
      <div class="page-actions">
        <${Button} small icon="undo-2" busy=${work.busy} onClick=${() => back("before")}>${t("switches.history.before")}<//>
        <${Button} small busy=${work.busy} onClick=${() => back("after")}>${t("switches.history.after")}<//>
      </div></header>
    <${Problem} error=${work.error} />
    <dl class="version-diff">${version.changes.flatMap((one) => parts(one.switch, one.before, one.after)).map(
      ({ name, before, after }) => html`<div key=${name}><dt>${label(name)}</dt>
        <dd><del>${shownValue(ROWS.get(name), before)}</del> <span aria-hidden="true">→</span> <ins>${shownValue(ROWS.get(name), after)}</ins></dd></div>`,
    )}</dl>
  </li>`;
}

// A group of settings is said part by part, where they differ.
function parts(name, before, after) {
  const plain = [before, after].every((one) => one === undefined || one === null || (typeof one === "object" && !Array.isArray(one)));
  if (!plain || (!before && !after) || ROWS.has(name)) return [{ name, before, after }];
  return [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])]
    .filter((key) => !alike(before?.[key], after?.[key]))
    .flatMap((key) => parts(`${name}.${key}`, before?.[key], after?.[key]));
}

// "channels.line.auto_hosting" -> "LINE: Auto hosting".
function label(name) {
  if (has(`switches.${name}`)) return t(`switches.${name}`);
  const [of, at, ...rest] = name.split(".");
  if (of === "channels" && rest.length) return `${t(`frame.channel.${at}`)}: ${label(rest.join("."))}`;
  if (of === "accounts" && rest.length) return `${at}: ${label(rest.join("."))}`;
  return has(`switches.history.of.${of}`) ? [t(`switches.history.of.${of}`), at, ...rest].filter(Boolean).join(" · ") : name;
}
