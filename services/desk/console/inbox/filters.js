// The filters of the list, as they stand in the address and as GET /sessions takes them: pure.

export const LISTS = ["bot_hosted", "unassigned", "assigned", "ended"];
export const PARTIES = ["agent", "bot"];
export const WHOSE = ["me", "new", "others"];
const MANY = ["list", "channel", "account", "with", "assignee", "tag"];
const ALL = "show"; // `show=all`: no filter at all; an address without any means the default

// {list: [...], ..., snoozed, q} of an address's query; null where it names no filter.
export function filtersOf(query) {
  if (![...MANY, "snoozed", "q", ALL].some((name) => query[name])) return null;
  const found = Object.fromEntries(MANY.map((name) => [name, values(query[name])]));
  return { ...found, snoozed: query.snoozed ?? "false", q: query.q ?? "" };
}

function values(text) {
  return (text ?? "").split(",").filter(Boolean);
}

// The query of an address that means these filters.
export function addressOf(filters) {
  const given = asked(filters);
  return Object.keys(given).length ? given : { [ALL]: "all" };
}

// What GET /sessions is asked, and without `q` the stream.
export function asked(filters, { words = true } = {}) {
  const given = {};
  for (const name of MANY) if (filters[name]?.length) given[name] = filters[name].join(",");
  if (filters.snoozed && filters.snoozed !== "false") given.snoozed = filters.snoozed;
  if (words && filters.q) given.q = filters.q;
  return given;
}

export const EVERYTHING = filtersOf({ [ALL]: "all" });

export function completed(values_ = {}) {
  return { ...EVERYTHING, ...values_ };
}

// The body of a kept filter: it has no words.
export function kept(filters) {
  const { q, ...rest } = filters;
  return rest;
}

export function same(one, other) {
  return key(one) === key(other);
}

export function key(filters) {
  const sorted = Object.entries(asked(filters)).map(([name, text]) => [name, text.split(",").sort().join(",")]);
  return JSON.stringify(sorted.sort());
}

export function toggled(filters, name, value) {
  const has = filters[name].includes(value);
  return { ...filters, [name]: has ? filters[name].filter((one) => one !== value) : [...filters[name], value] };
}

// The tabs of lists share out what is shown: one at a time, or the three open ones.
export function tabbed(filters, list) {
  return { ...filters, list: list ? [list] : [] };
}

// A channel's icon: all of its conversations, whatever else was chosen.
export function onlyAccount(slug) {
  return { ...EVERYTHING, account: [slug] };
}

// How many filters narrow the list, besides its tab and words.
export function narrowing(filters) {
  const many = ["channel", "account", "with", "assignee", "tag"].filter((name) => filters[name].length);
  return many.length + (filters.snoozed === "false" ? 0 : 1);
}
