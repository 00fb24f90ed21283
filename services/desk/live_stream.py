"""An agent's stream of alerts as server-sent events, which resumes where it was cut.

The event id is the place in the feed. The stream says its place at once and with each heartbeat, so
that a reader who was told nothing yet resumes there, too. A heartbeat tells of presence.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import msgspec
from aiohttp import web

from libs.common.errors import BusUnavailableError
from libs.common.outflow import cut_off, hold_back
from libs.common.presence import Presences
from libs.common.stopping import come_back
from services.desk import metrics
from services.desk.api.problem import RefusalError, unavailable
from services.desk.live_alerts import PresenceEvent, Told
from services.desk.live_feed import Feed, Listener
from services.desk.presence import Attendance, Who

HEARTBEAT_S = 15.0
"""Proxies cut a silent connection after about a minute."""
LOOK_EVERY_S = 1.0
"""Seconds after which it shows that a reader is gone."""
COUNT_EVERY_S = 1.0
WRITE_WITHIN_S = 10.0
BEGUN_WITHIN_S = 3.0
EACH_AGENT = 8
TOTAL = 6000
"""Each takes 25 to 30 KiB, and its share of heartbeats: 5,000 are measured (`bench.streams`), the
rest is room for pages that are loaded again."""

HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
_DIGITS = 19


class Reader(NamedTuple):
    """What is asked of who reads: whether they `still` may, and want it `quiet` now."""

    still: Callable[[], Awaitable[bool]]
    quiet: Callable[[], Awaitable[bool]]


class Watched(Protocol):
    """A stream that is to be woken when its reader is gone."""

    @property
    def left(self) -> bool:
        """Whether the reader is gone."""
        ...

    def stir(self) -> None:
        """Let it look."""
        ...


class Streams:
    """The streams of alerts that are open in this process; `run` notices who is gone."""

    def __init__(self, feed: Feed, attendance: Attendance, presences: Presences) -> None:
        self._feed = feed
        self._attendance = attendance
        self._presences = presences
        self._counts: dict[str, tuple[float, Counter[str]]] = {}
        self._each: Counter[Hashable] = Counter()
        self._open: set[Watched] = set()
        self._taken = 0
        self._closed = False
        self.also_close: list[Callable[[], None]] = []
        """What else ends streams that have their places here."""
        metrics.STREAMS.set_function(lambda: self._taken)

    def close(self) -> None:
        """End all streams; the pages come back elsewhere."""
        self._closed = True
        self._feed.drop_all()
        for end in self.also_close:
            end()

    async def run(self) -> None:
        """Wake the streams whose readers are gone, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for stream in tuple(self._open):
                if stream.left:
                    stream.stir()

    async def serve(
        self, request: web.Request, who: Who, reader: Reader, *, attends: bool
    ) -> web.StreamResponse:
        """Tell *who* what concerns it until it leaves; one who *attends* is present meanwhile.

        Raises:
            RefusalError: 429, it has too many streams open; 503, no place can be had now.
        """
        after = resume_at(request.headers.get("Last-Event-ID", ""))
        with self.place(who):
            await self._begun()
            with self._feed.listening(who) as listener:
                behind = await self._resume(listener, after)
                stream = Stream(request, self._feed, listener, reader, self._presence)
                with self.watched(stream):
                    if not attends:
                        return await stream.pour(behind)
                    async with self._attendance.attending(who, anew=after is None):
                        return await stream.pour(behind)

    @contextmanager
    def watched(self, stream: Watched) -> Iterator[None]:
        """Wake the stream when its reader is gone, while the block runs."""
        self._open.add(stream)
        try:
            yield
        finally:
            self._open.discard(stream)

    @contextmanager
    def place(self, who: Hashable) -> Iterator[None]:
        """Take one of the places that *who* has, and of all places, while the block runs.

        Raises:
            RefusalError: 429, they have too many streams open; 503, the service is being stopped.
        """
        if self._closed:
            raise unavailable("The service is being restarted.", retry_after_s=1)
        if self._each[who] >= EACH_AGENT or self._taken >= TOTAL:
            raise RefusalError(
                429, "too_many_streams", "Too many streams are open.", headers={"Retry-After": "30"}
            )
        self._each[who] += 1
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
            self._each[who] -= 1
            if not self._each[who]:
                del self._each[who]

    async def _begun(self) -> None:
        try:
            async with asyncio.timeout(BEGUN_WITHIN_S):
                await self._feed.begun.wait()
        except TimeoutError:
            raise unavailable("Alerts cannot be read right now.", retry_after_s=5) from None

    async def _resume(self, listener: Listener, after: int | None) -> int:
        try:
            async with asyncio.timeout(BEGUN_WITHIN_S):
                return await self._feed.resume(listener, after)
        except TimeoutError:
            raise unavailable("Alerts cannot be read right now.", retry_after_s=5) from None

    def _presence(self, who: Who) -> PresenceEvent:
        """Return how the agent is there now, and how many were a moment ago."""
        counts = self._counted(who.workspace)
        state = self._presences.state(*who) or "offline"
        return PresenceEvent(state=state, online=counts["online"], away=counts["away"])

    def _counted(self, workspace: str) -> Counter[str]:
        """Return how many are there; a workspace with many streams is counted once a second."""
        at, counts = self._counts.get(workspace, (0.0, Counter()))
        if time.monotonic() - at > COUNT_EVERY_S:
            there = self._presences.of(workspace).values()
            at, counts = time.monotonic(), Counter(one.state for one in there)
            self._counts[workspace] = (at, counts)
        return counts


