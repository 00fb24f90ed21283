// Icons by their lucide names; they are decoration, unless `label` is given.

import { h } from "../frame/html.js";
import { icons } from "../vendor/icons.js";

const OURS = {
  smile: [
    ["circle", { cx: 12, cy: 12, r: 10 }],
    ["path", { d: "M8 14s1.5 2 4 2 4-2 4-2M9 9h.01M15 9h.01" }],
  ],
};
const MIRRORED = new Set([
  "arrow-left", "arrow-right", "chevron-left", "chevron-right", "reply", "forward", "send", "undo-2", "log-out",
]);

export function Icon({ name, size = 18, label, class: more = "" }) {
  const parts = icons[name] ?? OURS[name] ?? icons.circle;
  const said = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
  return h(
    "svg",
    {
      class: `icon ${MIRRORED.has(name) ? "mirrored" : ""} ${more}`,
      width: size, height: size, viewBox: "0 0 24 24", fill: "none", stroke: "currentColor",
      "stroke-width": 2, "stroke-linecap": "round", "stroke-linejoin": "round", ...said,
    },
    parts.map(([tag, attributes]) => h(tag, attributes)),
  );
}

const CHANNELS = {
  messenger: "message-circle", fb_comment: "message-square-text", line: "message-circle-more",
  whatsapp: "phone", wechat: "messages-square", web: "globe", instagram: "camera", telegram: "send",
};

// A channel's sign in its colour; the name stands beside it or is its label.
export function ChannelIcon({ channel, size = 16, label }) {
  return h(
    "span",
    { class: "channel-icon", "data-channel": channel },
    h(Icon, { name: CHANNELS[channel] ?? "plug", size, label }),
  );
}
