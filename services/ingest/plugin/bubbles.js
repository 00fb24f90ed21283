// A message as it is shown.

import { el, icon, outside, webAddress } from "./dom.js";
import { isFresh } from "./memory.js";

const LINK = /\bhttps?:\/\/[^\s<>"']+/gi;
const TRAILING = /[.,;:!?)\]}'"»”。，、！？）]+$/;

// Text with its addresses as links; everything stays text.
export function linked(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(LINK)) {
    const address = found[0].replace(TRAILING, "");
    const url = webAddress(address);
    if (!url?.hostname) continue;
    parts.push(text.slice(end, found.index), outside(url, address));
    end = found.index + address.length;
  }
  return [...parts, text.slice(end)].filter((part) => part !== "");
}

export class Bubbles {
  // `choose(choice)` is called with what is tapped.
  constructor({ origin, phrases, choose }) {
    this.origin = origin;
    this.phrases = phrases;
    this.choose = choose;
  }

  // The parts of a message as elements.
  parts(message) {
    return message.parts.flatMap((part) => this.#part(part, message)).filter(Boolean);
  }

  #part(part, message) {
    if (part.type === "media") return [this.#file(part, message)];
    if (part.type === "location") return [this.#place(part)];
    const text = part.text || part.title || part.name || "";
    const said = text ? [el("p", { class: "text", dir: "auto" }, ...linked(text))] : [];
    if (part.type === "contact") said.push(...this.#lines([...(part.phones ?? []), ...(part.emails ?? [])]));
    if (part.type === "choices") said.push(this.#choices(part));
    if (part.type === "share" && part.url) said.push(this.#link(part.url, part.url));
    return said;
  }

  #lines(lines) {
    return lines.map((line) => el("p", { class: "text", dir: "auto", text: line }));
  }

  #link(title, address) {
    const url = webAddress(address);
    return url ? el("p", { class: "text" }, outside(url, title)) : null;
  }

  #place({ name, address, latitude, longitude }) {
    const shown = [name || this.phrases.say("place"), address].filter(Boolean).join(", ");
    return this.#link(shown, `https://www.openstreetmap.org/?mlat=${Number(latitude)}&mlon=${Number(longitude)}`);
  }

  #file(part, message) {
    const name = part.name || this.phrases.say("file");
    const url = part.url && isFresh(message) ? webAddress(part.url, this.origin) : null;
    const plain = () => {
      const shown = [icon("file"), el("span", { dir: "auto", text: name })];
      return el("p", { class: "file" }, url ? outside(url, ...shown) : el("span", {}, ...shown));
    };
    if (!url || url.origin !== this.origin) return plain(); // nothing is fetched from elsewhere
    const seen = this.#media(part, url, name);
    if (!seen) return plain();
    const whole = el("div", { class: "media" }, seen);
    const broken = () => whole.replaceWith(plain()); // gone, or the page's policy does not allow it
    (seen.querySelector("img") ?? seen).addEventListener("error", broken);
    return whole;
  }

  #media({ kind }, url, name) {
    if (kind === "image") {
      const alt = this.phrases.say("picture", { name });
      return outside(url, el("img", { src: url.href, alt, loading: "lazy", decoding: "async" }));
    }
    if (kind !== "audio" && kind !== "video") return null;
    return el(kind, { src: url.href, controls: true, preload: "metadata", "aria-label": name });
  }

  #choices({ choices = [] }) {
    const row = el("div", { class: "choices" });
    for (const one of choices) {
      const url = one.url ? webAddress(one.url) : null;
      if (url) row.append(outside(url, one.title));
      if (one.url) continue;
      const tap = () => this.choose({ type: "action", title: one.title, payload: one.payload ?? "" });
      row.append(el("button", { type: "button", dir: "auto", text: one.title, on: { click: tap } }));
    }
    return row;
  }
}
