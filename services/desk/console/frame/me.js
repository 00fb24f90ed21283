// Who is logged in, for every view: `me.value` is the answer of GET /me.

import { signal } from "./html.js";

export const me = signal(null);
const RANK = ["read_only", "agent", "lead", "admin", "owner"];

// Whether the role reaches: may("lead") is true for leads, admins and owners.
export function may(role) {
  return RANK.indexOf(me.value?.role) >= RANK.indexOf(role);
}
