// The settings' first page: what there is to set, in words.

import { html } from "../frame/html.js";
import { href } from "../frame/router.js";
import { t } from "../frame/words.js";
import { Icon } from "../ui/index.js";
import { SettingsPage, groups, pageName } from "./frame.js";

export default function SettingsView() {
  return html`<${SettingsPage} overview title=${t("settings.title")} hint=${t("settings.hint")}>
    ${groups().map(
      ({ group, pages }) => html`<section key=${group} class="settings-group">
        <h2>${t(`settings.group.${group}`)}</h2>
        <ul class="settings-cards">
          ${pages.map(
            ({ path, icon }) => html`<li key=${path}>
              <a href=${href(path)}>
                <${Icon} name=${icon} size=${20} />
                <span><b>${t(`settings.nav.${pageName(path)}`)}</b><small>${t(`settings.about.${pageName(path)}`)}</small></span>
              </a>
            </li>`,
          )}
        </ul>
      </section>`,
    )}
  <//>`;
}
