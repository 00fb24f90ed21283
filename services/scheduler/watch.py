"""Reads, every few seconds, the state that no counter can tell, and shows it as gauges.

Each replica does so for itself and tells the same. There are three parts, which fail each for
itself: sessions (the store), the bus, and accounts. A part that could not be read three times in a
row is not told any more: no figure is better than an old one that looks new.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from prometheus_client import Gauge

from libs.common.board import watched_health
from libs.common.errors import GatewayError
from libs.common.store.api import Store
from services.scheduler import watch_metrics as metrics
from services.scheduler import watch_sessions
from services.scheduler.means import Means
from services.scheduler.watch_accounts import AccountWatch
from services.scheduler.watch_bus import BusWatch
from services.scheduler.watch_rhythm import watched_rhythms
from services.scheduler.watch_sessions import WAITED_IN, Waits

log = logging.getLogger(__name__)

TIMEOUT_S = 10.0
"""One part's share of a pass."""
MISSES = 3
"""A part that could not be read so often in a row is withdrawn."""
LEAST_PAUSE_S = 1.0


class Part(Protocol):
    """Something that is read as a whole, and shown."""

    @property
    def gauges(self) -> Sequence[Gauge]:
        """What it shows."""
        ...

    async def look(self) -> None:
        """Read it and show it; raises a `GatewayError` where it cannot be read."""
        ...


class SessionWatch:
    """Shows the open sessions of all workspaces."""

    gauges = (metrics.SESSIONS, metrics.OLDEST_WAITING)

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def look(self) -> None:
        """See `Part`; StoreUnavailableError while the store is away."""
        waits: Waits = await watch_sessions.look(self._store)
        now = self._now()
        metrics.show(metrics.SESSIONS, waits.sessions)
        ages: dict[tuple[str, ...], float]
        ages = {(name,): _age_s(waits.since.get(name), now) for name in WAITED_IN}
        metrics.show(metrics.OLDEST_WAITING, ages)


def _age_s(since: datetime | None, now: datetime) -> float:
    return max((now - since).total_seconds(), 0.0) if since else 0.0


class Rounds:
    """Looks at all parts, again and again, never twice at the same time.

    Args:
        parts: What is looked at, one after the other.
        timeout_s: What each may take.
        clock: Seconds, on a clock that nobody sets.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parts = parts
        self._timeout_s = timeout_s
        self._clock = clock
        self._misses = [0] * len(parts)
        self._read_at: list[float | None] = [None] * len(parts)
        metrics.AGE.set_function(self.age_s)

    def age_s(self) -> float:
        """Return the age of the oldest part's figures; NaN until each was read once."""
        times = [at for at in self._read_at if at is not None]
        if len(times) < len(self._parts):
            return math.nan
        return self._clock() - min(times)

    async def once(self) -> None:
        """Look at each part once."""
        began = self._clock()
        for place, part in enumerate(self._parts):
            if await self._looked(part):
                self._misses[place], self._read_at[place] = 0, self._clock()
            else:
                self._misses[place] += 1
            if self._misses[place] == MISSES:
                metrics.withdraw(*part.gauges)
        metrics.PASS_SECONDS.set(self._clock() - began)

    async def run(self, stop: asyncio.Event, every_s: float) -> None:
        """Look every so often until *stop*."""
        while not stop.is_set():
            began = self._clock()
            await self.once()
            pause_s = max(every_s - (self._clock() - began), LEAST_PAUSE_S)
            try:
                async with asyncio.timeout(pause_s):
                    await stop.wait()
            except TimeoutError:
                continue

    async def _looked(self, part: Part) -> bool:
        name = type(part).__name__
        try:
            async with asyncio.timeout(self._timeout_s):
                await part.look()
        except TimeoutError:
            log.warning("watch.too_slow", extra={"part": name, "limit_s": self._timeout_s})
        except GatewayError as error:
            log.info("watch.not_read", extra={"part": name, "reason": error.detail})
        except Exception:  # the boundary: a defect here must not stop the other parts
            log.exception("watch.bug", extra={"part": name})
        else:
            return True
        return False


class Watching:
    """The scheduler's work of watching; `run` goes on until the service stops.

    Args:
        means: What the scheduler stands on.
        every_s: Seconds from one pass to the next.
        limit_bytes: What JetStream may store, where it does not tell; 0: not known.
    """

    def __init__(self, means: Means, every_s: float, limit_bytes: int) -> None:
        self._means = means
        self._every_s = every_s
        self._limit_bytes = limit_bytes

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until *stop*."""
        means = self._means
        async with (
            watched_health(means.bus, rhythms=False) as board,
            watched_rhythms(means.bus) as rhythms,
        ):
            parts: tuple[Part, ...] = (
                SessionWatch(means.store, means.now),
                BusWatch(means.bus.asker, self._limit_bytes, means.now),
                AccountWatch(means.bus, means.directory, board, rhythms, means.now),
            )
            await Rounds(parts).run(stop, self._every_s)
