"""One reader of EVENTS for the whole process, which tells each listening agent what concerns it.

A place in the feed is a sequence of the stream. Listeners join it at a place, read what they have
missed from the stream itself, and get the rest from the reader; one who does not take what it is
told is dropped, and resumes where it was.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import StoredMessage
from libs.common.documents import SESSIONS, Session
from libs.common.errors import StoreUnavailableError
from libs.common.events import Fact
from libs.common.store.api import Store
from libs.common.subjects import EVENTS
from services.desk.live_alerts import KINDS, Alert, alert_of, heeds_hours, trigger_of
from services.desk.live_hours import Hours

log = logging.getLogger(__name__)

AHEAD = 200
"""Alerts that may wait for a reader."""
PAGE = 200
MISSED_AT_ONCE = 4
"""Listeners for whom the stream is read at the same time."""
OLDEST = timedelta(days=1)
"""What is older alerts nobody any more."""
DETAILS_WITHIN_S = 1.0
"""An alert waits no longer for what the store knows of its session."""
DETAILS_AGAIN_S = 5.0
"""Alerts do not wait for it at all so long after it has kept one waiting in vain."""
AGAIN_S = 1.0
"""After a bug in reading; what was not told by then is told after it."""

_FACTS = "ev.*.session.*.*"
_decode = msgspec.json.Decoder(Fact).decode


class Told(msgspec.Struct, frozen=True):
    """An alert and its place."""

    place: int
    alert: Alert


class Listener:
    """An agent that listens, and what it was told and has not taken."""

    def __init__(self, workspace: str, agent: str, place: int) -> None:
        self.workspace = workspace
        self.agent = agent
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
        bus: Where facts come from.
        store: What is known of their sessions.
        now: The clock.
        hours: Who is within their hours.
    """

    def __init__(self, bus: Bus, store: Store, now: Callable[[], datetime], hours: Hours) -> None:
        self._bus = bus
        self._store = store
        self._now = now
        self._hours = hours
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self._reading = asyncio.Semaphore(MISSED_AT_ONCE)
        self._without_until = time.monotonic()
        """Until then alerts go without what the store knows."""
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
            self.place = await self._bus.end_of(EVENTS)
            self.begun.set()
        async for message in self._bus.follow(EVENTS, _FACTS, from_sequence=self.place + 1):
            if message.sequence <= self.place:  # the stream was made anew: so are all places
                self.drop_all()
            listeners = self._listeners.get(_workspace_of(message), ())
            if listeners and (fact := _fact_of(message)):
                await self._tell_unless_bug(message.sequence, fact)
            self.place = message.sequence

    def drop_all(self) -> None:
        """Drop every listener; they come back."""
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.drop()

    @contextmanager
    def listening(self, workspace: str, agent: str) -> Iterator[Listener]:
        """Tell a listener what happens while the block runs; `begun` must be set."""
        listener = Listener(workspace, agent, self.place)
        self._listeners[workspace].add(listener)
        try:
            yield listener
        finally:
            self._listeners[workspace].discard(listener)
            if not self._listeners[workspace]:
                del self._listeners[workspace]

    async def resume(self, listener: Listener, after: int | None) -> int:
        """Return the place behind which *listener* goes on that has seen everything up to *after*.

        A place that the stream has not reached is one of a stream that is no more.

        Raises:
            BusUnavailableError: The bus is away.
        """
        if after is None:
            return listener.joined_at
        if after > listener.joined_at and after > await self._bus.end_of(EVENTS):
            return listener.joined_at
        return after

    async def missed(self, listener: Listener, after: int) -> AsyncIterator[Told]:
        """Yield what was to be told behind *after* before *listener* joined, a day back at most.

        Raises:
            BusUnavailableError: The bus is away.
        """
        subject = f"ev.{listener.workspace}.session.*.*"
        since = self._now() - OLDEST
        first = await self._bus.read(EVENTS, subject, since=since, limit=1)
        if not first:
            return
        start = max(after + 1, first[0].sequence)
        while start <= listener.joined_at:
            async with self._reading:
                found = await self._bus.read(EVENTS, subject, from_sequence=start, limit=PAGE)
            for told in await self._told(listener, found):
                yield told
            if len(found) < PAGE:
                return
            start = found[-1].sequence + 1

    async def _told(self, listener: Listener, found: Iterable[StoredMessage]) -> list[Told]:
        facts = {m.sequence: fact for m in found if (fact := _fact_of(m))}
        told = [
            (place, fact, trigger)
            for place, fact in facts.items()
            if place <= listener.joined_at and (trigger := trigger_of(fact, listener.agent))
        ]
        sessions = await self._sessions(listener.workspace, {fact.session for _, fact, _ in told})
        return [
            Told(place, alert_of(fact, trigger, sessions.get(fact.session)))
            for place, fact, trigger in told
            if self._is_for(listener, fact, sessions.get(fact.session))
        ]

    async def _tell_unless_bug(self, place: int, fact: Fact) -> None:
        """Tell of *fact*; one that cannot be told is left out, and holds up no other."""
        try:
            await self._tell(place, fact)
        except Exception:  # the boundary, see `run`
            log.exception("desk.alert_bug", extra={"workspace": fact.workspace})

    async def _tell(self, place: int, fact: Fact) -> None:
        concerned = any(trigger_of(fact, one.agent) for one in self._listeners[fact.workspace])
        if not concerned:
            return
        session = (await self._sessions(fact.workspace, {fact.session})).get(fact.session)
        for listener in tuple(self._listeners.get(fact.workspace, ())):
            trigger = trigger_of(fact, listener.agent)
            if trigger is not None and self._is_for(listener, fact, session):
                listener.tell(Told(place, alert_of(fact, trigger, session)))

    def _is_for(self, listener: Listener, fact: Fact, session: Session | None) -> bool:
        """Tell whether the hours let the agent be told, those of when it happened."""
        if not heeds_hours(fact):
            return True
        team = session.team if session else ""
        return self._hours.hold(fact.workspace, listener.agent, team, fact.at)

    async def _sessions(self, workspace: str, ids: set[str]) -> dict[str, Session]:
        """Return the sessions; none where the store is away or slow: alerts cannot wait for it."""
        if not ids or time.monotonic() < self._without_until:
            return {}
        try:
            async with asyncio.timeout(DETAILS_WITHIN_S):
                return await self._store.get_many(SESSIONS, workspace, sorted(ids))
        except (TimeoutError, StoreUnavailableError):
            self._without_until = time.monotonic() + DETAILS_AGAIN_S
            log.warning("desk.alert_without_details", extra={"workspace": workspace})
            return {}


def _workspace_of(message: StoredMessage) -> str:
    return message.subject.split(".", 2)[1]


def _fact_of(message: StoredMessage) -> Fact | None:
    """Return the fact, if it is one that can alert; its workspace is that of the subject."""
    kind = message.subject.split(".")[2:4]
    if ".".join(kind) not in KINDS:
        return None
    try:
        fact = _decode(message.data)
    except ValueError:  # of a newer version: not known here
        return None
    return fact if fact.workspace == _workspace_of(message) else None
