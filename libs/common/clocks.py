"""How far this process's clock is from the NATS server's.

Two clocks decide here: timers fire by the server's, and stored times, messaging windows, quiet
hours and opening hours are judged by ours. Apart, a message is sent into a window that has closed,
a timer is found not due yet or too late, and times of several machines stand in the wrong order.
The server tells its time in the answers of JetStream's API (field `ts`, since nats-server 2.10);
asked is for TIMERS, as in a cluster the stream's leader answers, by whose clock timers fire.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
from prometheus_client import Gauge

from libs.common.bus.client import Bus
from libs.common.errors import GatewayError

log = logging.getLogger(__name__)

LIMIT_S = 1.0
"""Clocks that are further apart need an operator."""
EVERY_S = 30.0
SOON_S = 1.0
"""Until the next try, where there was no measurement."""
ASKS = 3
"""Of so many the one that was answered fastest counts: it has the smallest error."""

SKEW = Gauge(
    "relaydesk_clock_skew_seconds",
    "The NATS server's clock less this process's, as last measured; NaN before that. "
    "Timers fire by the server's clock, windows and quiet hours are judged by this one.",
)
SKEW_ERROR = Gauge(
    "relaydesk_clock_skew_error_seconds",
    "By how much `relaydesk_clock_skew_seconds` may be wrong, at most; NaN before the first.",
)
SKEW.set(math.nan)
SKEW_ERROR.set(math.nan)

Clock = Callable[[], float]
"""Seconds since 1970."""


class Skew(msgspec.Struct, frozen=True):
    """The server's clock is `ahead_s` (negative: behind) of ours, give or take `error_s`."""

    ahead_s: float
    error_s: float

    @property
    def apart(self) -> bool:
        """Whether the clocks are too far apart for certain."""
        return abs(self.ahead_s) - self.error_s > LIMIT_S

    @property
    def words(self) -> str:
        """Whose clock is how far ahead, and what that breaks, for people."""
        side = "ahead of" if self.ahead_s > 0 else "behind"
        return (
            f"the NATS server's clock is {abs(self.ahead_s):.1f} s {side} this machine's: timers "
            "fire by the server's, windows and quiet hours are judged by this one; set both by NTP"
        )


def skew(asked: float, told: float, took_s: float) -> Skew:
    """Return what one answer tells.

    Args:
        asked: Our clock just before the question, in seconds since 1970.
        told: The server's clock in its answer, likewise.
        took_s: Seconds from the question to the answer, on a clock that nobody sets.
    """
    return Skew(told - (asked + took_s / 2), took_s / 2)


async def measure(bus: Bus, now: Clock = time.time) -> Skew:
    """Ask the server for its time.

    Raises:
        GatewayError: No answer, or there is no such stream.
    """
    return min([await _once(bus, now) for _ in range(ASKS)], key=lambda found: found.error_s)


async def _once(bus: Bus, now: Clock) -> Skew:
    asked, began = now(), time.monotonic()
    told = await bus.server_time()
    return skew(asked, told.timestamp(), time.monotonic() - began)


class Watch:
    """Shows each measurement, and logs when the clocks come apart or together."""

    def __init__(self) -> None:
        self._apart = False

    def note(self, found: Skew) -> None:
        """Take a measurement in."""
        SKEW.set(found.ahead_s)
        SKEW_ERROR.set(found.error_s)
        if found.apart == self._apart:
            return
        self._apart = found.apart
        seen = {"ahead_s": round(found.ahead_s, 3), "error_s": round(found.error_s, 3)}
        if found.apart:
            log.warning("clock.apart", extra={**seen, "reason": found.words})
        else:
            log.info("clock.agrees", extra=seen)


@asynccontextmanager
async def measuring(
    bus: Callable[[], Bus | None], now: Clock = time.time, every_s: float = EVERY_S
) -> AsyncIterator[None]:
    """Measure as soon as there is a bus, and each *every_s* seconds, until the block ends."""
    task = asyncio.create_task(_keep_measuring(bus, now, every_s))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep_measuring(bus: Callable[[], Bus | None], now: Clock, every_s: float) -> None:
    watch = Watch()
    while True:
        pause_s = SOON_S
        if (connected := bus()) is not None:
            try:
                watch.note(await measure(connected, now))
                pause_s = every_s
            except GatewayError as error:  # away, or the stream is being made
                log.debug("clock.not_measured", extra={"reason": error.detail})
        await asyncio.sleep(min(pause_s, every_s))
