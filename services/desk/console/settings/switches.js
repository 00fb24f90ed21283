// The switches: each with what will happen when it is changed, saved one by one.

import { html, useEffect, useRef, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { t } from "../frame/words.js";
import { Card, Icon, Problem, Waiting } from "../ui/index.js";
import { SettingsPage } from "./frame.js";
import { useLastChanges, useSettings } from "./settings_data.js";
import { SwitchRow } from "./switch_row.js";
import { GROUPS } from "./switch_rows.js";

export default function SwitchesView({ query }) {
  const live = useSettings();
  const last = useLastChanges(live.etag);
  const [words, seek] = useState("");
  return html`<${SettingsPage} narrow title=${t("settings.nav.switches")} hint=${t("switches.hint")}>
    ${!may("admin") && html`<p class="notice"><${Icon} name="lock" size=${16} />${t("switches.read_only")}</p>`}
    ${live.error && html`<${Problem} error=${live.error} retry=${live.reload} />`}
    ${!live.settings && live.loading && html`<${Waiting} />`}
    ${live.settings && html`
      <div class="search settings-search switch-search">
        <${Icon} name="search" size=${16} />
        <input type="search" value=${words} aria-label=${t("switches.find")} placeholder=${t("switches.find")} onInput=${(event) => seek(event.target.value)} />
      </div>
      <${Groups} live=${live} last=${last} words=${words} wanted=${query.find} />`}
  <//>`;
}

function Groups({ live, last, words, wanted }) {
  const parts = words.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const fits = ({ name }) => {
    const all = `${name} ${t(`switches.${name}`)} ${t(`switches.${name}.hint`)}`.toLocaleLowerCase();
    return parts.every((part) => all.includes(part));
  };
  const shown = GROUPS.map(({ group, rows }) => ({
    group,
    rows: rows.filter((row) => (parts.length ? fits(row) : row.name === wanted || !row.when || row.when(live.settings))),
  })).filter(({ rows }) => rows.length);
  if (!shown.length) return html`<p class="dim" role="status">${t("settings.none", { words })}</p>`;
  return shown.map(
    ({ group, rows }) => html`<${Card} key=${group} title=${t(`switches.group.${group}`)}>
      <div class="switch-rows">
        ${rows.map(
          (row) => html`<${Found} key=${row.name} wanted=${row.name === wanted}>
            <${SwitchRow} row=${row} live=${live} last=${last[row.name.split(".")[0]]} lastOf=${last} />
          <//>`,
        )}
      </div>
    <//>`,
  );
}

// The one that somebody was sent to is brought into sight.
function Found({ wanted, children }) {
  const box = useRef(null);
  useEffect(() => {
    if (!wanted) return;
    box.current.scrollIntoView({ block: "center" });
    box.current.querySelector("button, input, select, textarea")?.focus({ preventScroll: true });
  }, [wanted]);
  return html`<div ref=${box} class=${wanted ? "switch-found" : ""}>${children}</div>`;
}
