// What stands around every page of the settings: the list of them at the side, and the page.
// On narrow screens the list is alone at #/settings, and a page has a way back to it.

import { html, signal, useEffect, useRef, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { go, href, match, place } from "../frame/router.js";
import { learn, t } from "../frame/words.js";
import { ROUTES } from "../routes.js";
import { Icon, Page } from "../ui/index.js";

await learn("settings"); // whoever imports the frame need not name its words

export const GROUPS = ["you", "talk", "flow", "connect", "people", "operate"];
const sought = signal(""); // what is searched for stays while pages change
let chosen = false; // a page was chosen in the list: it takes the focus

// "/settings/standard-messages" -> "standard-messages"; its words are settings.nav.<name> and
// settings.about.<name>.
export function pageName(path) {
  return path.split("/").at(-1);
}

// [{group, pages: [route]}] of what this role may open.
export function groups() {
  const allowed = ROUTES.filter(({ settings, role }) => settings && (!role || may(role)));
  return GROUPS.map((group) => ({ group, pages: allowed.filter(({ settings }) => settings === group) })).filter(
    ({ pages }) => pages.length,
  );
}

// The page a view is, with the title and what can be done there (`actions`); `back`: {href, label}
// of the list a detail came from; `hint`, `narrow` as of Page.
export function SettingsPage({ children, overview, ...page }) {
  const root = useRef(null);
  useEffect(() => {
    if (!chosen) return;
    chosen = false;
    root.current?.querySelector("h1")?.focus();
  }, []);
  return html`<div class=${`settings ${overview ? "overview" : ""}`} ref=${root}>
    <${Side} />
    <div class="settings-page">
      ${!overview && html`<a class="settings-back" href=${href("/settings")}><${Icon} name="arrow-left" size=${16} />${t("settings.title")}</a>`}
      <${Page} ...${page}>${children}<//>
    </div>
  </div>`;
}

function Side() {
  const words = sought.value.trim();
  return html`<aside class="settings-side" aria-label=${t("settings.title")}>
    <h2 class="settings-head">${t("settings.title")}</h2>
    <${Search} />
    <nav aria-label=${t("settings.title")}>
      ${words ? html`<${Found} words=${words} />` : groups().map(({ group, pages }) => html`<${Group} key=${group} group=${group} pages=${pages} />`)}
    </nav>
  </aside>`;
}

function Search() {
  const keyed = (event) => {
    if (event.key === "Escape") sought.value = "";
    if (event.key !== "Enter") return;
    const first = event.target.closest("aside").querySelector("nav a");
    if (first) first.click();
  };
  return html`<div class="search settings-search">
    <${Icon} name="search" size=${16} />
    <input
      type="search" aria-label=${t("settings.search")} placeholder=${t("settings.search")} value=${sought.value}
      onInput=${(event) => (sought.value = event.target.value)} onKeyDown=${keyed}
    />
  </div>`;
}

function Group({ group, pages }) {
  return html`<section>
    <h3>${t(`settings.group.${group}`)}</h3>
    <ul>${pages.map((page) => html`<${Item} key=${page.path} page=${page} />`)}</ul>
  </section>`;
}

function Item({ page, label, more, to }) {
  const link = useRef(null);
  const here = !to && current() === page.path;
  useEffect(() => {
    if (here) link.current.scrollIntoView({ block: "nearest" });
  }, [here]);
  return html`<li>
    <a ref=${link} href=${to ?? href(page.path)} aria-current=${here ? "page" : undefined} onClick=${() => (chosen = true)}>
      <${Icon} name=${page.icon} size=${17} />
      <span>${label ?? t(`settings.nav.${pageName(page.path)}`)}${more && html`<small>${more}</small>`}</span>
    </a>
  </li>`;
}

// The row of the list that the address is below: of /settings/bots/bot_1 that of /settings/bots.
function current() {
  const { path } = place.value;
  if (match(ROUTES, path)?.settings) return path;
  const listed = ROUTES.filter(({ settings }) => settings);
  return listed.find((route) => path.startsWith(`${route.path}/`))?.path ?? OTHERS[path.split("/")[1]] ?? "";
}

const OTHERS = { accounts: "/settings/channels", trace: "/trace" };

// Pages by name and by what they are about, and single switches.
function Found({ words }) {
  const switches = useSwitches();
  const parts = words.toLocaleLowerCase().split(/\s+/);
  const holds = (...texts) => {
    const all = texts.join(" ").toLocaleLowerCase();
    return parts.every((part) => all.includes(part));
  };
  const pages = groups().flatMap(({ pages: listed }) => listed);
  const found = pages.filter(({ path }) => holds(t(`settings.nav.${pageName(path)}`), t(`settings.about.${pageName(path)}`), pageName(path)));
  const page = pages.find(({ path }) => path === "/settings/switches");
  const single = page ? switches.filter(({ label, hint, name }) => holds(label, hint, name)).slice(0, 12) : [];
  if (!found.length && !single.length) return html`<p class="dim settings-none" role="status">${t("settings.none", { words })}</p>`;
  return html`<ul>
    ${found.map((one) => html`<${Item} key=${one.path} page=${one} />`)}
    ${single.map(
      ({ name, label, group }) => html`<${Item} key=${name} page=${page} label=${label} more=${group} to=${href("/settings/switches", { find: name })} />`,
    )}
  </ul>`;
}

// Every single switch in words, once somebody searches.
function useSwitches() {
  const [rows, put] = useState([]);
  useEffect(() => {
    let wanted = true;
    Promise.all([import("./switch_rows.js"), learn("switches")]).then(
      ([{ inWords }]) => wanted && put(inWords()),
      () => {}, // the pages are found without
    );
    return () => (wanted = false);
  }, []);
  return rows;
}

// To another page of the settings, which takes the focus.
export function goTo(path, given) {
  chosen = true;
  go(path, given);
}
