// Drafts: what is written in a session's composer and not sent, kept in this browser for its writer.

import { me } from "../frame/me.js";

const EMPTY = { text: "", note: "", mode: "reply", files: [], standard: "", mentions: [] };

// session -> signal of its files, while some of them are on their way: they go on when one looks elsewhere
export const uploads = new Map();

function place(session) {
  return `relaydesk:draft:${me.value?.workspace}:${me.value?.agent.id}:${session}`;
}

export function draftOf(session) {
  try {
    return { ...EMPTY, ...JSON.parse(localStorage.getItem(place(session)) ?? "{}") };
  } catch {
    return { ...EMPTY };
  }
}

export function keepDraft(session, draft) {
  if (!me.value) return; // logged out meanwhile
  const { text, note, files } = draft;
  try {
    if (text || note || files.length) localStorage.setItem(place(session), JSON.stringify(draft));
    else localStorage.removeItem(place(session));
  } catch {
    // full, or forbidden: it lasts as long as the page
  }
}

// Whether Enter sends; else it begins a new line, and Ctrl or Cmd with Enter sends.
export function enterSends() {
  try {
    return localStorage.getItem("relaydesk:enter") !== "line";
  } catch {
    return true;
  }
}

export function setEnterSends(on) {
  try {
    localStorage.setItem("relaydesk:enter", on ? "send" : "line");
  } catch {
    // as it was, next time
  }
}
