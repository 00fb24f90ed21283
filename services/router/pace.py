"""Work for many conversations at once that lets others have their turn in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

PATIENCE_S = 0.03
"""How long the loop works on one batch before others have their turn: commands, health, timers."""


async def each(keys: Iterable[K], work: Callable[[K], V]) -> dict[K, V]:
    """Return what *work* makes of each key, in their order."""
    done: dict[K, V] = {}
    until = time.perf_counter() + PATIENCE_S
    for key in keys:
        done[key] = work(key)
        if time.perf_counter() >= until:
            await asyncio.sleep(0)
            until = time.perf_counter() + PATIENCE_S
    return done
