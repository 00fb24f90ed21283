// How the chat window and an email look: a picture of them made of text, by what is set.

import { html, useEffect, useRef } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Icon } from "../ui/index.js";

export function ChatPreview({ plugin, removed }) {
  const box = useRef(null);
  useEffect(() => {
    box.current.style.setProperty("--brand", plugin.colour);
    box.current.style.setProperty("--brand-ink", inkOn(plugin.colour));
  }, [plugin.colour]);
  return html`<figure class="branding-preview" ref=${box}>
    <figcaption>${t("switches.branding.preview.widget")}</figcaption>
    <div class="chat-shown" data-theme=${plugin.theme}>
      <p class="chat-head">${plugin.title || t("switches.branding.preview.title")}</p>
      <div class="chat-talk"><p class="theirs">${plugin.welcome || t("switches.branding.preview.welcome")}</p><p class="mine">${t("switches.branding.preview.question")}</p></div>
      ${!removed && html`<p class="chat-brand" data-brand="widget">${t("switches.branding.powered")}</p>`}
    </div>
    <p class="chat-launcher" data-position=${plugin.position}><span><${Icon} name="message-circle" size=${20} />${plugin.launcher}</span></p>
  </figure>`;
}

export function MailPreview({ removed }) {
  return html`<figure class="branding-preview">
    <figcaption>${t("switches.branding.preview.email")}</figcaption>
    <div class="mail-shown"><p>${t("switches.branding.preview.answer")}</p>
      ${!removed && html`<p class="chat-brand" data-brand="email">${t("switches.branding.powered")}</p>`}</div>
  </figure>`;
}

// Black or white, whichever stands out more (WCAG's relative luminance).
function inkOn(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}
