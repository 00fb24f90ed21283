// The list of alerts as it is shown: a row an alert, mended in place, so that focus stays.

import { el } from "../frame/dom.js";
import { words } from "../frame/en.js";
import { ago, channelName, headline, kind } from "./phrases.js";

export class AlertList {
  #rows = new Map();
  #list = el("ul", { class: "alerts" });
  #none = el(
    "div",
    { class: "none" },
    el("p", { class: "strong" }, words.alerts.none),
    el("p", {}, words.alerts.noneMore),
  );
  #dismiss;

  constructor({ dismiss }) {
    this.#dismiss = dismiss;
    this.element = el("div", {}, this.#list, this.#none);
  }

  show(alerts, current) {
    const left = new Set(this.#rows.keys());
    const now = Date.now();
    alerts.forEach((alert, place) => {
      left.delete(alert.id);
      const row = this.#row(alert.id);
      row.fill(alert, now, current);
      const there = this.#list.children[place];
      if (there !== row.element) this.#list.insertBefore(row.element, there ?? null);
    });
    for (const id of left) {
      this.#rows.get(id).element.remove();
      this.#rows.delete(id);
    }
    this.#none.hidden = alerts.length > 0;
  }

  #row(id) {
    if (!this.#rows.has(id)) this.#rows.set(id, new Row(() => this.#dismiss(id)));
    return this.#rows.get(id);
  }
}

class Row {
  #what = el("span", { class: "what" });
  #when = el("time", { class: "when" });
  #who = el("span", { class: "who" });
  #channel = el("span", { class: "chip" });
  #count = el("span", { class: "chip count" });
  #rung = el("span", { class: "chip late" }, words.alerts.rung);
  #excerpt = el("span", { class: "excerpt" });
  #link = el(
    "a",
    { class: "alert" },
    el("span", { class: "line" }, this.#what, this.#when),
    el("span", { class: "line" }, this.#who, this.#channel, this.#count, this.#rung),
    this.#excerpt,
  );
  #close;

  constructor(dismiss) {
    this.#close = el("button", { class: "quiet dismiss", type: "button", onclick: dismiss }, "×");
    this.element = el("li", {}, this.#link, this.#close);
  }

  fill(alert, now, current) {
    this.element.dataset.alert = alert.id;
    this.#link.setAttribute("href", ownPath(alert.url));
    this.#link.toggleAttribute("aria-current", Boolean(alert.session) && alert.session === current);
    this.#what.textContent = kind(alert);
    this.#what.dataset.trigger = alert.trigger;
    this.#when.textContent = ago(now - Date.parse(alert.since)); // a reminder's `at` is later
    this.#when.dateTime = alert.since;
    this.#who.textContent = headline(alert);
    fill(this.#channel, channelName(alert.channel));
    fill(this.#count, counted(alert));
    this.#rung.hidden = !alert.rung;
    fill(this.#excerpt, alert.excerpt);
    this.#close.setAttribute("aria-label", words.alerts.dismiss(headline(alert)));
  }
}

function fill(element, text) {
  element.textContent = text || "";
  element.hidden = !text;
}

function counted({ count = 1, summary }) {
  return count > 1 && !summary ? words.alerts.count(count) : "";
}

// An alert leads to a place of this page, whatever it says.
export function ownPath(url) {
  return typeof url === "string" && url.startsWith("/#/") ? url : "/#/";
}
