// The content of a message, part by part, as libs/common/events.py names the kinds.

import { html } from "../frame/html.js";
import { number, t } from "../frame/words.js";
import { Icon } from "../ui/index.js";
import { File } from "./files.js";
import { Linked, Outside, safeUrl } from "./links.js";

const MAP = "https://www.openstreetmap.org/";

function Text({ part }) {
  return html`<p class="talk-text" dir="auto"><${Linked} text=${part.text} /></p>`;
}

function Location({ part }) {
  const where = `${part.latitude.toFixed(5)}, ${part.longitude.toFixed(5)}`;
  const url = `${MAP}?mlat=${part.latitude}&mlon=${part.longitude}#map=16/${part.latitude}/${part.longitude}`;
  return html`<div class="talk-box">
    <${Icon} name="map-pin" />
    <div>
      <strong dir="auto">${part.name || t("talk.part.location")}</strong>
      ${part.address && html`<p dir="auto">${part.address}</p>`}
      <${Outside} href=${url}>${where}<//>
    </div>
  </div>`;
}

function Contact({ part }) {
  return html`<div class="talk-box">
    <${Icon} name="circle-user" />
    <div>
      <strong dir="auto">${part.name || t("talk.part.contact")}</strong>
      ${(part.phones ?? []).map((phone) => html`<p dir="ltr">${phone}</p>`)}
      ${(part.emails ?? []).map((email) => html`<p><${Linked} text=${email} /></p>`)}
    </div>
  </div>`;
}

function Action({ part }) {
  return html`<p class="talk-action"><${Icon} name="square-check" size=${15} label=${t("talk.part.action")} />
    <span dir="auto">${part.title || part.payload}</span></p>`;
}

function Share({ part }) {
  const href = safeUrl(part.url);
  return html`<div class="talk-box">
    <${Icon} name="link" />
    <div>
      <strong dir="auto">${part.title || t("talk.part.share")}</strong>
      ${part.description && html`<p dir="auto">${part.description}</p>`}
      ${href ? html`<${Outside} href=${href}>${new URL(href).host}<//>` : part.url && html`<p>${part.url}</p>`}
    </div>
  </div>`;
}

function Order({ part }) {
  const items = part.items ?? [];
  return html`<div class="talk-box talk-order">
    <${Icon} name="credit-card" />
    <div>
      <strong>${t("talk.part.order", { n: items.length })}</strong>
      <ul>
        ${items.map(([product, quantity, price, currency]) => html`<li>
          <span dir="auto">${quantity} × ${product}</span><span>${money(price, currency)}</span>
        </li>`)}
      </ul>
      ${part.note && html`<p dir="auto">${part.note}</p>`}
      ${part.catalog && html`<p class="dim">${t("talk.part.catalog", { name: part.catalog })}</p>`}
    </div>
  </div>`;
}

function money(price, currency) {
  const value = Number(price);
  if (price === "" || Number.isNaN(value)) return [price, currency].filter(Boolean).join(" ");
  try {
    return number(value, { style: "currency", currency });
  } catch {
    return `${number(value)} ${currency}`;
  }
}

function Choices({ part }) {
  return html`<div class="talk-choices">
    <p class="talk-text" dir="auto"><${Linked} text=${part.text} /></p>
    <ul aria-label=${part.label || t("talk.part.choices")} data-style=${part.style}>
      ${part.choices.map(({ title, url, description }) => html`<li dir="auto">
        ${safeUrl(url) ? html`<${Outside} href=${safeUrl(url)}>${title}<//>` : title}
        ${description && html`<small class="dim">${description}</small>`}
      </li>`)}
    </ul>
  </div>`;
}

function Template({ part }) {
  const said = part.text || [part.header, ...(part.body ?? [])].filter(Boolean).join("\n");
  return html`<div>
    <p class="talk-text" dir="auto"><${Linked} text=${said} /></p>
    <p class="talk-under"><${Icon} name="file-text" size=${13} /> ${t("talk.part.template", { name: part.name, language: part.language })}</p>
  </div>`;
}

function Unsupported({ part }) {
  return html`<div class="talk-box"><${Icon} name="circle-question-mark" />
    <div><strong>${t("talk.part.unsupported")}</strong>
    ${part.what && html`<p class="dim">${t("talk.part.unsupported.what", { what: part.what })}</p>`}</div></div>`;
}

const SHOWS = {
  text: Text, location: Location, contact: Contact, action: Action, share: Share, order: Order,
  choices: Choices, template: Template, unsupported: Unsupported,
};

// `onLook(files, file)` opens a picture in the large.
export function Parts({ entry, onLook }) {
  const files = [...entry.attachments];
  const pictures = files.filter(({ kind, state, url }) => kind === "image" && state === "stored" && url);
  const look = (file) => onLook(pictures, file);
  return entry.parts.map((part) => {
    if (part.type === "media") return html`<${File} part=${part} file=${files.shift()} onLook=${look} />`;
    const more = part.type === "template" && part.header_media ? files.shift() : null;
    const Show = SHOWS[part.type] ?? Unsupported;
    return html`${more && html`<${File} part=${part.header_media} file=${more} onLook=${look} />`}<${Show} part=${part} />`;
  });
}

// One line of what an entry says: for quotes.
export function inShort({ text, parts, deleted, attachments }) {
  if (deleted) return t("talk.deleted");
  if (text) return text;
  const [file] = attachments ?? [];
  if (file) return file.name || t(`talk.kind.${file.kind}`);
  const [part] = parts;
  return part ? part.title || part.name || part.text || t(`talk.kind.${part.type}`) : "";
}
