// Every single switch in words, for the settings' search.

export function inWords() {
  return [];
}
