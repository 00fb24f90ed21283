// What stands above the list: kept filters, words to look for, and the filters.

import { html, useEffect, useRef, useState } from "../frame/html.js";
import { useKeys } from "../frame/keys.js";
import { t } from "../frame/words.js";
import { Icon, IconButton } from "../ui/index.js";
import { Accounts, Facets, Tabs, choose } from "./facets.js";
import { openPalette } from "./palette_door.js";
import { FilterActions, FilterMenu } from "./saved.js";

const TYPED_MS = 250;

export function Head({ filters, counts }) {
  return html`<header class="inbox-head">
    <div class="inbox-title">
      <h1 class="apart" tabindex="-1">${t("frame.nav.inbox")}</h1>
      <${FilterMenu} filters=${filters} />
      <${IconButton} icon="search" label=${t("inbox.palette")} onClick=${openPalette} />
      <${FilterActions} filters=${filters} />
    </div>
    <${Words} filters=${filters} />
    <${Accounts} filters=${filters} />
    <${Tabs} filters=${filters} counts=${counts} />
    <${Facets} filters=${filters} counts=${counts} />
  </header>`;
}

function Words({ filters }) {
  const [text, put] = useState(filters.q);
  const field = useRef(null);
  const timer = useRef(0);
  const now = useRef(filters);
  now.current = filters;
  useEffect(() => {
    if (document.activeElement !== field.current) put(filters.q); // by the address, or by back
  }, [filters.q]);
  useEffect(() => () => clearTimeout(timer.current), []);
  useKeys([{ keys: "/", group: "inbox.keys", label: "inbox.key.search", run: () => field.current?.focus() }]);
  const typed = (value) => {
    put(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => choose({ ...now.current, q: value.trim() }), TYPED_MS);
  };
  const keyed = (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    if (text) typed("");
    else field.current.blur();
  };
  return html`<div class="search inbox-search" role="search">
    <${Icon} name="search" size=${15} />
    <input
      ref=${field} type="search" aria-label=${t("inbox.words")} placeholder=${t("inbox.words")} maxlength="200"
      value=${text} onInput=${(event) => typed(event.target.value)} onKeyDown=${keyed}
    />
    ${!text && html`<kbd aria-hidden="true">/</kbd>`}
  </div>`;
}
