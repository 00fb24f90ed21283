// System lines in the reader's language. The API says what happened as a machine word and as an
// English sentence whose names are taken out of it here; a sentence that is not known is shown as it is.

import { has, t } from "../frame/words.js";

// machine word -> [[what the sentence looks like, the word for it], ...]
const SAYS = {
  assigned: [
    [/^assigned automatically to (?<to>.+)$/s, "assigned.auto"],
    [/^assigned by (?<by>.+?) to (?<to>.+)$/s, "assigned"],
  ],
  joined: [[/^(?<by>.+) joined$/s, "joined"]],
  unassigned: [
    [/^returned to Unassigned by (?<by>.+)$/s, "unassigned"],
    [/^returned to Unassigned: (?<by>.+) did not answer in time$/s, "unassigned.late"],
  ],
  removed: [[/^(?<who>.+) removed by (?<by>.+)$/s, "removed"]],
  handoff: [
    [/^handed to a person by (?<by>.+) \((?<why>.+)\)$/s, "handoff.by"],
    [/^handed to a person \((?<why>.+)\)$/s, "handoff"],
  ],
  bot_on: [[/^bot turned on by (?<by>.+)$/s, "bot_on"]],
  bot_off: [[/^bot turned off by (?<by>.+)$/s, "bot_off"]],
  tagged: [
    [/^tagged (?<more>.+) and untagged (?<fewer>.+) by (?<by>.+)$/s, "tagged.both"],
    [/^tagged (?<more>.+) by (?<by>.+)$/s, "tagged"],
    [/^untagged (?<fewer>.+) by (?<by>.+)$/s, "untagged"],
  ],
  ended: [
    [/^ended by a rule \((?<why>.+)\)$/s, "ended.rule"],
    [/^ended by (?<by>.+)$/s, "ended"],
  ],
  restored: [[/^restored by (?<by>.+?):/s, "restored"]],
  snoozed: [[/^snoozed by (?<by>.+) until (?<until>.+)$/s, "snoozed"]],
  woken: [[/^woken: by (?<by>.+)$/s, "woken"]],
  rated: [[/^rated (?<score>\d+) of (?<best>\d+)/s, "rated"]],
  follow: [[/^/, "follow"]],
  unfollow: [[/^/, "unfollow"]],
  join: [[/^/, "join"]],
  leave: [[/^/, "leave"]],
};
const ICONS = {
  assigned: "user-check", joined: "user-plus", unassigned: "inbox", removed: "user-minus", handoff: "hand",
  bot_on: "bot", bot_off: "bot", tagged: "tag", ended: "circle-check", restored: "rotate-ccw",
  snoozed: "clock", woken: "bell", rated: "star", referral: "link", follow: "user-plus", unfollow: "user-x",
};

export function lineOf({ what, text }) {
  for (const [pattern, word] of SAYS[what] ?? []) {
    const found = pattern.exec(text);
    if (found && has(`talk.line.${word}`)) return t(`talk.line.${word}`, found.groups);
  }
  return text || what;
}

export function lineIcon({ what }) {
  return ICONS[what] ?? "info";
}
