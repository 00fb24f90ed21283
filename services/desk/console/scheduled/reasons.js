// Why a message did not go out, or may not: the API's words, as people say them.

import { has, t } from "../frame/words.js";

export function said(reason) {
  return has(`scheduled.reason.${reason}`) ? t(`scheduled.reason.${reason}`) : reason.replaceAll("_", " ");
}

// What is said beside a scheduled message; of one that waits, what would become of it now.
export function reasonOf({ state, reason, detail, expected }) {
  if (state === "pending" && expected && expected !== "goes") return t("scheduled.would", { reason: said(expected) });
  if (!reason || (state === "cancelled" && !detail) || reason === "quiet_hours") return "";
  return detail ? `${said(reason)} (${detail.replaceAll("_", " ")})` : said(reason);
}
