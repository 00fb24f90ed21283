// The console: who is logged in, and what is shown to them.

import { Live } from "./alerts/live.js";
import { alertTold, alertsShown } from "./alerts/shown.js";
import { call, proveWith } from "./frame/api.js";
import { say } from "./frame/dom.js";
import { html, render } from "./frame/html.js";
import { LinkForm, linkIn } from "./frame/link.js";
import { Login } from "./frame/login.js";
import { me } from "./frame/me.js";
import { match, place } from "./frame/router.js";
import { Shell, standing } from "./frame/shell.js";
import "./frame/theme.js";
import { chosen, learn, speak, t } from "./frame/words.js";
import { dropAhead, readAhead } from "./inbox/start.js";
import { inboxLive } from "./live/inbox.js";
import { ROUTES } from "./routes.js";
import { forgetWritten, mayLeave } from "./talk/leaving.js";
import { inWords } from "./ui/state.js";
import { toast } from "./ui/toast.js";
import { FIRST_AREAS } from "./words/areas.js";

const page = document.getElementById("page");
const WHO = "relaydesk:who"; // whose login this browser has: other tabs hear of another's
let live = null;
let last = ""; // who was logged in here
let asked = null; // the first answer of GET /me

// A first view asks for all that it needs at once, before it is known who looks at it: who that is,
// the view, its words, and what the inbox begins with.
function hurry() {
  if (linkIn(location.hash)) return;
  asked = call("GET", "/me");
  const route = match(ROUTES, place.value.path);
  if (route?.in === "inbox" || route?.nav === "inbox") readAhead();
  Promise.all([asked, route?.load(), learn(...(route?.words ?? []))]).catch(() => {}); // who waits for it is told
}

async function start(note) {
  const link = linkIn(location.hash);
  if (link) return draw(html`<${LinkForm} ...${link} done=${entered} />`);
  const asking = asked ?? call("GET", "/me");
  asked = null;
  try {
    me.value = await asking;
  } catch (error) {
    const said = error.status === 401 ? note && t(note) : t("ui.unreachable");
    return draw(html`<${Login} key=${Date.now()} note=${said} done=${() => start("")} />`);
  }
  if (last && last !== whose(me.value)) return location.reload(); // what views kept is another's
  last = whose(me.value);
  proveWith(me.value.csrf);
  localStorage.setItem(WHO, last);
  return show();
}

function draw(view) {
  render(view, page);
}

function whose({ workspace, agent }) {
  return `${workspace}:${agent.id}`;
}

// Whoever came by a link is logged in now; its token goes out of the address.
function entered() {
  history.replaceState(null, "", "/");
  location.reload();
}

function show() {
  live = new Live(me.value, {
    alerts: (alerts, raised) => {
      alertsShown.value = alerts;
      tell({ waiting: alerts.length });
      if (raised) alertTold(raised);
    },
    connection: (connection) => tell({ connection }),
    presence: (presence) => tell({ presence }),
    sound: (ready) => tell({ soundLocked: !ready }),
    notifications: (notifications) => tell({ notifications }),
  });
  standing.value = { ...standing.value, live };
  const present = (state) => live.present(state).catch((error) => toast(inWords(error), { kind: "bad" }));
  draw(html`<${Shell} onPresent=${present} onLogout=${leave} />`);
  live.begin();
  inboxLive.begin();
  look();
}

function tell(more) {
  standing.value = { ...standing.value, ...more };
}

// The session that somebody looks at right now neither sounds nor notifies.
function look() {
  if (!live) return;
  const looking = document.visibilityState === "visible" && document.hasFocus();
  const [, session] = place.value.path.match(/^\/sessions\/([^/]+)$/) ?? [];
  live.view(looking && session ? decodeURIComponent(session) : "");
  live.refresh();
}

async function leave() {
  if (!(await mayLeave()) || !live) return;
  await live.end();
  await call("POST", "/logout").catch(() => {});
  forgetWritten();
  over("");
}

function over(note) {
  live?.close();
  inboxLive.close();
  live = null;
  dropAhead();
  alertsShown.value = [];
  say("");
  draw(null);
  me.value = null;
  return start(note);
}

addEventListener("hashchange", ({ oldURL }) => {
  if (linkIn(location.hash) || linkIn(new URL(oldURL).hash)) location.reload();
  else look();
});
addEventListener("storage", ({ key, newValue }) => {
  if (key === WHO && newValue && me.value && newValue !== whose(me.value)) location.reload();
});
addEventListener("focus", look);
addEventListener("blur", look);
document.addEventListener("visibilitychange", look);
document.addEventListener("relaydesk:unauthenticated", () => {
  if (live) over("frame.login.ended");
});
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // it was asleep: its locks and its stream are gone
});
navigator.serviceWorker?.addEventListener("message", ({ data }) => {
  if (data?.kind !== "open") return;
  const url = new URL(data.url, location.origin);
  if (url.origin === location.origin) location.hash = url.hash || "#/";
});

hurry();
await Promise.all([learn(...FIRST_AREAS), speak(chosen())]);
start("");
