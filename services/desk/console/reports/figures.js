// How the figures of a report are shown: which are drawn, and each by what it measures. Pure.

import { duration, has, number, t } from "../frame/words.js";

// What is drawn of a report over time; `stacked` parts make up a whole.
export const DRAWN = {
  response: { columns: ["first_response_median_s", "first_response_p90_s"] },
  resolution: { columns: ["resolution_median_s", "resolution_p90_s"] },
  waiting: { columns: ["waiting_median_s", "waiting_p90_s"] },
  bots: { columns: ["containment"] },
  terminations: { columns: ["by_agent", "by_automatic", "by_bot", "by_rule", "by_system"], stacked: true },
  transfers: { columns: ["transfers", "owned"] },
  volume: { columns: ["received", "sent_by_agents", "sent_by_bots"] },
  satisfaction: { columns: ["mean"] },
  agents: { columns: ["owned", "sent"] },
};
// What stands on top of a report.
export const TILES = {
  response: ["first_response_median_s", "first_response_p90_s", "needed", "abandoned_share"],
  resolution: ["resolution_median_s", "resolution_p90_s", "resolution_count"],
  waiting: ["waiting_median_s", "waiting_p90_s", "waiting_max_s", "spells"],
  bots: ["containment", "contained", "began_with_bot"],
  terminations: ["ended", "by_agent", "by_automatic", "by_bot", "by_rule"],
  transfers: ["transfers", "transfer_share", "owned"],
  volume: ["opened", "ended", "received", "sent"],
  satisfaction: ["mean", "answered_share", "asked", "answered"],
  agents: ["owned", "sent", "load_mean", "load_max"],
};

export function columnName(column) {
  return has(`reports.column.${column}`) ? t(`reports.column.${column}`) : column;
}

export function measure(column) {
  if (column.endsWith("_s")) return "seconds";
  if (column.endsWith("_share") || column === "containment") return "share";
  return column === "mean" || column === "load_mean" ? "mean" : "count";
}

// A value as it is read; what has nothing to divide by is a dash.
export function shown(column, value) {
  if (value === null || value === undefined) return "–";
  switch (measure(column)) {
    case "seconds":
      return duration(value);
    case "share":
      return number(value, { style: "percent", maximumFractionDigits: 1 });
    case "mean":
      return number(value, { maximumFractionDigits: 2 });
    default:
      return number(value);
  }
}

// The name of a row: of a channel, of whoever it is, of an hour of the week, or its day.
export function rowName(by, { key, name }) {
  if (by === "channel") return has(`frame.channel.${key}`) ? t(`frame.channel.${key}`) : key;
  if (by === "hour") {
    const [day, hour] = key.split(" ");
    return `${t(`reports.day.${day}`)} ${hour}`;
  }
  return name || key || t("reports.nobody");
}
