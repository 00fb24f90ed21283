// The system's notifications: permission, the service worker, and Web Push where there is a service
// for it. Every way in which it may not work has a state, and the state has words.

import { Refused, call } from "../frame/api.js";
import { notice } from "./phrases.js";

const READY_MS = 10_000;
const PAUSES_MS = [250, 1_000, 3_000];
const SUBSCRIPTION = "relaydesk:push";

// unsupported | ask | denied | checking | on | vendor | server
export class Notifier {
  #registration = Promise.resolve(null);
  #changed;

  constructor(changed) {
    this.#changed = changed;
    this.state = supported() ? asked() : "unsupported";
  }

  // What stays as it is is not drawn again: a button would be gone from below a finger.
  #turn(state) {
    if (state === this.state) return;
    this.state = state;
    this.#changed(state);
  }

  // Begin without asking: with a permission that was given before.
  async begin() {
    if (!supported()) return;
    this.#registration = registered().catch(() => null);
    if (Notification.permission !== "granted") this.#turn(asked()); // whatever the worker takes
    if (!(await this.#registration)) this.#turn(asked() === "denied" ? "denied" : "unsupported");
    else if (Notification.permission === "granted") await this.#subscribe();
  }

  // Ask; only ever from a click, which is the only time at which browsers listen.
  async ask() {
    await Notification.requestPermission();
    await this.begin();
  }

  async #subscribe() {
    this.#turn("checking");
    try {
      this.#turn(await subscribed(await this.#registration));
    } catch {
      this.#turn("server");
    }
  }

  // Shows the alert; one of the same id is replaced, and makes itself felt only when raised again.
  async show(alert, { lockScreen, silent, again }) {
    if (Notification.permission !== "granted") return;
    const registration = (await this.#registration) ?? (await this.#again());
    if (!registration) return;
    const { title, body } = notice(alert, lockScreen);
    const told = {
      body,
      tag: alert.id,
      data: { url: new URL(alert.url || "/", location.origin).href },
      icon: "/assets/icon-192.png",
      badge: "/assets/icon-192.png",
      renotify: again && !silent,
      silent,
    };
    await patiently(() => registration.showNotification(title, told));
  }

  // A worker that was late once is tried for again when there is something to show.
  async #again() {
    await this.begin();
    return this.#registration;
  }

  async close(id) {
    const shown = (await (await this.#registration)?.getNotifications({ tag: id })) ?? [];
    shown.forEach((one) => one.close());
  }

  // Close what stands for an alert that no longer does; *ids* is asked once it is known what stands.
  async keepOnly(ids) {
    const shown = (await (await this.#registration)?.getNotifications()) ?? [];
    const kept = new Set(ids());
    shown.filter((one) => one.tag && !kept.has(one.tag)).forEach((one) => one.close());
  }

  // Who logs out is sent nothing more here.
  async end() {
    const id = localStorage.getItem(SUBSCRIPTION);
    localStorage.removeItem(SUBSCRIPTION);
    if (id) await call("DELETE", `/push-subscriptions/${encodeURIComponent(id)}`).catch(() => {});
    const subscription = await (await this.#registration)?.pushManager?.getSubscription();
    await subscription?.unsubscribe().catch(() => {});
    await this.keepOnly(() => []);
  }
}

// A browser that is busy refuses now and then what it takes a moment later.
async function patiently(act) {
  for (const pause of PAUSES_MS) {
    try {
      return await act();
    } catch {
      await new Promise((go) => setTimeout(go, pause));
    }
  }
  return act();
}

function supported() {
  return "serviceWorker" in navigator && "Notification" in globalThis && isSecureContext;
}

function asked() {
  return { granted: "checking", denied: "denied" }[Notification.permission] ?? "ask";
}

// Rejects where the worker does not come to work in time; whoever asks next begins anew.
async function registered() {
  const late = new Promise((_, fail) => setTimeout(fail, READY_MS));
  const ready = (registering ??= register()).then(() => navigator.serviceWorker.ready);
  try {
    return await Promise.race([ready, late]);
  } catch (error) {
    registering = null;
    throw error;
  }
}

let registering = null;
let trusted = null; // a page makes a policy once

function register() {
  const url = "/sw.js";
  const rules = { createScriptURL: (given) => (given === url ? given : "about:blank") };
  trusted ??= globalThis.trustedTypes?.createPolicy("relaydesk", rules).createScriptURL(url) ?? url;
  return navigator.serviceWorker.register(trusted, { updateViaCache: "none" });
}

// Answers `on`, or why it is not. The server's key may change: then another subscription is made.
async function subscribed(registration) {
  if (!registration.pushManager) return "vendor";
  let key;
  try {
    ({ key } = await call("GET", "/push-subscriptions/key"));
  } catch (error) {
    if (error instanceof Refused) return "server";
    throw error;
  }
  const bytes = decoded(key);
  let subscription = await registration.pushManager.getSubscription();
  if (subscription && !same(subscription.options.applicationServerKey, bytes)) {
    await subscription.unsubscribe();
    subscription = null;
  }
  try {
    subscription ??= await registration.pushManager.subscribe({
      userVisibleOnly: true,
      applicationServerKey: bytes,
    });
  } catch {
    return "vendor";
  }
  const { endpoint, keys } = subscription.toJSON();
  const { id } = await call("POST", "/push-subscriptions", { endpoint, keys, key });
  localStorage.setItem(SUBSCRIPTION, id);
  return "on";
}

function decoded(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}

function same(buffer, bytes) {
  if (!buffer || buffer.byteLength !== bytes.length) return false;
  return new Uint8Array(buffer).every((value, place) => value === bytes[place]);
}
