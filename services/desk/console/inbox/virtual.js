// Rows of one height, of which only those in sight are in the page.

import { useEffect, useReducer, useRef } from "../frame/html.js";
import { Virtualizer, elementScroll, observeElementOffset, observeElementRect } from "../vendor/virtual/index.js";

const BEYOND = 6;

// {box: ref of what scrolls, items: [{index, key, start}], total: px, to(index)}.
export function useVirtual({ count, height, keyOf }) {
  const box = useRef(null);
  const [, draw] = useReducer((n) => n + 1, 0);
  const kept = useRef(null);
  const options = {
    count,
    estimateSize: () => height,
    getItemKey: keyOf,
    getScrollElement: () => box.current,
    scrollToFn: elementScroll,
    observeElementRect,
    observeElementOffset,
    overscan: BEYOND,
    onChange: () => draw(),
  };
  kept.current ??= new Virtualizer(options);
  const virtual = kept.current;
  virtual.setOptions(options);
  useEffect(() => virtual._didMount(), []);
  useEffect(() => virtual._willUpdate());
  return {
    box,
    items: virtual.getVirtualItems(),
    total: count * height,
    to: (index) => virtual.scrollToIndex(index),
  };
}
