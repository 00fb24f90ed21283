// What the inbox begins with: accounts, kept filters, what a login shows, and who there is.

import { call } from "../frame/api.js";
import { signal } from "../frame/html.js";

export const accounts = signal([]); // of GET /inbox, by channel
export const saved = signal([]); // kept filters, own ones first
export const first = signal({ filter: "", query: {} }); // what a login shows
export const agents = signal([]);
export const lastShown = { query: null }; // the filters that were on the screen last

const AHEAD_MS = 10_000; // after which what was read ahead is old
let reading = null;
let ahead = null; // {at, promise}

// Asks for it before there is a view that shows it; who begins soon is given that answer.
export function readAhead() {
  ahead = { at: Date.now(), promise: start() };
  ahead.promise.catch(dropAhead); // nobody is logged in, say: asked again when somebody is
}

export function dropAhead() {
  ahead = null;
}

// Reads it all; the answer has the first page of what a login shows. Two at once are one.
export function start() {
  const given = ahead;
  ahead = null;
  if (given && Date.now() - given.at < AHEAD_MS) return given.promise;
  reading ??= call("GET", "/inbox?limit=50")
    .then((found) => {
      accounts.value = found.accounts;
      saved.value = found.filters;
      first.value = found.default;
      return found;
    })
    .finally(() => (reading = null));
  return reading;
}

export async function readSaved() {
  const [{ items }, chosen] = await Promise.all([call("GET", "/filters"), call("GET", "/inbox/default")]);
  saved.value = items;
  first.value = chosen;
}

export async function readAgents() {
  agents.value = (await call("GET", "/agents")).items.filter(({ disabled }) => !disabled);
}

export function accountOf(slug) {
  return accounts.value.find((one) => one.slug === slug);
}

export function accountName(slug) {
  return accountOf(slug)?.name || slug;
}
