"""How late this process's event loop is: what blocks it delays every answer, and every probe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import Gauge

EVERY_S = 0.2
WINDOW_S = 60.0
"""The greatest of one to two windows is shown, so that no scrape each 30 s misses one."""

LAG = Gauge(
    "relaydesk_loop_lag_seconds",
    "By how much the event loop was late, at the most in the last minute or two.",
)


class Lateness:
    """The greatest reading of this window and of the one before.

    Args:
        now: When it begins, in seconds on a clock that nobody sets.
    """

    def __init__(self, now: float) -> None:
        self._begun = now
        self._present = self._former = 0.0

    def note(self, late_s: float, now: float) -> float:
        """Take a reading; return the greatest that counts still."""
        if now - self._begun >= WINDOW_S:
            self._former, self._present, self._begun = self._present, 0.0, now
        self._present = max(self._present, late_s)
        return max(self._present, self._former)


@asynccontextmanager
async def watching_loop(every_s: float = EVERY_S) -> AsyncIterator[None]:
    """Measure the running loop until the block ends."""
    task = asyncio.create_task(_keep_watching(every_s))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep_watching(every_s: float) -> None:
    loop = asyncio.get_running_loop()
    seen = Lateness(loop.time())
    while True:
        due = loop.time() + every_s
        await asyncio.sleep(every_s)
        now = loop.time()
        LAG.set(seen.note(max(now - due, 0.0), now))
