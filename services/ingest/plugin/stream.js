// The visitor's event stream, read with fetch: the token goes in a header, and it begins again where
// it was, whatever ended it.

import { restOf } from "./wire.js";

const SILENT_MS = 45_000; // three of the server's signs of life
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 20_000;

// Takes pieces of text as they come, and tells each whole event as {id, event, data}.
function eventReader(tell) {
  let rest = "";
  let found = { id: "", event: "message", data: [] };
  const line = (text) => {
    if (text === "") {
      if (found.data.length) tell({ ...found, data: found.data.join("\n") });
      found = { id: found.id, event: "message", data: [] };
      return;
    }
    const colon = text.indexOf(": ");
    const [name, value] = colon > 0 ? [text.slice(0, colon), text.slice(colon + 2)] : ["", ""];
    if (name === "data") found.data.push(value);
    else if (name === "event" || name === "id") found[name] = value;
  };
  return (piece) => {
    const lines = (rest + piece).split(/\r\n|\n/);
    rest = lines.pop();
    lines.forEach(line);
  };
}

// Waits; ends early when the machine comes back online, or all is over.
export function pause(ms, signal) {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      signal?.removeEventListener("abort", end);
      done();
    };
    const timer = setTimeout(end, ms);
    addEventListener("online", end);
    signal?.addEventListener("abort", end);
  });
}

// Follows the stream behind `place` until `stop()`. `heard` is told each event, `changed` the state
// (`connected`, `reconnecting`), `refused` that the token is not good (any more).
export function followStream({ wire, place, heard, changed, refused }) {
  const ending = new AbortController();
  let wait = FIRST_WAIT_MS;

  async function once() {
    const cut = new AbortController();
    const stopped = () => cut.abort();
    ending.signal.addEventListener("abort", stopped);
    let alarm = setTimeout(stopped, SILENT_MS);
    try {
      const headers = { Accept: "text/event-stream", ...(place && { "Last-Event-ID": place }) };
      const answer = await wire.call("/events", { headers, signal: cut.signal });
      if (!answer.ok) return await failed(answer);
      changed("connected");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const read = eventReader((event) => {
        if (event.id) place = event.id;
        heard(event);
      });
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        clearTimeout(alarm);
        alarm = setTimeout(stopped, SILENT_MS);
        wait = FIRST_WAIT_MS;
        read(value);
      }
    } finally {
      clearTimeout(alarm);
      ending.signal.removeEventListener("abort", stopped);
    }
    return 0;
  }

  async function failed(answer) {
    if (answer.status === 401 || answer.status === 404) {
      ending.abort();
      refused(answer.status);
    }
    return restOf(answer);
  }

  (async () => {
    while (!ending.signal.aborted) {
      const asked = await once().catch(() => 0); // cut off, or nobody there: the same as an end
      if (ending.signal.aborted) return;
      changed("reconnecting");
      await pause(Math.max(asked, wait * (0.5 + Math.random())), ending.signal);
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  })();
  return { stop: () => ending.abort() };
}
