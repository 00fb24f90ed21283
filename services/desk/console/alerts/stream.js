// The stream of alerts, read with fetch: an EventSource gives up for ever at the first 503 of a
// restart, and cannot begin at a place that is known already. Whatever ends it, it comes back where
// it was, so that nothing is lost.

const SILENT_MS = 45_000; // three heartbeats
const FIRST_MS = 500;
const LONGEST_MS = 15_000;

// Takes pieces of text as they come, and tells each whole event as {id, event, data}.
export function sseReader(tell) {
  let rest = "";
  let event = "";
  let data = [];
  let id = "";
  const line = (text) => {
    if (text === "") {
      tell({ id, event: event || "message", data: data.join("\n") });
      event = "";
      data = [];
      return;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return; // a comment
    const name = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (name === "data") data.push(value);
    else if (name === "event") event = value;
    else if (name === "id") id = value;
  };
  return (piece) => {
    const lines = (rest + piece).split(/\r\n|\n/);
    rest = lines.pop();
    lines.forEach(line);
  };
}

// Follows the stream from behind `place` until `stop()`. `heard` is told each event with its place,
// `changed` the state of the connection: connecting, connected, reconnecting, crowded.
export function follow({ place, heard, changed }) {
  const ending = new AbortController();
  let wait = FIRST_MS;

  async function once() {
    const cut = new AbortController();
    const stopped = () => cut.abort();
    ending.signal.addEventListener("abort", stopped);
    let alarm = setTimeout(() => cut.abort(), SILENT_MS);
    try {
      const answer = await fetch("/api/v1/alerts/stream", {
        headers: { Accept: "text/event-stream", "Last-Event-ID": String(place) },
        credentials: "same-origin",
        cache: "no-store",
        signal: cut.signal,
      });
      if (!answer.ok) return refused(answer);
      changed("connected");
      const began = Date.now();
      const clock = (Date.parse(answer.headers.get("Date")) || began) - began;
      const read = sseReader((event) => {
        if (/^\d+$/.test(event.id)) place = Number(event.id);
        heard({ ...event, place, clock });
      });
      for await (const piece of pieces(answer.body)) {
        clearTimeout(alarm);
        alarm = setTimeout(() => cut.abort(), SILENT_MS);
        wait = FIRST_MS;
        read(piece);
      }
    } finally {
      clearTimeout(alarm);
      ending.signal.removeEventListener("abort", stopped);
    }
    return 0;
  }

  function refused(answer) {
    if (answer.status === 401) document.dispatchEvent(new Event("relaydesk:unauthenticated"));
    changed(answer.status === 429 ? "crowded" : "reconnecting");
    return 1000 * Number(answer.headers.get("Retry-After") || 0);
  }

  (async () => {
    changed("connecting");
    while (!ending.signal.aborted) {
      let asked = 0;
      try {
        asked = await once();
      } catch {
        // cut off, or nobody there: the same as an end
      }
      if (ending.signal.aborted) return;
      if (!asked) changed("reconnecting");
      await pause(Math.max(asked, wait * (0.5 + Math.random())), ending.signal);
      wait = Math.min(wait * 2, LONGEST_MS);
    }
  })();
  return { stop: () => ending.abort() };
}

async function* pieces(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

// Waits; ends early when the machine comes back online, or all is over.
export function pause(ms, signal) {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      signal.removeEventListener("abort", end);
      done();
    };
    const timer = setTimeout(end, ms);
    addEventListener("online", end);
    signal.addEventListener("abort", end);
  });
}
