// A place of our own on the page: a shadow root with our styles, which the page's do not reach. The
// styles are constructed, so that a strict style-src of the page has nothing to say about them.

import css from "./plugin.css";
import { el } from "./dom.js";

const WHITE = "#ffffff";
const BLACK = "#101418";

function luminance(colour) {
  const part = (at) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
}

// What can be read on it; the better of the two has 4.5 to 1 at least.
export function inkOn(colour) {
  const contrast = (other) => {
    const [dark, light] = [luminance(colour), luminance(other)].sort((one, two) => one - two);
    return (light + 0.05) / (dark + 0.05);
  };
  return contrast(WHITE) >= 4.5 || contrast(WHITE) >= contrast(BLACK) ? WHITE : BLACK;
}

export class Surface {
  #colours = new CSSStyleSheet();

  constructor({ full, phrases }) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    this.host = el("relaydesk-chat");
    const shadow = this.host.attachShadow({ mode: "open" });
    shadow.adoptedStyleSheets = [sheet, this.#colours];
    const naming = { dir: phrases.direction, lang: phrases.language };
    this.root = el(full ? "div" : "aside", { class: full ? "root full" : "root", ...naming });
    shadow.append(this.root);
  }

  dress({ colour, theme, position, title }, name) {
    const safe = /^#[0-9a-f]{6}$/i.test(colour) ? colour : "#1a56db";
    this.#colours.replaceSync(`:host { --brand: ${safe}; --ink: ${inkOn(safe)}; }`);
    this.root.classList.remove("light", "dark", "auto", "start", "end");
    this.root.classList.add(["light", "dark"].includes(theme) ? theme : "auto", position === "start" ? "start" : "end");
    if (this.root.localName === "aside") this.root.setAttribute("aria-label", title || name);
  }

  // Below the page's root rather than its body, which some sites replace as one moves on.
  show(full) {
    if (!this.host.isConnected) (full ? document.body : document.documentElement).append(this.host);
  }
}
