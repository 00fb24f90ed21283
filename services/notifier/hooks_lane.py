"""How much an endpoint is called at once, and when it is left alone.

Each endpoint has places of its own, so that a slow one delays no other; what finds too many waiting
is parked in the store, and taken up from there as places become free. One that failed `FAILURES`
times in a row rests, and is then tried by one call.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from libs.common.webhooks import WebhookEndpoint

FAILURES = 5
MOST_LANES = 10_000


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How much at once, and how long a rest is, in seconds.

    Attributes:
        at_once: Calls of an endpoint under way in this process.
        waiting: Deliveries that wait here for a place of theirs; the rest waits in the store, so
            that many slow endpoints together do not take up all that is in hand.
        crowded_s: How soon to look again, at the latest, at what is parked.
    """

    at_once: int = 8
    waiting: int = 48
    crowded_s: float = 5.0
    first_rest_s: float = 10.0
    longest_rest_s: float = 300.0


class Lane:
    """The calls of one endpoint."""

    def __init__(self, pace: Pace, clock: Callable[[], float]) -> None:
        self._pace = pace
        self._clock = clock
        self._places = asyncio.Semaphore(pace.at_once)
        self._waiting = 0
        self._failures = 0
        self._rest_s = pace.first_rest_s
        self._open_until: float | None = None
        self._probing = False
        self._next_slot = 0.0
        self.under_way = 0
        self.more = False
        """Whether something is parked for it, as far as is known here."""

    @property
    def resting(self) -> bool:
        """Whether it has failed so often that it is hardly called."""
        return self._open_until is not None

    @property
    def idle(self) -> bool:
        """Whether nobody needs what is known here."""
        return not (self.under_way or self._waiting or self.resting)

    @property
    def look_again_s(self) -> float:
        """How soon to look again at what is parked."""
        return self._pace.crowded_s

    @property
    def room(self) -> int:
        """How many parked deliveries to take up now, where it is not busy."""
        return 1 if self.resting else max(self._pace.waiting - self._waiting, 1)

    @property
    def wants_more(self) -> bool:
        """Whether to take up what is parked: half of those that may wait have gone."""
        return self.more and not self.busy_s() and 2 * self._waiting <= self._pace.waiting

    def busy_s(self) -> float:
        """Return after how many seconds to come again; 0: there is room now."""
        if self._open_until is not None:
            left = self._open_until - self._clock()
            if left > 0:
                return left
            if self._probing:
                return self._pace.crowded_s
        return self._pace.crowded_s if self._waiting >= self._pace.waiting else 0.0

    @asynccontextmanager
    async def place(self, per_s: int) -> AsyncIterator[float]:
        """Wait for a place and hold it; yields 0.0, or after how many seconds to come again.

        Args:
            per_s: Most calls a second; 0: any number.
        """
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        self.under_way += 1
        try:
            if per_s:
                await asyncio.sleep(self._slot_s(per_s))
            yield self._admitted()
        finally:
            self.under_way -= 1
            self._places.release()

    def _slot_s(self, per_s: int) -> float:
        """Take the next turn; return how long it is until then."""
        now = self._clock()
        slot = max(self._next_slot, now)
        self._next_slot = slot + 1 / per_s
        return slot - now

    def _admitted(self) -> float:
        late_s = self.busy_s() if self.resting else 0.0
        if not late_s:
            self._probing = self.resting
        return late_s

    def succeeded(self) -> None:
        """It took a delivery."""
        self._failures, self._rest_s = 0, self._pace.first_rest_s
        self._open_until, self._probing = None, False

    def failed(self) -> None:
        """It did not answer, or with an error of its own."""
        self._failures += 1
        was_probe, self._probing = self._probing, False
        if was_probe or self._failures >= FAILURES:
            self._open_until = self._clock() + self._rest_s
            self._rest_s = min(2 * self._rest_s, self._pace.longest_rest_s)

    def spared(self) -> None:
        """It lives, though it did not take this one; or we broke off the call."""
        self._probing = False


class Lanes:
    """The lanes of all endpoints; an endpoint with another address begins anew."""

    def __init__(self, pace: Pace, clock: Callable[[], float]) -> None:
        self._pace = pace
        self._clock = clock
        self._known: OrderedDict[tuple[str, str, str], Lane] = OrderedDict()

    def of(self, endpoint: WebhookEndpoint) -> Lane:
        """Return the lane of *endpoint*."""
        key = (endpoint.workspace, endpoint.id, endpoint.url)
        found = self._known.pop(key, None) or Lane(self._pace, self._clock)
        self._known[key] = found
        if len(self._known) > MOST_LANES:
            self._forget()
        return found

    def under_way(self) -> int:
        """Return how many calls are under way."""
        return sum(lane.under_way for lane in self._known.values())

    def resting(self) -> int:
        """Return how many endpoints rest."""
        return sum(lane.resting for lane in self._known.values())

    def _forget(self) -> None:
        """Forget the idle lane that was used longest ago."""
        for key, lane in self._known.items():
            if lane.idle:
                del self._known[key]
                return
