// Every single switch: what it is called, how it is set, and in which group it stands. The words are
// switches.<name>, switches.<name>.hint, and for what happens switches.<name>.<value>.

import { t } from "../frame/words.js";

const DAY_S = 86_400;

// kind: switch, choice, seconds, number, words, text, channels, calendar, zone, quiet.
// overrides: channels and accounts may differ; `when`: shown where this holds of the settings.
export const GROUPS = [
  {
    group: "arrival",
    rows: [
      { name: "auto_hosting", kind: "switch", overrides: true },
      { name: "reopen", kind: "choice", values: ["owner", "queue", "bot"] },
      { name: "handoff_words", kind: "words", most: 100 },
    ],
  },
  {
    group: "assign",
    rows: [
      { name: "auto_assign", kind: "switch", overrides: true },
      { name: "strategy", kind: "choice", values: ["least_loaded", "round_robin", "priority", "sticky"] },
      { name: "strategy_returning", kind: "choice", values: ["", "least_loaded", "round_robin", "priority", "sticky"], empty: null },
      { name: "removed_for_s", kind: "seconds", least: 0, most: 30 * DAY_S },
    ],
  },
  {
    group: "automation",
    rows: [
      { name: "session_hosting", kind: "switch", overrides: true },
      { name: "bot_messages", kind: "number", least: 1, most: 1000 },
      { name: "bot_deadline_s", kind: "seconds", least: 1, most: 3600 },
    ],
  },
  {
    group: "silence",
    rows: [
      { name: "silent_owner_s", kind: "seconds", least: 0, most: 30 * DAY_S },
      {
        name: "silent_owner", kind: "choice", values: ["remind", "alert_lead", "reassign", "queue"],
        when: (settings) => settings.silent_owner_s > 0,
      },
    ],
  },
  {
    group: "end",
    rows: [
      { name: "auto_termination", kind: "switch", overrides: true, page: "/settings/termination" },
      { name: "end_session_confirm", kind: "switch" },
    ],
  },
  {
    group: "visitors",
    rows: [
      { name: "show_read", kind: "switch" },
      { name: "offline_visitors.method", kind: "choice", values: ["email", "plugin"] },
      { name: "offline_visitors.after_s", kind: "seconds", least: 20, most: 3600 },
      { name: "offline_visitors.quiet_s", kind: "seconds", least: 0, most: DAY_S },
    ],
  },
  {
    group: "survey",
    rows: [
      { name: "survey.channels", kind: "channels" },
      { name: "survey.question", kind: "text", most: 500, least: 1 },
      { name: "survey.thanks", kind: "text", most: 500 },
      { name: "survey.within_s", kind: "seconds", least: 60, most: 7 * DAY_S },
    ],
  },
  {
    group: "hours",
    rows: [
      { name: "zone", kind: "zone" },
      { name: "calendar", kind: "calendar" },
      { name: "quiet_hours", kind: "quiet" },
    ],
  },
];

export const CHANNELS = ["messenger", "fb_comment", "instagram", "line", "telegram", "web", "wechat", "whatsapp"];

// {name, label, hint, group} of all of them, to search in.
export function inWords() {
  return GROUPS.flatMap(({ group, rows }) =>
    rows.map(({ name }) => ({
      name, label: t(`switches.${name}`), hint: t(`switches.${name}.hint`), group: t(`switches.group.${group}`),
    })),
  );
}
