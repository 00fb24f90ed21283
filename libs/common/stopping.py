"""How a service ends: said first, then done, within ten seconds.

A load balancer needs a moment to notice that a process is not ready any more, and sends requests
until then. So a process with a public port goes on for `RELAYDESK_DRAIN_S` after the signal: it
says that it is not ready, serves whoever comes, and closes each connection behind its answer, so
that pools let go of it. Then it stops listening and finishes what it has begun.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

ENDS_WITHIN_S = 10.0
"""Seconds from the signal to the end; manifests give some more."""
_SPARE_S = 0.7
"""For closing what is left: the bus, the store, the admin port."""
BACK_FROM_MS = 200
BACK_UNTIL_MS = 3000
"""When readers of ended streams come back: not all at once, and before an agent counts as gone."""


class Stop(asyncio.Event):
    """Set when the service is to stop; `begin` announces it.

    Args:
        drain_s: Seconds between the announcement and the stop.
    """

    def __init__(self, drain_s: float = 0.0) -> None:
        super().__init__()
        self.drain_s = drain_s
        self.begun = False
        """Whether the end was announced."""
        self._begun_at = 0.0

    def begin(self) -> None:
        """Say that the process leaves, and stop after the time to drain."""
        if self.begun:
            return
        self.begun = True
        self._begun_at = time.monotonic()
        if self.drain_s > 0:
            asyncio.get_running_loop().call_later(self.drain_s, self.set)
        else:
            self.set()

    def begun_s_ago(self) -> float:
        """Return the seconds since the end was announced."""
        return time.monotonic() - self._begun_at


def is_leaving(stop: asyncio.Event) -> bool:
    """Tell whether new work should go elsewhere: the end was announced, or has begun."""
    return stop.is_set() or (isinstance(stop, Stop) and stop.begun)


def leaving(stop: asyncio.Event) -> Callable[[], bool]:
    """Return what tells it whenever it is asked."""
    return lambda: is_leaving(stop)


def finish_s(drain_s: float) -> float:
    """Return the seconds that requests in flight may take behind a drain of *drain_s*."""
    return min((ENDS_WITHIN_S - _SPARE_S - drain_s) * 0.55, 5.0)


def hand_over_s(drain_s: float) -> float:
    """Return the seconds that the bus then has to confirm what is on its way."""
    return min((ENDS_WITHIN_S - _SPARE_S - drain_s) * 0.3, 3.0)


def come_back() -> bytes:
    """Return what tells the reader of an event stream when to connect again, each another time."""
    return b"retry: %d\n\n" % random.randint(BACK_FROM_MS, BACK_UNTIL_MS)  # noqa: S311 (no secret)
