// What stands around every view: the bar of places, who you are, and the view that the address means.

import { Icon, IconButton, Menu, Problem, Waiting } from "../ui/index.js";
import { Asking } from "../ui/dialog.js";
import { Toasts } from "../ui/toast.js";
import { ROUTES } from "../routes.js";
import { Boundary } from "./boundary.js";
import { classes, html, signal, useEffect, useMemo, useRef, useState } from "./html.js";
import { Sheet } from "./sheet.js";
import { useKeys } from "./keys.js";
import { may, me } from "./me.js";
import { go, href, match, place } from "./router.js";
import { lookForVersion, outdated } from "./version.js";
import { language, learn, t } from "./words.js";
import { PaletteDoor } from "../inbox/palette_door.js";
import { inboxLive } from "../live/inbox.js";

// What the alerts' own machinery says, for whoever shows it.
export const standing = signal({ waiting: 0, connection: "connecting", presence: "", soundLocked: false });
export const sheetOpen = signal(false);

const STATES = ["online", "away"];

function Bar({ onPresent, onLogout }) {
  const current = match(ROUTES, place.value.path);
  const here = current?.nav ?? current?.in ?? (current?.settings ? "settings" : "");
  const places = ROUTES.filter(({ nav, role }) => nav && (!role || may(role)));
  const unread = inboxLive.unread.value?.total ?? 0;
  const badges = { inbox: unread, alerts: standing.value.waiting };
  const { presence } = standing.value;
  return html`<nav class="bar" aria-label=${t("frame.places")}>
    <a class="brand" href="/#/" aria-label="Relaydesk"><img src=${icon()} alt="" width="30" height="30" /></a>
    <ul>
      ${places.map(
        ({ nav, path, icon: sign }) => html`<li key=${nav}>
          <a href=${href(path)} class="place" aria-current=${nav === here ? "page" : undefined} title=${t(`frame.nav.${nav}`)}>
            <${Icon} name=${sign} size=${21} /><span>${t(`frame.nav.${nav}`)}</span>
            ${badges[nav] > 0 && html`<b class="badge" aria-label=${t("frame.unread", { n: badges[nav] })}>${badges[nav] > 99 ? "99+" : badges[nav]}</b>`}
          </a>
        </li>`,
      )}
    </ul>
    <div class="bar-end">
      <${IconButton} icon="keyboard" label=${t("frame.shortcuts")} onClick=${() => (sheetOpen.value = true)} />
      <${Menu}
        label=${t("frame.you", { name: me.value.agent.name, state: t(`frame.presence.${presence || "offline"}`) })}
        class="you"
        button=${html`<span class="dot" data-state=${presence}></span><${Icon} name="circle-user" size=${24} />`}
        items=${[
          ...STATES.map((state) => ({
            label: t(`frame.presence.${state}`), checked: presence === state, hidden: !may("agent"), run: () => onPresent(state),
          })),
          { label: t("frame.account"), icon: "user", run: () => go("/settings/me") },
          { label: t("frame.logout"), icon: "log-out", run: onLogout },
        ]}
      />
    </div>
  </nav>`;
}

function icon() {
  return new URL("../icon.svg", import.meta.url).pathname;
}

function View() {
  const { path, query } = place.value;
  const route = match(ROUTES, path);
  const [shown, put] = useState(null); // {route, component} of what was loaded last
  const [error, fail] = useState(null);
  const newest = useRef(0);
  const load = () => {
    const mine = ++newest.current; // a view that comes later than the one after it is not shown
    fail(null);
    if (!route || (route.role && !may(route.role))) return;
    Promise.all([route.load(), learn(...route.words)]).then(
      ([module]) => mine === newest.current && put({ load: route.load.toString(), component: module.default }),
      (error) => mine === newest.current && fail(error),
    );
  };
  useEffect(() => {
    if (outdated.value && shown) location.reload();
    else load();
  }, [path]);
  if (!route) return html`<div class="page"><h1>${t("frame.nothing")}</h1><p><a href="/#/">${t("frame.home")}</a></p></div>`;
  if (route.role && !may(route.role)) return html`<div class="page"><h1>${t("frame.forbidden")}</h1><p>${t("frame.needs", { role: t(`frame.role.${route.role}`) })}</p></div>`;
  if (error) return html`<div class="page"><${Problem} error=${error} retry=${() => location.reload()} /></div>`; // a browser does not load a module again that failed once
  if (shown?.load !== route.load.toString()) return html`<${Waiting} />`;
  return html`<${Boundary} of=${path} words=${t("frame.broken")}>
    <${shown.component} params=${route.params} query=${query} />
  <//>`;
}

function Connection() {
  useEffect(() => inboxLive.on("ready", lookForVersion), []);
  if (outdated.value) {
    return html`<p class="connection" role="status">
      ${t("frame.outdated")} <button type="button" class="button small" onClick=${() => location.reload()}>${t("frame.reload")}</button>
    </p>`;
  }
  const states = [standing.value.connection, inboxLive.connection.value];
  const state = states.find((one) => one === "crowded" || one === "reconnecting") ?? "connected";
  return html`<p class="connection" role="status" data-state=${state} hidden=${state === "connected"}>
    <${Icon} name="wifi-off" size=${16} /> ${t(`frame.connection.${state}`)}
  </p>`;
}

export function Shell({ onPresent, onLogout }) {
  language.value; // drawn anew when another is spoken
  const jumps = useMemo(
    () => ROUTES.filter(({ keys, role }) => keys && (!role || may(role))).map(({ keys, path, nav }) => ({
      keys, group: "frame.places", label: `frame.nav.${nav}`, run: () => go(path),
    })),
    [],
  );
  useKeys([...jumps, { keys: "?", group: "frame.general", label: "frame.shortcuts", run: () => (sheetOpen.value = true) }]);
  useEffect(() => {
    const { waiting } = standing.value;
    const count = waiting + (inboxLive.unread.value?.total ?? 0);
    document.title = count ? `(${count}) Relaydesk` : "Relaydesk";
  });
  const skip = (event) => {
    event.preventDefault(); // the address says which view is open
    document.getElementById("content").focus();
  };
  return html`<div class=${classes("shell")}>
    <a class="skip" href="#content" onClick=${skip}>${t("frame.skip")}</a>
    <${Bar} onPresent=${onPresent} onLogout=${onLogout} />
    <main id="content" tabindex="-1"><${Connection} /><${View} /></main>
    ${sheetOpen.value && html`<${Sheet} onClose=${() => (sheetOpen.value = false)} />`}
    <${PaletteDoor} /><${Asking} /><${Toasts} />
  </div>`;
}
