// Views: Preact with htm's templates, and signals for what several views show. One place to import
// them from. Text in a template becomes text nodes, never markup.

import { Component, Fragment, h, render } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { Component, Fragment, h, render };
export {
  useCallback, useEffect, useId, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from "../vendor/hooks.js";
export { batch, computed, effect, signal } from "../vendor/signals-core.js";
export { useComputed, useSignal, useSignalEffect } from "../vendor/signals.js";

export const html = htm.bind(h);

export function classes(...given) {
  return given.filter(Boolean).join(" ");
}
