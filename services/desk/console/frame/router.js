// Which view an address means. Addresses stand behind the # and are listed in routes.js.

import { signal } from "./html.js";

// {path: "/sessions/ses_1", query: {list: "ended"}} of what stands behind the #.
export const place = signal(read(location.hash));

function read(hash) {
  const [path, search = ""] = hash.replace(/^#/, "").split("?");
  return { path: path || "/", query: Object.fromEntries(new URLSearchParams(search)) };
}

const holds = new Set();

// Asks *may* (answers a promise of true) before another view is shown; answers how to end that.
export function hold(may) {
  holds.add(may);
  return () => holds.delete(may);
}

addEventListener("hashchange", async () => {
  const wanted = location.hash;
  const next = read(wanted);
  if (!holds.size || next.path === place.value.path) {
    place.value = next;
    return;
  }
  history.replaceState(null, "", href(place.value.path, place.value.query)); // until it is answered
  for (const may of [...holds]) if (!(await may())) return;
  holds.clear();
  location.hash = wanted;
});

export function href(path, given = {}) {
  const pairs = Object.entries(given).filter(([, value]) => value !== undefined && value !== "");
  return `/#${path}${pairs.length ? `?${new URLSearchParams(pairs)}` : ""}`;
}

// `saved`: nothing of the view that is left can be lost.
export function go(path, given = {}, { replace = false, saved = false } = {}) {
  if (saved) holds.clear();
  const to = href(path, given);
  if (to === `/${location.hash}`) return;
  if (!replace) {
    location.hash = to.slice(1);
    return;
  }
  history.replaceState(null, "", to);
  place.value = read(location.hash);
}

// The row of *routes* that a path matches, with its parameters; null: none. A pattern is
// "/contacts/:id"; parameters are unescaped.
export function match(routes, path) {
  for (const route of routes) {
    const params = fits(route.path, path);
    if (params) return { ...route, params };
  }
  return null;
}

function fits(pattern, path) {
  const wanted = pattern.split("/").filter(Boolean);
  const given = path.split("/").filter(Boolean);
  if (wanted.length !== given.length) return null;
  const params = {};
  for (const [at, part] of wanted.entries()) {
    if (part.startsWith(":")) params[part.slice(1)] = unescaped(given[at]);
    else if (part !== given[at]) return null;
  }
  return params;
}

function unescaped(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
