// Requests to /api/v1 by the login's cookie; a change repeats the token that proves it is ours.

let csrf = "";

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || String(status));
    this.status = status;
    this.problem = problem;
  }
}

export function proveWith(token) {
  csrf = token;
}

// Answers the JSON body, or null. Throws Refused, or TypeError where nobody answers.
export async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(`/api/v1${path}`, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
  });
  const text = await answer.text();
  const read = text ? parsed(text) : null;
  if (answer.ok) return read;
  if (answer.status === 401 && path !== "/login") {
    document.dispatchEvent(new Event("relaydesk:unauthenticated"));
  }
  throw new Refused(answer.status, read || {});
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // a proxy's own page
  }
}
