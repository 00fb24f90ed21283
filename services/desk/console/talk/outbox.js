// What was written and is not accepted yet. It is kept in this browser until the API has taken it, so
// that neither a reload nor a connection that is away loses it; its key is made once, so that however
// often it is sent it is one message. Messages of a session go out one after the other.

import { call, newKey } from "../frame/api.js";
import { effect, signal } from "../frame/html.js";
import { me } from "../frame/me.js";

const FIRST_MS = 600;
const LONGEST_MS = 15_000;
const STALE_MS = 30 * 60_000; // the talk has gone on meanwhile: nothing older goes out by itself
// Answers behind which the very same request may do better
const PASSING = new Set([401, 408, 425, 429, 500, 502, 503, 504]);

// {id, session, path, body, files, shown, mentions, at, state: "sending"|"waiting"|"failed", problem,
// stale: it waited for so long that its writer is asked}
export const waiting = signal([]);
export const accepted = new Map(); // id of an entry -> id under which it was shown before
const listeners = new Set();
const busy = new Set(); // sessions that are being sent to
let whose = "";
let wait = FIRST_MS;
let timer;

export function onAccepted(run) {
  listeners.add(run);
  return () => listeners.delete(run);
}

// `shown` is what the timeline shows of it meanwhile, where that is not the body's text.
export function post(session, { path = "messages", body, files = [], shown = "", mentions = [] }) {
  const item = { id: newKey(), session, path, body, files, shown, mentions, at: new Date().toISOString(), state: "sending" };
  keep(item);
  waiting.value = [...waiting.value, item];
  flush();
  return item.id;
}

// Once more, after it was refused.
export function again(id) {
  wait = FIRST_MS;
  change(id, { state: "sending", problem: null, stale: false, at: new Date().toISOString() });
  flush();
}

export function discard(id) {
  drop(id);
  waiting.value = waiting.value.filter((one) => one.id !== id);
}

// Nothing of it is sent any more.
export function forgetWaiting() {
  for (const { id } of waiting.value) drop(id);
  waiting.value = [];
}

function flush() {
  clearTimeout(timer);
  for (const { session, state } of waiting.value) {
    if (state !== "failed" && !busy.has(session)) send(session);
  }
}

async function send(session) {
  busy.add(session);
  try {
    // another page of this browser may hold the same messages: one of them sends at a time
    await alone(`relaydesk:out:${session}`, () => sendAll(session));
  } finally {
    busy.delete(session);
  }
}

async function sendAll(session) {
  for (;;) {
    const item = waiting.value.find((one) => one.session === session && one.state !== "failed");
    if (!item || !whose) return;
    if (!isKept(item.id)) {
      waiting.value = waiting.value.filter((one) => one.id !== item.id); // the other page has sent it
      continue;
    }
    if (isStale(item)) change(item.id, { state: "failed", problem: null, stale: true });
    else if (!(await sendOne(item))) return;
  }
}

function isStale({ at }) {
  return Date.now() - Date.parse(at) > STALE_MS;
}

// Answers whether the next one may go.
async function sendOne(item) {
  change(item.id, { state: "sending" });
  try {
    const path = `/sessions/${encodeURIComponent(item.session)}/${item.path}`;
    const entry = await call("POST", path, item.body, { key: item.id });
    wait = FIRST_MS;
    accepted.set(entry.id, item.id);
    for (const run of [...listeners]) run(item, entry);
    discard(item.id);
    return true;
  } catch (error) {
    if (error.status !== undefined && !PASSING.has(error.status)) {
      change(item.id, { state: "failed", problem: error.problem });
      return true;
    }
    for (const { id, session, state } of waiting.value) {
      if (session === item.session && state === "sending") change(id, { state: "waiting" }); // those behind it, too
    }
    clearTimeout(timer);
    timer = setTimeout(flush, wait * (0.75 + Math.random() / 2));
    wait = Math.min(2 * wait, LONGEST_MS);
    return false;
  }
}

function change(id, more) {
  waiting.value = waiting.value.map((one) => (one.id === id ? { ...one, ...more } : one));
  const item = waiting.value.find((one) => one.id === id);
  if (item && isKept(id)) keep(item);
}

function alone(name, run) {
  return navigator.locks ? navigator.locks.request(name, run) : run();
}

addEventListener("online", () => {
  wait = FIRST_MS;
  flush();
});

// --- keeping: an item a key, so that two pages do not overwrite each other's

const memory = new Map(); // where the browser keeps nothing

function place(id) {
  return `relaydesk:out:${whose}:${id}`;
}

function keep(item) {
  memory.set(item.id, item);
  try {
    localStorage.setItem(place(item.id), JSON.stringify(item));
  } catch {
    memory.set(`${item.id} alone`, true); // full, or forbidden: this page keeps it
  }
}

function isKept(id) {
  if (memory.has(`${id} alone`)) return true;
  try {
    return localStorage.getItem(place(id)) !== null;
  } catch {
    return memory.has(id);
  }
}

function drop(id) {
  memory.delete(id);
  memory.delete(`${id} alone`);
  try {
    localStorage.removeItem(place(id));
  } catch {
    // it was not kept
  }
}

function restored() {
  try {
    const mine = Object.keys(localStorage).filter((key) => key.startsWith(place("")));
    const items = mine.map((key) => JSON.parse(localStorage.getItem(key)));
    return items.sort((one, other) => (one.at < other.at ? -1 : 1));
  } catch {
    return [];
  }
}

// What an earlier page left goes out as soon as its writer is logged in again.
effect(() => {
  const mine = me.value ? `${me.value.workspace}:${me.value.agent.id}` : "";
  if (mine === whose) return;
  whose = mine;
  waiting.value = whose ? restored() : [];
  if (whose) setTimeout(flush);
});
