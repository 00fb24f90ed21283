"""A workspace that somebody listens to: what changes there is read once, for all who listen."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from libs.common.documents import Session
from libs.common.errors import GatewayError
from libs.common.events import Fact
from services.desk.inbox_listener import Listener
from services.desk.inbox_tally import Tally
from services.desk.inbox_told import Change, Point, Shown, gather, tellings

log = logging.getLogger(__name__)

TOGETHER = 500
"""Facts that are looked at together."""
AT_ONCE = 100
"""Sessions that are read and told together."""
KNOWN = 2000
"""Sessions whose last state is remembered, to tell nobody that what they never saw is gone."""
PENDING = 20_000
"""Facts that may wait for the store; then all listeners are dropped, and all is counted anew."""
AGAIN_S = 0.5


class Sources(Protocol):
    """Where a room reads what it tells."""

    async def shown(self, changes: Mapping[str, Change]) -> dict[str, Shown]:
        """Return each of the sessions as it is now."""
        ...

    def open_sessions(self) -> AsyncIterator[list[Session]]:
        """Iterate over the pages of all open sessions."""
        ...


class Room:
    """See the module; `run` does the work.

    Args:
        sources: What is read.
        place: Everything up to here came before.
    """

    def __init__(self, sources: Sources, place: int) -> None:
        self.sources = sources
        self.place = place
        """Everything up to here was told."""
        self.listeners: set[Listener] = set()
        self.tally = Tally()
        self._uncounted = asyncio.Event()
        self._uncounted.set()
        self.counted = asyncio.Event()
        """Set while the tally is whole."""
        self.moved = asyncio.Event()
        """Set whenever a place has moved."""
        self.asked_at = time.monotonic()
        self._pending: deque[tuple[int, Fact]] = deque()
        self._at_work = False
        self._stirred = asyncio.Event()
        self._known: OrderedDict[str, Session] = OrderedDict()

    @property
    def idle(self) -> bool:
        """Whether everything that was taken is told."""
        return not self._pending and not self._at_work

    def take(self, place: int, fact: Fact) -> None:
        """Let *fact* be looked at."""
        if len(self._pending) >= PENDING:
            self.begin_anew()
        self._pending.append((place, fact))
        self._stirred.set()

    def begin_anew(self) -> None:
        """Drop all listeners, who come back, and count all anew."""
        self._pending.clear()
        self._known.clear()
        for listener in self.listeners:
            listener.drop()
        self.tally = Tally()
        self.counted.clear()
        self._uncounted.set()

    @contextmanager
    def listening(self, point: Point, place: int) -> Iterator[Listener]:
        """Tell a listener what happens behind *place* while the block runs."""
        listener = Listener(point, place)
        self.listeners.add(listener)
        self.asked_at = time.monotonic()
        try:
            if self.counted.is_set():
                self._count_for(listener)
            yield listener
        finally:
            self.listeners.discard(listener)
            self.asked_at = time.monotonic()

    async def run(self) -> None:
        """Work for ever."""
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._fill())
                    group.create_task(self._tell_on())
            except* GatewayError as error:
                log.warning("desk.inbox_waits", extra={"reason": str(error.exceptions[0])})
            except* Exception:  # the boundary: a bug must not end what everybody is told
                log.exception("desk.inbox_bug")
            self.begin_anew()
            self._at_work = False
            await asyncio.sleep(AGAIN_S)

    async def _fill(self) -> None:
        """Count every open session, whenever it is to be done; what changes meanwhile is told."""
        while True:
            await self._uncounted.wait()
            self._uncounted.clear()
            tally = self.tally
            async for page in self.sources.open_sessions():
                for session in page:
                    tally.put(session)
            if tally is self.tally:
                tally.filled()
                self.counted.set()
                for listener in self.listeners:
                    self._count_for(listener)

    async def _tell_on(self) -> None:
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            while self._pending:
                self._at_work = True
                some = list(itertools.islice(self._pending, TOGETHER))
                await self._tell(some)
                self._at_work = False
                self.moved.set()

    async def _tell(self, some: list[tuple[int, Fact]]) -> None:
        changes = gather(fact for _, fact in some)
        for part in parts(changes):
            for id_, shown in (await self.sources.shown(part)).items():
                self._tell_one(id_, part[id_], shown)
        if self._pending and self._pending[0] is some[0]:  # else all was begun anew meanwhile
            for _ in some:
                self._pending.popleft()
        self.place = some[-1][0]
        for listener in self.listeners:
            listener.place = max(listener.place, self.place)
            if self.counted.is_set():
                self._count_for(listener)

    def _tell_one(self, id_: str, change: Change, shown: Shown) -> None:
        before = self._known.get(id_)
        for listener in self.listeners:
            listener.tell(tellings(listener.point, id_, change, shown, before))
        if shown.session is None:
            self._known.pop(id_, None)
            self.tally.drop(id_)
            return
        self.tally.put(shown.session)
        self._known[id_] = shown.session
        self._known.move_to_end(id_)
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)

    def _count_for(self, listener: Listener) -> None:
        point = listener.point
        listener.count(self.tally.unread(point.agent, point.scope))


def parts(changes: Mapping[str, Change]) -> Iterable[dict[str, Change]]:
    """Return *changes* in pieces of `AT_ONCE`."""
    left = iter(changes.items())
    while part := dict(itertools.islice(left, AT_ONCE)):
        yield part
