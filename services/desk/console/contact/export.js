// All that is held of one contact as a file: what is known, notes, and what was said.

import { call } from "../frame/api.js";
import { every, handOver } from "./load.js";

const MOST = 20_000;

export async function exportContact(id) {
  const path = `/contacts/${encodeURIComponent(id)}`;
  const contact = await call("GET", path);
  const notes = await every(`${path}/notes?limit=200`, MOST);
  const messages = await every(`${path}/messages?limit=200&order=asc`, MOST);
  const scheduled = await every(`/scheduled-messages?limit=200&contact=${encodeURIComponent(id)}`, MOST);
  const all = { exported_at: new Date().toISOString(), contact, notes, messages, scheduled_messages: scheduled };
  handOver(new Blob([JSON.stringify(all, null, 2)], { type: "application/json" }), `contact-${id}.json`);
}
