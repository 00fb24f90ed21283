// A stream of server-sent events, read with fetch: an EventSource gives up for ever at the first 503
// of a restart. Whatever ends it, it comes back behind the last id it was told.

import { pause, sseReader } from "../alerts/stream.js";

const SILENT_MS = 45_000; // three heartbeats
const FIRST_MS = 500;
const LONGEST_MS = 15_000;

// Reads `url()` until `stop()`, behind the id `after` where one is given. `heard({event, data, id})`
// is told each event, with `resumed`: nothing was missed since the stream before, unless it says so.
// `changed` is told the connection: connecting, connected, reconnecting, crowded. `again()` begins
// anew without an id; `last()` is the id to go on behind.
export function follow({ url, heard, changed, after = "" }) {
  const ending = new AbortController();
  let cut = new AbortController();
  let last = after;
  let wait = FIRST_MS;

  async function once() {
    cut = new AbortController();
    let alarm = setTimeout(() => cut.abort(), SILENT_MS);
    try {
      const headers = { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) };
      const answer = await fetch(url(), {
        headers, credentials: "same-origin", cache: "no-store", signal: cut.signal,
      });
      if (!answer.ok) return refused(answer);
      changed("connected");
      const resumed = Boolean(headers["Last-Event-ID"]);
      const read = sseReader((event) => {
        if (event.id) last = event.id;
        if (event.data) heard({ ...event, resumed });
      });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return 0;
        clearTimeout(alarm);
        alarm = setTimeout(() => cut.abort(), SILENT_MS);
        wait = FIRST_MS;
        read(value);
      }
    } finally {
      clearTimeout(alarm);
    }
  }

  function refused(answer) {
    if (answer.status === 401) document.dispatchEvent(new Event("relaydesk:unauthenticated"));
    if (answer.status >= 400 && answer.status < 429 && answer.status !== 401) last = "";
    changed(answer.status === 429 ? "crowded" : "reconnecting");
    return 1000 * Number(answer.headers.get("Retry-After") || 0);
  }

  (async () => {
    changed("connecting");
    while (!ending.signal.aborted) {
      const asked = await once().catch(() => 0);
      if (ending.signal.aborted) return;
      if (!asked) changed("reconnecting");
      await pause(Math.max(asked ?? 0, wait * (0.5 + Math.random())), ending.signal);
      wait = Math.min(wait * 2, LONGEST_MS);
    }
  })();
  return {
    stop() {
      ending.abort();
      cut.abort();
    },
    again() {
      last = "";
      wait = FIRST_MS;
      cut.abort();
    },
    last: () => last,
  };
}
