"""How many pushes go to a push service at once, and when it is left alone for a while.

A service that does not answer must hold no place that pushes to others need, and what waits for it
must cost next to nothing: it comes back once in a rest, behind the one push that tries whether the
service is there again. A service's going and coming is logged, not each push that waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services.notifier.bots_breaker import Breaker

log = logging.getLogger(__name__)

AT_ONCE = 32
"""Pushes under way to one service."""
WAITING = 32
"""Pushes that wait for one of these places; others are put off at once."""
MOST_HOSTS = 1000
CALL_S = 5.0
"""Bound of one call."""
FIRST_REST_S = 10.0
LONGEST_REST_S = 60.0
SPREAD_S = 15.0
"""Over so long those come back that wait for the end of a rest."""
PUT_OFF_S = 2.0
"""Shortest pause of what was put off; it doubles with each try, up to `LONGEST_PUT_OFF_S`."""
LONGEST_PUT_OFF_S = 30.0
_MOST_DOUBLINGS = 10


class PutOffError(Exception):
    """The service rests, or has enough to do; nothing was sent.

    Args:
        after_s: Not before then is there a place; 0: nobody knows.
    """

    def __init__(self, after_s: float) -> None:
        super().__init__(after_s)
        self.after_s = after_s


class Host:
    """One push service."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.breaker = Breaker(0, FIRST_REST_S, LONGEST_REST_S)
        self.places = asyncio.Semaphore(AT_ONCE)
        self.waiting = 0
        self.used = 0
        self.down_since: float | None = None


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
            raise PutOffError(self._after_s(host))
        host.waiting += 1
        try:
            await host.places.acquire()
        finally:
            host.waiting -= 1
        try:
            trial = host.breaker.state(self._clock()) == "half_open"
            if not host.breaker.admits(self._clock()):  # it failed while we waited, or is tried
                raise PutOffError(self._after_s(host))
            host.used += 1
            try:
                yield host
            finally:
                host.used -= 1
                if trial:  # if nobody said how it went, another one may try
                    host.breaker.spared()
        finally:
            host.places.release()

    def answered(self, host: Host) -> None:
        """It answered."""
        host.breaker.succeeded()
        if host.down_since is not None:
            down_s = round(self._clock() - host.down_since, 1)
            log.info("push.service_back", extra={"host": host.name, "down_s": down_s})
            host.down_since = None

    def failed(self, host: Host, reason: str) -> float:
        """It did not answer, or with an error of its own; return when to try again, 0: any time.

        The one whose failure begins a rest comes back as it ends, before all who wait for that.
        What was under way when it began says nothing new, and makes it no longer.
        """
        now = self._clock()
        if host.breaker.state(now) == "open":
            return self._after_s(host)
        host.breaker.failed(now)
        rest_s = host.breaker.left_s(now)
        if rest_s and host.down_since is None:
            host.down_since = now
            said = {"host": host.name, "rest_s": rest_s, "reason": reason}
            log.warning("push.service_rests", extra=said)
        return rest_s

    def _after_s(self, host: Host) -> float:
        """Return when it is worth a try: spread, once it is known how the trial went."""
        now = self._clock()
        if host.breaker.state(now) == "closed":
            return 0.0
        spread_s = SPREAD_S * random.random()  # noqa: S311 (jitter)
        return host.breaker.left_s(now) + CALL_S + spread_s

    def _of(self, name: str) -> Host:
        found = self._known.pop(name, None) or Host(name)
        self._known[name] = found
        if len(self._known) > MOST_HOSTS:
            oldest = next(iter(self._known))
            if not self._known[oldest].used:
                del self._known[oldest]
        return found


def put_off_s(attempt: int, after_s: float, left_s: float) -> float | None:
    """Return when what was put off comes back; None where that is not worth it.

    Args:
        attempt: Which delivery this was, from 1.
        after_s: There is no place before.
        left_s: Until the alert is too old; what would come back later comes in time for one call.
    """
    grown_s = min(PUT_OFF_S * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS), LONGEST_PUT_OFF_S)
    wanted_s = max(after_s, grown_s * (1 + random.random() / 2))  # noqa: S311 (jitter)
    last_s = left_s - CALL_S
    return min(wanted_s, last_s) if last_s >= PUT_OFF_S else None
