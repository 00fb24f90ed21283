// Light, dark, or what the system says; kept in this browser alone.

import { signal } from "./html.js";

const KEY = "relaydesk:theme";
export const THEMES = ["system", "light", "dark"];
export const theme = signal(kept());

function kept() {
  try {
    const found = localStorage.getItem(KEY);
    return THEMES.includes(found) ? found : "system";
  } catch {
    return "system";
  }
}

function put(wanted) {
  if (wanted === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
}

export function choose(wanted) {
  theme.value = wanted;
  put(wanted);
  try {
    localStorage.setItem(KEY, wanted);
  } catch {
    // it is asked for again next time
  }
}

put(theme.value);
