// What rules may name: channels, accounts, agents, teams, bots, calendars; as [[id, name], ...].

import { call } from "../frame/api.js";
import { useEffect, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { CHANNELS } from "./switch_rows.js";

const LISTS = ["bot_hosted", "unassigned", "assigned", "ended"];
const FIELDS = ["name", "email", "phone", "language", "country", "company"];
const READ = { accounts: "/accounts", agents: "/agents", teams: "/teams", bots: "/bots", calendars: "/calendars" };

// {known, ready}; what cannot be read is empty, and its ids are shown as they are.
export function useKnown() {
  const [read, put] = useState(null);
  useEffect(() => {
    let wanted = true;
    const asked = Object.entries(READ).map(([name, path]) => call("GET", path).then(({ items }) => [name, items], () => [name, []]));
    Promise.all(asked).then((found) => wanted && put(Object.fromEntries(found)));
    return () => (wanted = false);
  }, []);
  return { known: named(read ?? {}), ready: read !== null };
}

function named({ accounts = [], agents = [], teams = [], bots = [], calendars = [] }) {
  const pairs = (rows, id = "id") => rows.map((row) => [row[id], row.name || row[id]]);
  return {
    channels: CHANNELS.map((one) => [one, t(`frame.channel.${one}`)]),
    lists: LISTS.map((one) => [one, t(`rules.list.${one}`)]),
    fields: FIELDS.map((one) => [one, one]),
    accounts: pairs(accounts, "slug"), agents: pairs(agents), teams: pairs(teams), bots: pairs(bots),
    calendars: [["", t("rules.calendar.workspace")], ...pairs(calendars)],
  };
}

export function nameIn(known, from, id) {
  return known[from]?.find(([one]) => one === id)?.[1] ?? id;
}
