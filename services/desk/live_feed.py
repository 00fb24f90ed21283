"""One reader of ALERTS for the whole process, which tells each listening agent its alerts.

A place in the feed is a sequence of the stream. Listeners join it at a place, read what they have
missed from the stream itself, and get the rest from the reader; one who does not take what it is
told is dropped, and resumes where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

import msgspec

from libs.common import subjects
from libs.common.alerts import Alert
from libs.common.bus.client import Bus
from libs.common.bus.delivery import StoredMessage
from libs.common.subjects import ALERTS
from services.desk.live_alerts import Missed, Told, told_of
from services.desk.presence import Who

log = logging.getLogger(__name__)

AHEAD = 200
"""Alerts that may wait for a reader."""
PAGE = 200
MISSED_AT_ONCE = 4
"""Listeners for whom the stream is read at the same time."""
OLDEST = timedelta(days=1)
"""What is older is told nobody any more: neither that it was raised, nor that it was cleared."""
AGAIN_S = 1.0
"""After a bug in reading; what was not told by then is told after it."""

_ALL = subjects.alert("browser", "*", "*")
_decode = msgspec.json.Decoder(Alert).decode


class Listener:
    """An agent that listens, and what it was told and has not taken."""

    def __init__(self, who: Who, place: int) -> None:
        self.who = who
        self.joined_at = place
        """Everything up to here came before, everything behind it is told."""
        self._waiting: deque[Told] = deque()
        self._stirred = asyncio.Event()
        self._dropped = False

    @property
    def waits(self) -> bool:
        """Whether something was told that was not taken."""
        return bool(self._waiting)

    @property
    def over(self) -> bool:
        """Whether it was dropped, and has taken all there is."""
        return self._dropped and not self._waiting

    def tell(self, told: Told) -> None:
        """Let *told* wait; who has too much waiting is dropped and misses it."""
        if len(self._waiting) >= AHEAD:
            self.drop()
        elif not self._dropped:
            self._waiting.append(told)
        self._stirred.set()

    def drop(self) -> None:
        """Tell it nothing more."""
        self._dropped = True
        self._stirred.set()

    def stir(self) -> None:
        """Have `next` return, with or without anything."""
        self._stirred.set()

    async def next(self, within_s: float) -> Told | None:
        """Take what waits longest, or wait for it; None: nothing came in time, or all is over."""
        if not self._waiting and not self._dropped:
            self._stirred.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._stirred.wait()
        return self._waiting.popleft() if self._waiting else None


class Feed:
    """See the module; `run` is the reader.

    Args:
        bus: Where alerts come from.
        now: The clock.
    """

    def __init__(self, bus: Bus, now: Callable[[], datetime]) -> None:
        self._bus = bus
        self.now = now
        self._listeners: defaultdict[Who, set[Listener]] = defaultdict(set)
        self._reading = asyncio.Semaphore(MISSED_AT_ONCE)
        self.place = 0
        """Everything up to here was told."""
        self.begun = asyncio.Event()
        """Set once `place` is known."""

    async def run(self) -> None:
        """Read for ever."""
        while True:
            try:
                await self._read()
            except Exception:  # the boundary: a bug must not end the alerts of everybody
                log.exception("desk.feed_bug")
                await asyncio.sleep(AGAIN_S)

    async def _read(self) -> None:
        if not self.begun.is_set():
            self.place = await self._bus.end_of(ALERTS)
            self.begun.set()
        async for message in self._bus.follow(ALERTS, _ALL, from_sequence=self.place + 1):
            if message.sequence <= self.place:  # the stream was made anew: so are all places
                self.drop_all()
            listeners = self._listeners.get(_who_of(message), ())
            if listeners and (alert := _alert_of(message)):
                told = told_of(message.sequence, alert)
                for listener in tuple(listeners):
                    listener.tell(told)
            self.place = message.sequence

    def drop_all(self) -> None:
        """Drop every listener; they come back."""
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.drop()

    @contextmanager
    def listening(self, who: Who) -> Iterator[Listener]:
        """Tell a listener what happens while the block runs; `begun` must be set."""
        listener = Listener(who, self.place)
        self._listeners[who].add(listener)
        try:
            yield listener
        finally:
            self._listeners[who].discard(listener)
            if not self._listeners[who]:
                del self._listeners[who]

    async def resume(self, listener: Listener, after: int | None) -> int:
        """Return the place behind which *listener* goes on that has seen everything up to *after*.

        A place that the stream has not reached is one of a stream that is no more.

        Raises:
            BusUnavailableError: The bus is away.
        """
        if after is None:
            return listener.joined_at
        if after > listener.joined_at and after > await self._bus.end_of(ALERTS):
            return listener.joined_at
        return after

    async def missed(
        self, listener: Listener, after: int, *, quiet: bool = False
    ) -> Iterable[Told]:
        """Return what is to be told of what came behind *after* before *listener* joined.

        Without its sound where the agent wants it *quiet* by now.

        Raises:
            BusUnavailableError: The bus is away.
        """
        missed = Missed(self.now())
        if after >= listener.joined_at:
            return ()
        async with self._reading:
            subject = subjects.alert("browser", *listener.who)
            since = self.now() - OLDEST
            first = await self._bus.read(ALERTS, subject, since=since, limit=1)
            start = max(after + 1, first[0].sequence) if first else listener.joined_at + 1
            while start <= listener.joined_at:
                found = await self._bus.read(ALERTS, subject, from_sequence=start, limit=PAGE)
                for message in found:
                    alert = _alert_of(message)
                    if alert and message.sequence <= listener.joined_at:
                        missed.add(message.sequence, alert)
                start = found[-1].sequence + 1 if len(found) == PAGE else listener.joined_at + 1
        return missed.told(quiet=quiet)


def _who_of(message: StoredMessage) -> Who:
    _alert, _sink, workspace, agent = message.subject.split(".", 3)
    return Who(workspace, agent)


def _alert_of(message: StoredMessage) -> Alert | None:
    """Return the alert, if it says itself that it is for whom its subject names."""
    try:
        alert = _decode(message.data)
    except ValueError:  # of a newer version: not known here
        log.warning("desk.alert_unreadable", extra={"sequence": message.sequence})
        return None
    return alert if (alert.workspace, alert.agent) == _who_of(message) else None
