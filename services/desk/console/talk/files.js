// Files of a message. Their bytes come by the link that the API gives, from its own path for files.

import { html, useEffect, useState } from "../frame/html.js";
import { number, t } from "../frame/words.js";
import { Button, Dialog, Icon, IconButton } from "../ui/index.js";

export function size(bytes) {
  if (!bytes) return "";
  const [unit, by] = [["gigabyte", 1e9], ["megabyte", 1e6], ["kilobyte", 1e3], ["byte", 1]].find(([, one]) => bytes >= one);
  return number(Math.round((10 * bytes) / by) / 10, { style: "unit", unit, unitDisplay: "short" });
}

// `part.mime_type` with an OGG of Opus is what messengers call a voice message.
function isVoice(part, file) {
  return file.kind === "audio" && /ogg|opus|amr/i.test(file.mime_type || part.mime_type || "");
}

export function File({ part, file, onLook }) {
  const shown = file ?? { kind: part.kind, name: part.name ?? "", state: "pending", size_bytes: part.size_bytes };
  const [broken, put] = useState(false);
  useEffect(() => put(false), [shown.url]);
  if (shown.state !== "stored" || !shown.url) return html`<${Absent} file=${shown} />`;
  const failed = () => put(true);
  const name = shown.name || t(`talk.kind.${shown.kind}`);
  if (!broken && (shown.kind === "image" || shown.kind === "sticker")) {
    if (shown.kind === "sticker") return html`<img class="talk-sticker" src=${shown.url} alt=${t("talk.kind.sticker")} loading="lazy" onError=${failed} />`;
    return html`<button type="button" class="talk-picture" onClick=${() => onLook(shown)} title=${name}>
      <img src=${shown.url} alt=${name} loading="lazy" onError=${failed} />
    </button>`;
  }
  if (!broken && shown.kind === "video") return html`<video class="talk-video" controls preload="metadata" src=${shown.url} aria-label=${name} onError=${failed}></video>`;
  if (!broken && shown.kind === "audio") {
    const said = isVoice(part, shown) ? t("talk.kind.voice") : name;
    return html`<div class="talk-audio"><span><${Icon} name=${isVoice(part, shown) ? "mic" : "headphones"} size=${15} /> <bdi>${said}</bdi></span>
      <audio controls preload="none" src=${shown.url} aria-label=${said} onError=${failed}></audio></div>`;
  }
  return html`<a class="talk-file" href=${shown.url} download=${shown.name} target="_blank" rel="noopener">
    <${Icon} name="file-text" size=${22} />
    <span><bdi class="strong">${name}</bdi><small class="dim">${size(shown.size_bytes)}</small></span>
    <${Icon} name="download" label=${t("talk.download")} />
  </a>`;
}

function Absent({ file }) {
  const why = file.state === "failed" ? t(`talk.file.${file.reason || "failed"}`) : t("talk.file.pending");
  return html`<div class="talk-file absent"><${Icon} name=${file.state === "failed" ? "circle-alert" : "loader-circle"} size=${20} class=${file.state === "failed" ? "" : "turning"} />
    <span><bdi class="strong">${file.name || t(`talk.kind.${file.kind}`)}</bdi><small>${why}</small></span></div>`;
}

// Pictures in the large; the arrows go from one to the next.
export function Lightbox({ files, file, onClose }) {
  const [at, put] = useState(Math.max(0, files.findIndex(({ id }) => id === file.id)));
  const shown = files[at] ?? file;
  const step = (by) => put((at + by + files.length) % files.length);
  useEffect(() => {
    const keyed = (event) => {
      const rtl = document.documentElement.dir === "rtl" ? -1 : 1;
      if (event.key === "ArrowRight") step(rtl);
      if (event.key === "ArrowLeft") step(-rtl);
    };
    addEventListener("keydown", keyed);
    return () => removeEventListener("keydown", keyed);
  });
  const footer = html`
    ${files.length > 1 && html`<${IconButton} icon="arrow-left" label=${t("talk.picture.before")} onClick=${() => step(-1)} />
      <span class="dim">${t("talk.picture.of", { at: at + 1, all: files.length })}</span>
      <${IconButton} icon="arrow-right" label=${t("talk.picture.after")} onClick=${() => step(1)} />`}
    <a class="button" href=${shown.url} download=${shown.name} target="_blank" rel="noopener"><${Icon} name="download" />${t("talk.download")}</a>
    <${Button} onClick=${onClose}>${t("ui.close")}<//>`;
  return html`<${Dialog} wide title=${html`<bdi>${shown.name || t("talk.kind.image")}</bdi>`} onClose=${onClose} footer=${footer}>
    <img class="talk-large" src=${shown.url} alt=${shown.name || t("talk.kind.image")} />
  <//>`;
}
