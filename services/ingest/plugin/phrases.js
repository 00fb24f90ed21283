// What is said in the visitor's language.

import { arabicWords } from "./ar.js";
import { chineseWords } from "./zh-hant.js";
import { englishWords } from "./en.js";

const CATALOGUES = { en: englishWords, "zh-Hant": chineseWords, ar: arabicWords };

// The catalogue for a language tag, or none. Chinese of any kind reads Traditional better than English.
function catalogueOf(tag) {
  const base = String(tag ?? "").toLowerCase().split(/[-_]/)[0];
  return base === "zh" ? "zh-Hant" : Object.hasOwn(CATALOGUES, base) ? base : "";
}

// The option first, then the page's own language, then what the browser prefers.
export function chosenLanguage(option) {
  const asked = [option, document.documentElement.lang, ...(navigator.languages ?? [])];
  return asked.map(catalogueOf).find(Boolean) ?? "en";
}

export class Phrases {
  constructor(language) {
    this.language = language;
    this.direction = language === "ar" ? "rtl" : "ltr";
    this.words = CATALOGUES[language] ?? englishWords;
    this.forms = new Intl.PluralRules(language);
    this.clock = new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit" });
    this.date = new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long" });
  }

  say(key, put = {}) {
    const found = this.words[key] ?? englishWords[key] ?? key;
    const text = typeof found === "string" ? found : (found[this.forms.select(put.n)] ?? found.other);
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in put ? String(put[name]) : whole));
  }

  time(at) {
    return this.clock.format(at);
  }

  day(at) {
    const midnight = (moment) => new Date(moment).setHours(0, 0, 0, 0);
    const days = Math.round((midnight(Date.now()) - midnight(at)) / 86_400_000);
    if (days === 0) return this.say("today");
    return days === 1 ? this.say("yesterday") : this.date.format(at);
  }
}
