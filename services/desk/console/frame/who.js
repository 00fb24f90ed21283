// What a contact is called everywhere: by their name, else by a mark that stays theirs.

import { t } from "./words.js";

export function contactName(contact) {
  return contact?.name || t("frame.nameless", { mark: String(contact?.id ?? "").slice(-4).toUpperCase() });
}
