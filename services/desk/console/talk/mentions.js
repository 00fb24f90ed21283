// Who is called by name in a note: "@" opens the list.

import { classes, html, useEffect, useState } from "../frame/html.js";
import { me } from "../frame/me.js";
import { t } from "../frame/words.js";
import { Avatar, useGet } from "../ui/index.js";

export function MentionPanel({ q, keys, onPick, onClose }) {
  const agents = useGet("/agents");
  const [at, go] = useState(0);
  const wanted = q.toLocaleLowerCase();
  const items = (agents.data?.items ?? []).filter(({ disabled, id, name }) => !disabled && id !== me.value.agent.id && name.toLocaleLowerCase().includes(wanted)).slice(0, 8);
  useEffect(() => go(0), [q]);
  keys.current = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && items.length) go((at + step + items.length) % items.length);
    else if ((event.key === "Enter" || event.key === "Tab") && items[at]) onPick(items[at]);
    else if (event.key === "Escape") onClose();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  };
  if (!items.length) return null;
  return html`<div class="talk-pop talk-mentions"><ul role="listbox" aria-label=${t("talk.mentions")}>
    ${items.map((agent, place) => html`<li key=${agent.id} role="option" aria-selected=${String(place === at)} class=${classes(place === at && "here")}
      onMouseDown=${(event) => { event.preventDefault(); onPick(agent); }}><${Avatar} name=${agent.name} id=${agent.id} size="small" /><bdi>${agent.name}</bdi></li>`)}
  </ul></div>`;
}

// The ids of those whose name still stands in the text.
export function mentioned(text, picked) {
  return [...new Set(picked.filter(({ name }) => text.includes(`@${name}`)).map(({ id }) => id))];
}
