"""How many pushes go to a push service at once, and when it is left alone for a while.

A service that does not answer must hold no place that pushes to others need. No I/O.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services.notifier.bots_breaker import Breaker

AT_ONCE = 32
"""Pushes under way to one service."""
WAITING = 32
"""Pushes that wait for one of these places; others are put off at once."""
MOST_HOSTS = 1000


class PutOffError(Exception):
    """The service rests, or has enough to do; nothing was sent."""


class Host:
    """One push service."""

    def __init__(self) -> None:
        self.breaker = Breaker(0)
        self.places = asyncio.Semaphore(AT_ONCE)
        self.waiting = 0
        self.used = 0


class Hosts:
    """All push services by host; those not used for longest are forgotten above `MOST_HOSTS`.

    Args:
        clock: Seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: OrderedDict[str, Host] = OrderedDict()

    @property
    def resting(self) -> int:
        """How many are left alone now."""
        now = self._clock()
        return sum(host.breaker.state(now) != "closed" for host in self._known.values())

    @asynccontextmanager
    async def place(self, name: str) -> AsyncIterator[Host]:
        """Hold a place at a service until the block ends; say there how it went.

        Raises:
            PutOffError: It rests, or too many wait already.
        """
        host = self._of(name)
        if host.breaker.state(self._clock()) == "open" or host.waiting >= WAITING:
            raise PutOffError
        host.waiting += 1
        try:
            await host.places.acquire()
        finally:
            host.waiting -= 1
        try:
            if not host.breaker.admits(self._clock()):  # it failed while we waited
                raise PutOffError
            host.used += 1
            try:
                yield host
            finally:
                host.used -= 1
        finally:
            host.places.release()

    def failed(self, host: Host) -> None:
        """It did not answer, or with an error of its own."""
        host.breaker.failed(self._clock())

    def _of(self, name: str) -> Host:
        found = self._known.pop(name, None) or Host()
        self._known[name] = found
        if len(self._known) > MOST_HOSTS:
            oldest = next(iter(self._known))
            if not self._known[oldest].used:
                del self._known[oldest]
        return found
