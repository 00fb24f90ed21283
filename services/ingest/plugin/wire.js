// The calls of the protocol, see libs/common/channels/web/README.md.

export class Wire {
  constructor(origin, account) {
    this.origin = origin;
    this.token = "";
    this.root = `${origin}/webhooks/web/${encodeURIComponent(account)}`;
    this.files = `${origin}/files/web/${encodeURIComponent(account)}`;
  }

  call(path, options = {}) {
    const headers = { ...options.headers };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    const fixed = { credentials: "omit", referrerPolicy: "no-referrer" };
    return fetch(this.root + path, { cache: "no-store", ...options, headers, ...fixed });
  }

  post(path, body) {
    const headers = { "Content-Type": "application/json" };
    return this.call(path, { method: "POST", headers, body: JSON.stringify(body) });
  }

  config() {
    return fetch(`${this.root}/config`, { credentials: "omit", cache: "no-cache", referrerPolicy: "no-referrer" });
  }

  // Uploads, telling how much has gone (0 to 1). Resolves to {status, body}; status 0: no connection.
  upload(file, progress, signal) {
    const request = new XMLHttpRequest();
    const done = new Promise((resolve) => {
      request.onloadend = () => resolve({ status: request.status, body: decoded(request.responseText) });
    });
    request.upload.onprogress = ({ loaded, total }) => progress(total ? loaded / total : 0);
    request.open("POST", `${this.files}?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Authorization", `Bearer ${this.token}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
    return done;
  }
}

function decoded(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

// How long an answer wants us to wait, ms; 0: it does not say.
export const restOf = (answer) => 1000 * (Number(answer.headers.get("Retry-After")) || 0);

export const drawnId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
