// The service worker: shows what is pushed while no page is there, and opens what is clicked.
// It stores nothing and answers no requests of the page.

const OWN = self.location.origin;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => event.waitUntil(shown(payload(event.data))));

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(opened(event.notification.data?.url));
});

self.addEventListener("pushsubscriptionchange", (event) => {
  event.waitUntil(subscribedAgain(event.oldSubscription, event.newSubscription));
});

// What a push says: {id, title, body, url, tag, count, kind}; whatever is missing has plain words.
function payload(data) {
  let given = {};
  try {
    given = data?.json() ?? {};
  } catch {
    // not ours to read: it is shown as something that waits
  }
  return {
    title: String(given.title || "Relaydesk"),
    body: String(given.body || ""),
    tag: String(given.tag || given.id || "relaydesk"),
    url: ownUrl(given.url),
    updates: given.kind === "updated",
  };
}

// A push must always show something. Where the same is shown already, it is replaced in silence.
async function shown({ title, body, tag, url, updates }) {
  const before = await self.registration.getNotifications({ tag });
  const pages = await windows();
  const seen = before.length > 0 && (updates || pages.some((page) => page.focused));
  await self.registration.showNotification(title, {
    body,
    tag,
    data: { url },
    icon: "/assets/icon-192.png",
    badge: "/assets/icon-192.png",
    renotify: !seen,
    silent: seen,
  });
}

// Bring a page to the front and have it go there; open one if there is none.
async function opened(given) {
  const url = ownUrl(given);
  const pages = await windows();
  const page =
    pages.find((one) => one.focused) ??
    pages.find((one) => one.visibilityState === "visible") ??
    pages[0];
  if (!page) return self.clients.openWindow(url);
  await page.focus().catch(() => {}); // it goes there all the same
  page.postMessage({ kind: "open", url });
}

function windows() {
  return self.clients.matchAll({ type: "window", includeUncontrolled: true });
}

// Only addresses of this installation are opened.
function ownUrl(given) {
  try {
    const url = new URL(given || "/", OWN);
    return url.origin === OWN ? url.href : `${OWN}/`;
  } catch {
    return `${OWN}/`;
  }
}

// The browser has given up a subscription: make another, and tell desk by the login's cookie.
async function subscribedAgain(before, given) {
  const options = before?.options ?? { userVisibleOnly: true };
  const fresh = given ?? (await self.registration.pushManager.subscribe(options));
  const me = await fetch("/api/v1/me", { credentials: "same-origin" });
  if (!me.ok) return;
  const { csrf } = await me.json();
  const { endpoint, keys } = fresh.toJSON();
  await fetch("/api/v1/push-subscriptions", {
    method: "POST",
    credentials: "same-origin",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    body: JSON.stringify({ endpoint, keys }),
  });
}
