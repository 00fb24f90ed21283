// Requests to /api/v1 by the login's cookie; a change repeats the token that proves it is ours.

import { me } from "./me.js";

let csrf = "";

// An answer that is no success: `status`, and the `problem` it says (code, detail, field, allowed,
// facts). A request that nobody answered throws a TypeError instead.
export class Refused extends Error {
  constructor(status, problem, headers) {
    super(problem.detail || String(status));
    this.status = status;
    this.problem = problem;
    this.headers = headers;
  }
}

export function proveWith(token) {
  csrf = token;
}

// After this long nobody answers any more: the line may have died without a word (a laptop that was
// asleep, a proxy that hangs). A change that has a key may be repeated.
const LIMIT_MS = 30_000;

// Answers the JSON body, or null. `etag`: what an edit is based on; `key`: repeats are one.
export async function call(method, path, body, options = {}) {
  return (await ask(method, path, body, options)).body;
}

// The same with the answer's headers: {body, etag, headers, status}.
export async function ask(method, path, body, options = {}) {
  try {
    return await asked(method, path, body, options);
  } catch (error) {
    if (error.status !== 403 || error.problem?.facts?.reason !== "csrf" || !(await proven())) throw error;
    return asked(method, path, body, options);
  }
}

// Somebody has logged in anew in another tab: the same person goes on with a new proof, and a page
// of somebody else begins anew.
async function proven() {
  const now = (await asked("GET", "/me", undefined, {})).body;
  const before = me.value;
  if (now.agent.id !== before?.agent.id || now.workspace !== before?.workspace) {
    location.reload();
    return false;
  }
  proveWith(now.csrf);
  return true;
}

async function asked(method, path, body, { etag, key, signal, raw }) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrf;
  if (etag) headers["If-Match"] = etag;
  if (key) headers["Idempotency-Key"] = key;
  if (body !== undefined && !raw) headers["Content-Type"] = "application/json";
  if (raw?.type) headers["Content-Type"] = raw.type;
  const answer = await answered(`/api/v1${path}`, raw ? 0 : LIMIT_MS, {
    method, headers, signal,
    body: raw ? raw.body : body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
  });
  const { text } = answer;
  const read = text ? parsed(text) : null;
  if (answer.ok) {
    return { body: read, etag: answer.headers.get("ETag") ?? "", headers: answer.headers, status: answer.status };
  }
  if (answer.status === 401 && path !== "/login") {
    document.dispatchEvent(new Event("relaydesk:unauthenticated"));
  }
  throw new Refused(answer.status, read || {}, answer.headers);
}

// The answer with its text, within a time (0: any). Throws a TypeError where there is none.
async function answered(url, within, { signal, ...given }) {
  const ending = new AbortController();
  const end = () => ending.abort(signal.reason);
  if (signal?.aborted) end();
  signal?.addEventListener("abort", end);
  const timer = within ? setTimeout(() => ending.abort(new TypeError("nobody answers")), within) : 0;
  try {
    const answer = await fetch(url, { ...given, signal: ending.signal });
    return { ok: answer.ok, status: answer.status, headers: answer.headers, text: await answer.text() };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // a proxy's own page
  }
}

// `?a=1&b=2` of what is given; a list becomes several values by comma; what is empty is left out.
export function query(given) {
  const pairs = Object.entries(given)
    .map(([name, value]) => [name, Array.isArray(value) ? value.join(",") : value])
    .filter(([, value]) => value !== undefined && value !== null && value !== "");
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
}

// A key for a change that may be repeated until it is answered.
export function newKey() {
  return crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
}

// Sends a file with progress (0 to 1); answers the body, or throws as `call` does. `options.query`
// is put behind the path, `signal` ends it.
export function upload(path, file, { progress, signal, headers = {} } = {}) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest(); // fetch tells no progress of what is sent
    request.open("POST", `/api/v1${path}`);
    request.setRequestHeader("X-CSRF-Token", csrf);
    request.setRequestHeader("Accept", "application/json");
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) progress?.(event.loaded / event.total);
    });
    request.addEventListener("load", () => {
      const read = parsed(request.responseText);
      if (request.status < 300) done(read);
      else fail(new Refused(request.status, read || {}, new Headers()));
    });
    request.addEventListener("error", () => fail(new TypeError("nobody answers")));
    request.addEventListener("abort", () => fail(new DOMException("ended", "AbortError")));
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}
