// Opens the palette of everything: its modules and words come when it is opened first.

import { html, signal, useEffect, useState } from "../frame/html.js";
import { useKeys } from "../frame/keys.js";
import { learn, t } from "../frame/words.js";
import { toast } from "../ui/toast.js";

const open = signal(false);

export function openPalette() {
  open.value = true;
}

export function PaletteDoor() {
  const [Palette, put] = useState(null);
  useKeys([
    { keys: "mod+k", group: "frame.general", label: "frame.palette", typing: true, run: openPalette },
  ]);
  useEffect(() => {
    if (!open.value || Palette) return;
    Promise.all([import("./palette.js"), learn("inbox")]).then(
      ([module]) => put(() => module.Palette),
      () => {
        open.value = false;
        toast(t("ui.unreachable"), { kind: "bad" });
      },
    );
  }, [open.value]);
  return open.value && Palette ? html`<${Palette} onClose=${() => (open.value = false)} />` : null;
}