class Stream:
    """One answer that goes on."""

    def __init__(
        self,
        request: web.Request,
        feed: Feed,
        listener: Listener,
        reader: Reader,
        presence: Callable[[Who], PresenceEvent],
    ) -> None:
        self.listener = listener
        self._request = request
        self._feed = feed
        self._reader = reader
        self._presence = presence
        self._looking: asyncio.Task[None] | None = None
        self._refused = False
        self._response = web.StreamResponse(headers=HEADERS)

    @property
    def left(self) -> bool:
        """Whether the reader is gone."""
        return self._request.transport is None

    def stir(self) -> None:
        """Let it look whether its reader is there."""
        self.listener.stir()

    async def pour(self, behind: int) -> web.StreamResponse:
        """Write what is behind this place until somebody ends it."""
        reason = "left"
        try:
            await self._write(b"retry: 2000\nid: %d\n\n" % behind)
            await self._write(self._heartbeat())
            quiet = behind < self.listener.joined_at and await self._reader.quiet()
            for told in await self._feed.missed(self.listener, behind, quiet=quiet):
                await self._tell(told)
            reason = await self._go_on(max(behind, self.listener.joined_at))
            if reason == "lost":
                await self._write(come_back())
        except TimeoutError:
            reason = "slow"
            cut_off(self._request, self._response)
        except BusUnavailableError:
            reason = "lost"
        except ConnectionError:
            pass
        finally:
            if self._looking is not None:
                self._looking.cancel()
        metrics.STREAMS_ENDED.labels(reason).inc()
        return self._response

    async def _go_on(self, behind: int) -> str:
        """Write what is told behind this place; return why it ended."""
        loop = asyncio.get_running_loop()
        beat = loop.time() + HEARTBEAT_S
        while not self.listener.over:
            told = await self.listener.next(max(beat - loop.time(), 0))
            if self.left or self._refused:
                return "left" if self.left else "refused"
            if told is not None and told.place > behind:
                await self._tell(told)
            if loop.time() >= beat:
                self._look()
                await self._write(self._place(behind) + self._heartbeat())
                beat = loop.time() + HEARTBEAT_S
        return "lost"

    def _look(self) -> None:
        """Look whether the reader may still read, beside telling it: the store may be slow."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._refuse_unless_still())

    async def _refuse_unless_still(self) -> None:
        if not await self._reader.still():
            self._refused = True
            self.listener.stir()

    def _place(self, behind: int) -> bytes:
        if self.listener.waits:  # what waits has a place of its own
            return b""
        return b"id: %d\n" % max(behind, self._feed.place)

    def _heartbeat(self) -> bytes:
        now = msgspec.json.encode(self._presence(self.listener.who))
        return b"event: presence\ndata: %b\n\n" % now

    async def _tell(self, told: Told) -> None:
        if told.until is not None and told.until <= self._feed.now():
            metrics.ALERTS_STALE.inc()
            return
        await self._write(b"id: %d\nevent: alert\ndata: %b\n\n" % (told.place, told.data))
        metrics.ALERTS.labels(told.trigger).inc()

    async def _write(self, data: bytes) -> None:
        async with asyncio.timeout(WRITE_WITHIN_S):
            if not self._response.prepared:
                await self._response.prepare(self._request)
                hold_back(self._request)
            await self._response.write(data)


def resume_at(last: str) -> int | None:
    """Return the place that an event id names, None for none."""
    return int(last) if last.isascii() and last.isdigit() and len(last) < _DIGITS else None
