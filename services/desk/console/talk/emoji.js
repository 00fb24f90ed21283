// Emoji: found by name, chosen by arrows or a click; those used last come first.

import { html, useEffect, useRef, useState } from "../frame/html.js";
import { language, t } from "../frame/words.js";
import { Waiting } from "../ui/index.js";

const LAST = "relaydesk:emoji";
const MOST = 24;
let loaded = null;

function usedLast() {
  try {
    return JSON.parse(localStorage.getItem(LAST) ?? "[]");
  } catch {
    return [];
  }
}

function use(sign) {
  try {
    localStorage.setItem(LAST, JSON.stringify([sign, ...usedLast().filter((one) => one !== sign)].slice(0, MOST)));
  } catch {
    // the next time they are in their own order
  }
}

export function found(groups, q) {
  const words = q.trim().toLocaleLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return groups;
  const fits = (row) => words.every((word) => row.slice(1).some((said) => said.toLocaleLowerCase().includes(word)));
  const best = (rows) => rows.filter(fits).sort((a, b) => rank(a, words) - rank(b, words));
  const left = groups.map(([name, rows]) => [name, best(rows)]).filter(([, rows]) => rows.length);
  return left.sort(([, a], [, b]) => rank(a[0], words) - rank(b[0], words));
}

// The name has the words, it has them in longer ones, or only what else is said of it has them.
function rank([, name], words) {
  const parts = name.split(" ");
  if (words.every((word) => parts.includes(word))) return parts.length / 10;
  return words.every((word) => name.includes(word)) ? 2 : 3;
}

export function EmojiPanel({ onPick, onClose }) {
  const [groups, put] = useState(loaded);
  const [q, find] = useState("");
  const box = useRef(null);
  useEffect(() => {
    box.current.querySelector("input").focus();
    if (!loaded) import("../vendor/emoji.js").then((module) => put((loaded = module.emoji)), onClose);
  }, []);
  const nameOf = ([, name, , chinese]) => (language.value === "zh-Hant" && chinese ? chinese.split(" ")[0] : name);
  const last = usedLast();
  const all = groups ?? [];
  const recent = q ? [] : all.flatMap(([, rows]) => rows).filter(([sign]) => last.includes(sign));
  const shown = [...(recent.length ? [["recent", recent.sort((a, b) => last.indexOf(a[0]) - last.indexOf(b[0]))]] : []), ...found(all, q)];
  const pick = (sign) => {
    use(sign);
    onPick(sign);
  };
  const keyed = (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      event.preventDefault();
      return onClose();
    }
    const buttons = [...box.current.querySelectorAll(".talk-emoji-grid button")];
    const at = buttons.indexOf(document.activeElement);
    if (event.key === "Enter" && at < 0 && buttons.length) {
      event.preventDefault();
      return buttons[0].click();
    }
    const rtl = document.documentElement.dir === "rtl" ? -1 : 1;
    const by = { ArrowRight: rtl, ArrowLeft: -rtl, ArrowDown: 8, ArrowUp: -8 }[event.key];
    if (!by || (at < 0 && event.key !== "ArrowDown")) return;
    event.preventDefault();
    if (at >= 0 && at + by < 0) box.current.querySelector("input").focus();
    else buttons[at < 0 ? 0 : Math.min(buttons.length - 1, at + by)]?.focus();
  };
  return html`<div class="talk-pop talk-emoji" ref=${box} role="dialog" aria-label=${t("talk.emoji")} onKeyDown=${keyed}>
    <label class="search"><span class="apart">${t("talk.emoji.find")}</span>
      <input type="search" placeholder=${t("talk.emoji.find")} value=${q} onInput=${(event) => find(event.target.value)} /></label>
    <div class="talk-emoji-all">
      ${!groups && html`<${Waiting} />`}
      ${groups && !shown.length && html`<p class="dim">${t("talk.emoji.none")}</p>`}
      ${shown.map(([name, rows]) => html`<section key=${name}><h3>${t(`talk.emoji.${name}`)}</h3>
        <div class="talk-emoji-grid">${rows.map((row) => html`<button type="button" key=${row[0]} title=${nameOf(row)} aria-label=${nameOf(row)} onClick=${() => pick(row[0])}>${row[0]}</button>`)}</div></section>`)}
    </div>
  </div>`;
}
