// Which version of the console this page is, and whether desk has another by now. A page that stays
// open over an upgrade would load views of the new version into the old one.

import { signal } from "./html.js";

const VERSION = /\/assets\/(v-[0-9a-f]+)\//;
const ours = import.meta.url.match(VERSION)?.[1] ?? "";

// True: there is another version, and the next view is loaded with the whole page.
export const outdated = signal(false);

// Asks; best when a stream has come back, since an upgrade cuts it.
export async function lookForVersion() {
  if (!ours || outdated.value) return;
  try {
    const answer = await fetch("/", { credentials: "same-origin", cache: "no-cache" });
    const theirs = (await answer.text()).match(VERSION)?.[1];
    if (answer.ok && theirs && theirs !== ours) outdated.value = true;
  } catch {
    // away: asked again when the stream is back
  }
}
