// A conversation with a web visitor's own token: shown from the event stream, and written on.
// The protocol is described in libs/common/channels/web/README.md. Text is only ever set as text.

const account = location.pathname.split("/")[2];
const root = `/webhooks/web/${encodeURIComponent(account)}`;
const kept = `relaydesk.visitor.${account}`;
const BEAT_MS = 20_000;
const LONGEST_WAIT_MS = 30_000;
const part = (id) => document.getElementById(id);
const shown = new Map(); // message id -> its list item
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const drawn = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");

let me = null; // {visitor, token}
let lastId = "";
let seenUpTo = "";
let toldUpTo = "";
let typing = false;

const notice = (text) => (part("notice").textContent = text);

function call(path, options = {}) {
  const headers = { ...options.headers };
  if (me) headers.Authorization = `Bearer ${me.token}`;
  return fetch(root + path, { ...options, headers, credentials: "omit", cache: "no-store" });
}

function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return call(path, { method: "POST", headers, body: JSON.stringify(body) });
}

// --- who we are ---------------------------------------------------------------------------------

function linkToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("t");
  if (token) history.replaceState(null, "", location.pathname); // out of the address bar and history
  return token;
}

function remembered() {
  try {
    const found = JSON.parse(localStorage.getItem(kept) ?? "null");
    if (typeof found?.token === "string" && typeof found?.visitor === "string") return found;
  } catch {} // not allowed, or not ours
  return null;
}

function remember(identity) {
  try {
    localStorage.setItem(kept, JSON.stringify(identity));
  } catch {} // a browser that keeps nothing: the link works once more
}

// Returns true when we are somebody, false when that is refused for good; throws while away.
async function identify(token) {
  if (!token) {
    me = remembered();
    if (!me) notice("Open the link in our email to see your conversation.");
    return me !== null;
  }
  me = null;
  const answer = await post("/return", { token });
  if (answer.ok) {
    me = await answer.json();
    remember(me);
    return true;
  }
  if (answer.status === 429 || answer.status >= 500) throw new Error("away");
  const told = await answer.json().catch(() => ({}));
  notice(told.detail ?? "This link is not valid.");
  return false;
}

async function dress() {
  const answer = await call("/config").catch(() => null);
  if (!answer?.ok) return;
  const told = await answer.json();
  if (told.name) part("name").textContent = document.title = told.name;
  if (told.branding) {
    part("brand").textContent = "Powered by Relaydesk";
    part("brand").hidden = false;
  }
}

// --- showing ------------------------------------------------------------------------------------

const NAMES = { visitor: "You", bot: "Assistant", automation: "Automatic message", system: "" };

function made(tag, text, name) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (name) element.className = name;
  return element;
}

function file(piece) {
  const name = piece.name || piece.kind || "file";
  let url = null;
  try {
    url = new URL(piece.url ?? "", location.origin);
  } catch {} // shown without a link
  if (!piece.url || !["https:", "http:"].includes(url?.protocol)) return made("p", `[${name}]`, "text");
  const link = made("a", name);
  link.href = url.href;
  link.rel = "noreferrer noopener";
  link.target = "_blank";
  return link;
}

function choice(one) {
  if (one.url) return file({ name: one.title, url: one.url });
  const button = made("button", one.title);
  button.type = "button";
  button.addEventListener("click", () => say({ type: "action", title: one.title, payload: one.payload ?? "" }));
  return button;
}

function pieces(piece) {
  if (piece.type === "media") return [file(piece)];
  const text = piece.text ?? piece.title ?? piece.name ?? piece.address ?? "";
  const found = text ? [made("p", text, "text")] : [];
  return piece.type === "choices" ? [...found, ...piece.choices.map(choice)] : found;
}

function show(message, waiting = false) {
  const item = document.createElement("li");
  item.className = message.sender === "visitor" ? "visitor" : "ours";
  if (waiting) item.classList.add("waiting");
  const who = message.agent || (NAMES[message.sender] ?? "");
  const time = new Date(message.at).toLocaleString();
  item.append(made("p", [who, waiting ? "sending…" : time].filter(Boolean).join(", "), "who"));
  item.append(...message.parts.flatMap(pieces));
  const before = shown.get(message.id);
  if (before) before.replaceWith(item);
  else part("talk").append(item);
  shown.set(message.id, item);
  if (!before) item.scrollIntoView({ block: "nearest" });
  if (message.sender !== "visitor" && message.at > seenUpTo) seenUpTo = message.at;
}

// --- the event stream ---------------------------------------------------------------------------

function take(event) {
  let name = "message";
  const data = [];
  for (const line of event.split("\n")) {
    if (line.startsWith("id: ")) lastId = line.slice(4);
    else if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  if (name !== "message" || data.length === 0) return;
  try {
    show(JSON.parse(data.join("\n")));
    read();
  } catch {} // of a newer version
}

async function pour() {
  const headers = { Accept: "text/event-stream", ...(lastId && { "Last-Event-ID": lastId }) };
  const answer = await call("/events", { headers });
  if (answer.status === 401 || answer.status === 404) return false;
  if (!answer.ok) throw new Error("away");
  notice("");
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { value, done } = await reader.read();
    if (done) return true;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    events.forEach(take);
  }
}

async function follow() {
  for (let wait = 2000; ; ) {
    const began = Date.now();
    const fine = await pour().catch(() => null);
    if (fine === false) {
      remember(null);
      part("write").hidden = true;
      notice("This conversation is closed here. Open the link in our email once more.");
      return;
    }
    wait = Date.now() - began > LONGEST_WAIT_MS ? 2000 : Math.min(2 * wait, LONGEST_WAIT_MS);
    if (fine === null) notice("Connecting…");
    await sleep(wait * (0.5 + Math.random() / 2));
  }
}

// --- what we tell -------------------------------------------------------------------------------

async function beat() {
  for (;;) {
    await post("/heartbeat", { typing }).catch(() => null);
    typing = false;
    await sleep(BEAT_MS);
  }
}

async function read() {
  if (document.visibilityState !== "visible" || seenUpTo <= toldUpTo) return;
  toldUpTo = seenUpTo;
  const answer = await post("", { id: drawn(), type: "read", up_to: toldUpTo }).catch(() => null);
  if (!answer?.ok) toldUpTo = "";
}

async function say(what) {
  const item = { id: drawn(), at: Date.now(), ...what };
  const text = what.text ?? what.title;
  const message = { id: `web:${me.visitor}:${item.id}`, at: new Date().toISOString(), sender: "visitor", parts: [{ type: "text", text }] };
  show(message, true);
  for (let wait = 1000; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    const answer = await post("", item).catch(() => null);
    if (answer?.ok) break;
    if (answer && answer.status < 500 && answer.status !== 429) {
      notice("Your message was not taken. Reload the page and try again.");
      return;
    }
    await sleep(wait); // with the same id: a repeat is one message
  }
  if (shown.get(message.id)?.classList.contains("waiting")) show(message);
}

async function begin(token) {
  part("again").hidden = true;
  try {
    if (!(await identify(token))) return;
  } catch {
    notice("We cannot be reached at the moment.");
    part("again").hidden = false;
    part("again").onclick = () => begin(token);
    return;
  }
  part("write").hidden = false;
  beat();
  follow();
}

part("write").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = part("text").value.trim();
  if (!text) return;
  part("text").value = "";
  typing = false;
  say({ text });
});
part("text").addEventListener("input", () => (typing = true));
document.addEventListener("visibilitychange", read);
dress();
begin(linkToken());
