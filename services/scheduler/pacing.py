"""How fast what is overdue is caught up with, so that it starves nobody who is there now.

On time, timers of a kind run beside each other up to its share. What is late, or has many behind
it, goes through a narrower gate: fewer at once, the fewer the longer an answer takes, as the
routers that answer also take what visitors write; and no more of them in a second than is set.
Each kind has a gate of its own: a person's scheduled message does not wait for idle ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from libs.common.bus.delivery import Delivery
from libs.common.events import Timer, TimerKind
from services.scheduler import metrics

LATE_S = 2.0
"""From so late on a timer is one to catch up with."""
MANY = 500
"""Due timers that wait in the stream from which on they are caught up with, late or not."""
GOOD_S = 0.25
"""What is done within this lets more run; what takes longer takes some away.

A scheduled message is half a dozen commits. Those that run beside each other share them, so that
few at once are slower in all and spare those who write meanwhile nothing.
"""
LEAST = 4.0

SHARES: Mapping[TimerKind, int] = {
    "scheduled": 16,
    "silent_owner": 32,
    "bot_deadline": 32,
    "flow_wait": 32,
    "snooze": 32,
    "hours": 8,
    "idle_end": 16,
    "broadcast": 8,
    "idle_pass": 2,
}
"""Timers of a kind in hand at once. More scheduled messages get no more done, as all of their time
is the store's, and who writes would wait for them."""
SLOW_SHARES: Mapping[TimerKind, float] = {"idle_end": 0.25}
"""What part of the pace of catching up a kind has; else all of it."""
UNPACED: frozenset[TimerKind] = frozenset({"broadcast", "idle_pass", "hours"})
"""Few, and with a pace of their own."""

KINDS: tuple[TimerKind, ...] = tuple(SHARES)


class Gate:
    """Lets timers of one kind through that are caught up with.

    Args:
        most: At once.
        per_second: Most in a second; 0: no limit.
        clock: Seconds on any steady clock.
    """

    def __init__(self, most: int, per_second: float, clock: Callable[[], float]) -> None:
        self._most = float(most)
        self._clock = clock
        self._gap_s = 1.0 / per_second if per_second else 0.0
        self._next = 0.0
        self._running = 0
        self._narrowed_at = float("-inf")
        self._changed = asyncio.Condition()
        self.width = min(LEAST, self._most)
        """How many may run at once now."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a place, and take it until the block ends."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._running < self.width)
            self._running += 1
        began = self._clock()
        try:
            await asyncio.sleep(self._wait_s(began))
            began = self._clock()
            yield
        finally:
            async with self._changed:
                self._running -= 1
                self._learn(began, self._clock())
                self._changed.notify_all()

    def _wait_s(self, now: float) -> float:
        at = max(self._next, now)
        self._next = at + self._gap_s
        return at - now

    def _learn(self, began: float, ended: float) -> None:
        """Widen or narrow; of those that were slow together, one counts."""
        if ended - began <= GOOD_S:
            self.width = min(self.width + 1 / self.width, self._most)
        elif began >= self._narrowed_at:
            self.width = max(self.width * 0.8, min(LEAST, self._most))
            self._narrowed_at = ended


class Paced:
    """Holds back what is overdue, by kind.

    Args:
        now: The clock.
        per_second: Most overdue timers of a kind in a second; 0: no limit.
        clock: Seconds on any steady clock.
    """

    def __init__(
        self, now: Callable[[], datetime], per_second: float, clock: Callable[[], float]
    ) -> None:
        self._now = now
        self._gates = {
            kind: Gate(SHARES[kind], per_second * SLOW_SHARES.get(kind, 1.0), clock)
            for kind in KINDS
            if kind not in UNPACED
        }

    @asynccontextmanager
    async def turn(self, timer: Timer, delivery: Delivery) -> AsyncIterator[None]:
        """Wait until *timer* may be acted on, and hold its place until the block ends."""
        gate = self._gates.get(timer.kind)
        if gate is None or not self._is_overdue(timer, delivery):
            yield
            return
        metrics.PACED.labels(timer.kind).inc()
        async with gate.turn():
            yield

    def _is_overdue(self, timer: Timer, delivery: Delivery) -> bool:
        late_s = (self._now() - timer.due).total_seconds()
        return late_s > LATE_S or delivery.pending > MANY
