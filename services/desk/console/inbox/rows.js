// The rows of the list: what was read of pages, and what the stream said since. Of two states of a
// session the one with the higher `rev` holds. Pure: every function returns a new state.
//
// State: {rows: Map(id -> row), order: [id], fresh: Set(id), gone: Map(id -> {rev, at}),
// left: Map(id -> rev), next}. `order` is what is shown; `fresh` has ids that came while the order was
// held, and wait above it; `gone` are rows that are no longer among them, and still stand where they
// stood; `left` is what was told so of any, so that a page on its way does not bring them back.

const MOST_LEFT = 500; // a page is on its way for seconds, not for so many

export function empty() {
  return { rows: new Map(), order: [], fresh: new Set(), gone: new Map(), left: new Map(), next: null };
}

// Newest change first; of snoozed ones, what wakes first. Sorting what is nearly in order is cheap.
export function inOrder(rows, ids, snoozed) {
  const turn = snoozed ? 1 : -1;
  return [...ids].sort((a, b) => turn * (stood(rows.get(a), snoozed) - stood(rows.get(b), snoozed)) || (a < b ? turn : -turn));
}

const moments = new WeakMap(); // row -> milliseconds: a time is read once

function stood(row, snoozed) {
  let at = moments.get(row);
  if (at === undefined) moments.set(row, (at = Date.parse(snoozed ? row.snoozed_until : row.updated_at) || 0));
  return at;
}

// A page that was read: the first one, or the one behind the last.
export function paged(state, page, { first, snoozed, held }) {
  const rows = new Map(state.rows);
  for (const row of page.items) keep(rows, state, row);
  const known = new Set(state.order);
  const more = page.items.filter(({ id }) => rows.has(id) && !known.has(id) && !state.fresh.has(id)).map(({ id }) => id);
  const next = first && state.order.length ? state.next : page.next;
  if (first && held && state.order.length) {
    return { ...state, rows, fresh: new Set([...state.fresh, ...more]) };
  }
  const order = first ? inOrder(rows, [...state.order, ...more], snoozed) : [...state.order, ...more];
  return { ...state, rows, order, next };
}

function keep(rows, state, row) {
  const before = rows.get(row.id);
  if (before && before.rev > row.rev) return;
  if ((state.left.get(row.id) ?? -1) >= row.rev) return; // it was told meanwhile that it is gone
  rows.set(row.id, row);
}

// {id, rev} of what a first page lacks though it reaches behind it: it left before the stream began.
// `before` is what stood there when the page was asked for (id -> rev), since what came or changed
// meanwhile is newer than the page.
export function missing(state, page, before, snoozed) {
  const last = page.items.at(-1);
  if (!page.complete || (page.next && !last)) return [];
  const found = new Set(page.items.map(({ id }) => id));
  const reached = (row) => !page.next || (snoozed ? stood(row, true) < stood(last, true) : stood(row) > stood(last));
  return [...before]
    .filter(([id, rev]) => !found.has(id) && !state.gone.has(id) && state.rows.get(id)?.rev === rev && reached(state.rows.get(id)))
    .map(([id, rev]) => ({ id, rev }));
}

// The stream's word about a session. `held`: rows stay where they are, and new ones wait above.
export function told(state, row, { held, snoozed }) {
  const before = state.rows.get(row.id);
  if (before && before.rev > row.rev) return state;
  if ((state.left.get(row.id) ?? -1) >= row.rev) return state;
  if (behind(state, row, snoozed) && !before) return state;
  const rows = new Map(state.rows).set(row.id, row);
  const left = without(state.left, row.id);
  const gone = without(state.gone, row.id);
  const shown = state.order.includes(row.id);
  if (held) {
    const fresh = shown ? state.fresh : new Set(state.fresh).add(row.id);
    return { ...state, rows, gone, left, fresh };
  }
  const ids = shown ? state.order : [row.id, ...state.order];
  return { ...state, rows, gone, left, order: inOrder(rows, ids, snoozed) };
}

// It stands where no page was read yet: it comes with its page.
function behind(state, row, snoozed) {
  if (!state.next || !state.order.length) return false;
  const last = state.rows.get(state.order.at(-1));
  if (!last) return false;
  const later = stood(row, snoozed) - stood(last, snoozed);
  return snoozed ? later > 0 : later < 0;
}

// It is no longer among them; it stays to be seen until `swept`.
export function removed(state, { id, rev }, now = Date.now()) {
  const row = state.rows.get(id);
  if (row && rev && row.rev > rev) return state;
  const left = new Map(state.left).set(id, rev);
  if (left.size > MOST_LEFT) left.delete(left.keys().next().value);
  if (!row) return { ...state, left };
  if (!state.order.includes(id)) {
    return { ...state, left, rows: without(state.rows, id), fresh: less(state.fresh, [id]) };
  }
  return { ...state, left, gone: new Map(state.gone).set(id, { rev, at: now }) };
}

// Puts all into its order, with what waited; what is gone since `before` goes.
export function settled(state, { snoozed, before = Infinity } = {}) {
  const leaving = [...state.gone].filter(([, { at }]) => at <= before).map(([id]) => id);
  if (!leaving.length && !state.fresh.size && isOrdered(state, snoozed)) return state;
  const rows = new Map(state.rows);
  const gone = new Map(state.gone);
  for (const id of leaving) {
    rows.delete(id);
    gone.delete(id);
  }
  const ids = [...state.fresh, ...state.order].filter((id) => rows.has(id));
  return { ...state, rows, gone, fresh: new Set(), order: inOrder(rows, ids, snoozed) };
}

function isOrdered(state, snoozed) {
  const wanted = inOrder(state.rows, state.order, snoozed);
  return wanted.every((id, at) => id === state.order[at]);
}

function without(map, id) {
  if (!map.has(id)) return map;
  const left = new Map(map);
  left.delete(id);
  return left;
}

function less(set, ids) {
  const left = new Set(set);
  for (const id of ids) left.delete(id);
  return left;
}
