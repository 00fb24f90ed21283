// How the plugin is set: what was known last at once, what the server says as soon as it does.

import { pause } from "./stream.js";

const FRESH_MS = 60_000;
const LONGEST_ASKING_MS = 60_000;

// Asks until there is an answer; `found(config)`, or `gone(status)`: the account, or not for this page.
export class Configured {
  #at = 0;

  constructor({ keep, wire, found, gone }) {
    this.keep = keep;
    this.wire = wire;
    this.found = found;
    this.gone = gone;
    this.config = keep.get("config");
  }

  async refresh() {
    if (Date.now() - this.#at < FRESH_MS) return;
    this.#at = Date.now();
    for (let wait = 2000; ; wait = Math.min(2 * wait, LONGEST_ASKING_MS)) {
      const answer = await this.wire.config().catch(() => null);
      const found = answer?.ok ? await answer.json().catch(() => null) : null;
      if (found) {
        this.config = found;
        this.keep.set("config", found);
        return this.found(found);
      }
      if (answer && [403, 404].includes(answer.status)) {
        this.keep.drop("config");
        return this.gone(answer.status);
      }
      await pause(wait);
    }
  }
}
