// What differs between two JSON values, leaf by leaf: [{path, old, now}]; undefined: not there.

const MOST = 200;

export function changes(before, after) {
  const found = [];
  compare("", before ?? undefined, after ?? undefined, found);
  return found;
}

function compare(path, old, now, found) {
  if (found.length >= MOST || same(old, now)) return;
  if (plain(old) && plain(now)) each(path, old, now, found);
  else if (plain(old) && now === undefined) each(path, old, {}, found);
  else if (old === undefined && plain(now)) each(path, {}, now, found);
  else found.push({ path, old, now });
}

function each(path, old, now, found) {
  for (const name of new Set([...Object.keys(old), ...Object.keys(now)])) {
    compare(path ? `${path}.${name}` : name, old[name], now[name], found);
  }
}

// A list is compared whole: its order may mean something.
function plain(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}
