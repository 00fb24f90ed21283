"""One reader of EVENTS for the whole process, which tells consoles what changes in their inbox.

A place is a sequence of the stream. A workspace that somebody listens to, or whose unread messages
were asked for, has a room, which reads the sessions that facts name once for all who listen.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import StoredMessage
from libs.common.events import Fact
from libs.common.subjects import EVENTS
from services.desk.inbox_listener import AHEAD, Listener
from services.desk.inbox_room import Room, Sources, parts
from services.desk.inbox_told import Point, gather, tellings
from services.desk.scope import Scope

log = logging.getLogger(__name__)

MISSED = 5000
"""Facts that are read for who resumes; who has missed more reads its pages anew."""
PAGE = 500
MISSED_AT_ONCE = 4
"""Listeners for whom the stream is read at the same time."""
AGAIN_S = 1.0
IDLE_S = 600.0
"""A room that nobody asked for so long is given up."""
COUNTED_S = 10.0
"""Seconds that who asks what is unread waits until all is counted, which takes one reading."""
CAUGHT_UP_S = 1.0
"""Seconds that they wait for what was said before they asked."""

_ALL = "ev.>"
_decode = msgspec.json.Decoder(Fact).decode


class InboxFeed:
    """See the module; `run` is the reader.

    Args:
        bus: Where facts come from.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._rooms: dict[str, Room] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reading = asyncio.Semaphore(MISSED_AT_ONCE)
        self.place = 0
        """Everything up to here was given to the rooms."""
        self.begun = asyncio.Event()
        """Set once `place` is known."""

    async def run(self) -> None:
        """Read for ever."""
        try:
            while True:
                try:
                    await self._read()
                except Exception:  # the boundary: a bug must not end what everybody is told
                    log.exception("desk.inbox_feed_bug")
                    await asyncio.sleep(AGAIN_S)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _read(self) -> None:
        if not self.begun.is_set():
            self.place = await self._bus.end_of(EVENTS)
            self.begun.set()
        async for message in self._bus.follow(EVENTS, _ALL, from_sequence=self.place + 1):
            if message.sequence <= self.place:  # the stream was made anew: so are all places
                self.begin_anew()
            room = self._rooms.get(message.subject.split(".", 2)[1])
            if room is not None and (fact := _fact_of(message)) is not None:
                room.take(message.sequence, fact)
            self.place = message.sequence
            for each in self._rooms.values():
                each.moved.set()
            self._give_up_idle()

    def begin_anew(self) -> None:
        """Drop every listener; they come back."""
        for room in self._rooms.values():
            room.begin_anew()
            room.place = 0

    def reached(self, room: Room) -> int:
        """Return the place up to which *room* has told everything."""
        return max(room.place, self.place) if room.idle else room.place

    def room(self, workspace: str, sources: Sources) -> Room:
        """Return the room of *workspace*; `begun` must be set."""
        room = self._rooms.get(workspace)
        if room is None:
            room = self._rooms[workspace] = Room(sources, self.place)
            self._tasks[workspace] = asyncio.create_task(room.run())
        room.asked_at = time.monotonic()
        return room

    @contextmanager
    def listening(self, room: Room, point: Point) -> Iterator[Listener]:
        """Tell a listener what happens while the block runs."""
        with room.listening(point, self.reached(room)) as listener:
            yield listener

    async def unread(self, room: Room, agent: str, scope: Scope) -> dict[str, int]:
        """Return what *agent* has not read, by account, as of all that was said before.

        Raises:
            TimeoutError: Not everything is counted yet.
        """
        async with asyncio.timeout(COUNTED_S):
            await room.counted.wait()
        with suppress(TimeoutError):  # without the bus nothing changes
            async with asyncio.timeout(CAUGHT_UP_S):
                end = await self._bus.end_of(EVENTS)
                while self.reached(room) < end:
                    room.moved.clear()
                    await room.moved.wait()
        return room.tally.unread(agent, scope)

    async def missed(self, room: Room, listener: Listener, after: int) -> bool:
        """Tell *listener* what came behind *after* before it joined; False: that is not known.

        Raises:
            BusUnavailableError: The bus is away.
            StoreUnavailableError: The store is away.
        """
        if after == listener.joined_at:
            return True
        async with self._reading:
            first, last = await self._bus.bounds_of(EVENTS)
            if not first - 1 <= after <= last:
                return False
            facts = await self._facts(listener.point.workspace, after, listener.joined_at)
            changes = gather(facts or ())
            if facts is None or 2 * len(changes) > AHEAD:
                return False
            for part in parts(changes):
                for id_, shown in (await room.sources.shown(part)).items():
                    listener.tell(tellings(listener.point, id_, part[id_], shown, None))
            return not listener.over

    async def _facts(self, workspace: str, after: int, until: int) -> Sequence[Fact] | None:
        """Return the facts of *workspace* behind *after*, up to *until*; None: too many."""
        found: list[Fact] = []
        start = after + 1
        while start <= until:
            page = await self._bus.read(
                EVENTS, f"ev.{workspace}.>", from_sequence=start, limit=PAGE
            )
            read = [_fact_of(message) for message in page if message.sequence <= until]
            found += [fact for fact in read if fact is not None]
            if len(found) > MISSED:
                return None
            start = page[-1].sequence + 1 if len(page) == PAGE else until + 1
        return found

    def _give_up_idle(self) -> None:
        long_ago = time.monotonic() - IDLE_S
        for workspace, room in list(self._rooms.items()):
            if not room.listeners and room.asked_at < long_ago:
                del self._rooms[workspace]
                self._tasks.pop(workspace).cancel()


def _fact_of(message: StoredMessage) -> Fact | None:
    """Return the fact, if it says itself of which workspace it is."""
    try:
        fact = _decode(message.data)
    except ValueError:  # of a newer version: not known here
        log.warning("desk.fact_unreadable", extra={"sequence": message.sequence})
        return None
    return fact if fact.workspace == message.subject.split(".", 2)[1] else None
