// The console: who is logged in, what stands where, and which view an address means.

import { call, proveWith } from "./api.js";
import { el, say } from "./dom.js";
import { words } from "./en.js";
import { Live } from "./live.js";
import { linkIn, linkView } from "./link.js";
import { AlertList } from "./list.js";
import { loginView } from "./login.js";
import { headline, kind } from "./phrases.js";
import { SessionView } from "./session.js";
import { SettingsView } from "./settings.js";
import { Shell } from "./shell.js";

const page = document.getElementById("page");
let live = null;
let shell = null;
let view = null;
let me = null;

async function start(note) {
  const link = linkIn(location.hash);
  if (link) return page.replaceChildren(linkView(link, { done: entered }));
  try {
    me = await call("GET", "/me");
  } catch (error) {
    page.replaceChildren(loginView({ note: note || unreachable(error), done: () => start("") }));
    return;
  }
  proveWith(me.csrf);
  show();
}

// Whoever came by a link is logged in now; its token goes out of the address.
function entered() {
  history.replaceState(null, "", "/");
  location.reload();
}

function unreachable(error) {
  return error.status === 401 ? "" : words.login.unreachable;
}

function show() {
  const list = new AlertList({ dismiss: (id) => live.dismiss(id) });
  live = new Live(me, {
    alerts: (alerts, raised) => {
      list.show(alerts, shown().session);
      shell.waiting(alerts.length);
      if (raised) told(raised);
    },
    connection: (state) => shell.connection(state),
    presence: (state) => shell.presence(state),
    sound: (ready) => shell.hintSound(!ready),
    notifications: (state) => {
      shell.notifications(state);
      view?.notifications?.(state);
    },
  });
  shell = new Shell({
    me,
    list: list.element,
    present: (state) => live.present(state),
    ask: () => live.ask(),
    logout: leave,
  });
  page.replaceChildren(shell.element);
  live.begin();
  go();
}

function told(alert) {
  say(words.alerts.said(kind(alert), headline(alert)));
  if (alert.session && alert.session === shown().session) view.load?.(looking(), { anew: true });
}

// What the address means.
function shown() {
  const [, place, id] = location.hash.match(/^#\/([\w-]+)(?:\/([^/?]+))?/) ?? [];
  if (place === "sessions" && id) return { place, session: unescaped(id) };
  if (Object.hasOwn(words.elsewhere, place) && id) {
    return { place, session: "", id: unescaped(id) };
  }
  return { place: place === "settings" ? place : "", session: "" };
}

function unescaped(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function go() {
  if (!shell) return;
  const { place, session, id } = shown();
  if (id) {
    view = elsewhere(place, id);
  } else if (session) {
    view = new SessionView(session, me);
    view.load(looking());
  } else if (place === "settings") {
    view = new SettingsView(live);
    view.load();
  } else {
    view = null;
  }
  shell.place(place, view?.element ?? null);
  live.view(looking() ? session : "");
  live.refresh();
}

// What has no view here: the alert's own words stand in the list, and this says where to look.
function elsewhere(place, id) {
  const { title, where } = words.elsewhere[place];
  return { element: el("section", {}, el("h2", {}, `${title} ${id}`), el("p", {}, where(id))) };
}

function looking() {
  return document.visibilityState === "visible" && document.hasFocus();
}

function look() {
  if (!live) return;
  const { session } = shown();
  live.view(looking() ? session : "");
  if (session && looking()) view?.load?.(true);
}

async function leave() {
  await live.end();
  await call("POST", "/logout").catch(() => {});
  over("");
}

function over(note) {
  if (!live && !note) return start("");
  live?.close();
  live = shell = view = null;
  say("");
  return start(note);
}

addEventListener("hashchange", ({ oldURL }) => {
  if (linkIn(location.hash) || linkIn(new URL(oldURL).hash)) location.reload();
  else go();
});
addEventListener("focus", look);
addEventListener("blur", look);
document.addEventListener("visibilitychange", look);
document.addEventListener("relaydesk:unauthenticated", () => {
  if (live) over(words.login.ended);
});
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // it was asleep: its locks and its stream are gone
});
navigator.serviceWorker?.addEventListener("message", ({ data }) => {
  if (data?.kind !== "open") return;
  const url = new URL(data.url, location.origin);
  if (url.origin === location.origin) location.hash = url.hash || "#/";
});

start("");
