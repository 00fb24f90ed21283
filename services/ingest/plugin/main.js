// One classic script for websites (`/plugin/<account>.js`) and for our own page (`/chat/<account>`).

import { Chat } from "./chat.js";
import { FullPage } from "./page.js";
import { Keep } from "./keep.js";
import { Widget } from "./widget.js";
import { Wire } from "./wire.js";

function start(source) {
  const { origin, pathname } = new URL(source);
  const full = pathname.startsWith("/chat/");
  if (!full && window.relaydesk?.loaded) return; // the tag is there twice
  const path = full ? location.pathname : pathname;
  const account = decodeURIComponent(path.split("/")[2] ?? "").replace(/\.js$/, "");
  const keep = new Keep(full ? `page.${account}` : account);
  const chat = new Chat({ keep, wire: new Wire(origin, account), account, linked: full });
  const view = full ? new FullPage({ chat, origin }) : new Widget({ chat, origin });
  if (document.body) view.begin();
  else addEventListener("DOMContentLoaded", () => view.begin(), { once: true });
}

if (document.currentScript?.src) start(document.currentScript.src);
else console.error("relaydesk: add the chat as a script tag of its own, neither inline nor as a module");
