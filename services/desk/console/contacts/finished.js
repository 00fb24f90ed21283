// Whoever began an import is told wherever they are that it is over, with its counts.

import { go } from "../frame/router.js";
import { learn, t } from "../frame/words.js";
import { toast } from "../ui/index.js";

const LASTS_MS = 15_000;

// `alert`: of the trigger import.finished, as the stream of alerts tells it.
export async function importFinished(alert) {
  await learn("contacts");
  const { created = 0, updated = 0, failed = 0 } = alert.counts ?? {};
  toast(t("contacts.import.finished", { created, updated, failed }), {
    lasts: LASTS_MS,
    action: { label: t("contacts.import.see"), run: () => go("/contacts/import") },
  });
}
