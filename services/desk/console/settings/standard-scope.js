// Whom a folder is for: channels, teams and people by id and by name.

import { html, useEffect, useState } from "../frame/html.js";
import { number, t } from "../frame/words.js";
import { call } from "../frame/api.js";
import { Icon } from "../ui/index.js";

export const CHANNELS = ["line", "messenger", "whatsapp", "instagram", "telegram", "wechat", "web", "fb_comment"];

export function channelName(channel) {
  const key = `frame.channel.${channel}`;
  const text = t(key);
  return text === key ? channel : text;
}

export function channelOptions() {
  return CHANNELS.map((one) => [one, channelName(one)]);
}

// {channels, teams, users}: lists of [id, name]; what a role may not read is left empty.
export function useScopes() {
  const [found, put] = useState({ teams: [], users: [] });
  useEffect(() => {
    let wanted = true;
    const all = (path) => everything(path).catch(() => []);
    Promise.all([all("/teams"), all("/agents")]).then(([teams, users]) => {
      if (wanted) put({ teams: teams.map(({ id, name }) => [id, name || id]), users: users.map(({ id, name }) => [id, name]) });
    });
    return () => (wanted = false);
  }, []);
  return { ...found, channels: channelOptions() };
}

// Every item of a list, page by page, up to *most*.
export async function everything(path, most = 2000) {
  const items = [];
  let cursor = "";
  do {
    const mark = path.includes("?") ? "&" : "?";
    const page = await call("GET", cursor ? `${path}${mark}cursor=${encodeURIComponent(cursor)}` : path);
    items.push(...page.items);
    cursor = page.next ?? "";
  } while (cursor && items.length < most);
  return items;
}

export function named(options, id) {
  return options.find(([one]) => one === id)?.[1] ?? id;
}

// What a folder is limited to, as chips; nothing is limited: one that says so.
export function Scope({ folder, scopes }) {
  const rows = [["channels", "globe"], ["teams", "users"], ["users", "user"]];
  const chips = rows.flatMap(([name, icon]) =>
    folder[name].map((id) => html`<span class="chip" key=${name + id}><${Icon} name=${icon} size=${13} />${named(scopes[name], id)}</span>`),
  );
  if (!chips.length) return html`<span class="chip">${t("standard.for_all")}</span>`;
  const shown = chips.slice(0, 4);
  return html`${shown}${chips.length > 4 && html`<span class="chip">+${number(chips.length - 4)}</span>`}`;
}

// The browser's own download: the login's cookie goes with it.
export function fetched(name) {
  const link = document.createElement("a");
  link.href = `/api/v1/standard-messages/${name}`;
  link.download = "";
  link.click();
}
