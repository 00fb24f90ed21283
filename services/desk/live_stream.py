"""An agent's stream of alerts as server-sent events, which resumes where it was cut.

The event id is the place in the feed. The stream says its place at once and with each heartbeat, so
that a reader who was told nothing yet resumes there, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from libs.common.errors import BusUnavailableError
from libs.common.outflow import cut_off
from services.desk import metrics
from services.desk.api.problem import RefusalError, unavailable
from services.desk.live_feed import Feed, Listener, Told
from services.desk.presence import Attendance, Who

HEARTBEAT_S = 15.0
"""Proxies cut a silent connection after about a minute."""
LOOK_EVERY_S = 1.0
"""Seconds after which it shows that a reader is gone."""
WRITE_WITHIN_S = 10.0
BEGUN_WITHIN_S = 3.0
EACH_AGENT = 8
TOTAL = 4000

_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
_DIGITS = 19

Still = Callable[[], Awaitable[bool]]
"""Whether the reader may still read."""


class Streams:
    """The streams of alerts that are open in this process."""

    def __init__(self, feed: Feed, attendance: Attendance) -> None:
        self._feed = feed
        self._attendance = attendance
        self._open: dict[Who, int] = {}
        self._closed = False
        metrics.STREAMS.set_function(lambda: sum(self._open.values()))

    def close(self) -> None:
        """End all streams; the pages come back elsewhere."""
        self._closed = True
        self._feed.drop_all()

    async def serve(
        self, request: web.Request, who: Who, still: Still, *, attends: bool
    ) -> web.StreamResponse:
        """Tell *who* what concerns it until it leaves; one who *attends* is present meanwhile.

        Raises:
            RefusalError: 429, it has too many streams open; 503, no place can be had now.
        """
        self._take(who)
        try:
            after = _resume_at(request)
            await self._begun()
            with self._feed.listening(*who) as listener:
                behind = await self._resume(listener, after)
                stream = Stream(request, self._feed, listener, still)
                if not attends:
                    return await stream.pour(behind)
                async with self._attendance.attending(who, anew=after is None):
                    return await stream.pour(behind)
        finally:
            self._open[who] -= 1
            if not self._open[who]:
                del self._open[who]

    def _take(self, who: Who) -> None:
        if self._closed:
            raise unavailable("The service is being restarted.", retry_after_s=1)
        if self._open.get(who, 0) >= EACH_AGENT or sum(self._open.values()) >= TOTAL:
            raise RefusalError(
                429, "too_many_streams", "Too many streams are open.", headers={"Retry-After": "30"}
            )
        self._open[who] = self._open.get(who, 0) + 1

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


class Stream:
    """One answer that goes on."""

    def __init__(self, request: web.Request, feed: Feed, listener: Listener, still: Still) -> None:
        self._request = request
        self._feed = feed
        self._listener = listener
        self._still = still
        self._response = web.StreamResponse(headers=_HEADERS)

    async def pour(self, behind: int) -> web.StreamResponse:
        """Write what is behind this place until somebody ends it."""
        reason = "left"
        try:
            await self._write(b"retry: 2000\nid: %d\n\n" % behind)
            async for told in self._feed.missed(self._listener, behind):
                await self._tell(told)
            reason = await self._go_on(max(behind, self._listener.joined_at))
        except TimeoutError:
            reason = "slow"
            cut_off(self._request, self._response)
        except BusUnavailableError:
            reason = "lost"
        except ConnectionError:
            pass
        metrics.STREAMS_ENDED.labels(reason).inc()
        return self._response

    async def _go_on(self, behind: int) -> str:
        """Write what is told behind this place; return why it ended."""
        loop = asyncio.get_running_loop()
        beat = loop.time() + HEARTBEAT_S
        while not self._listener.over:
            told = await self._listener.next(min(LOOK_EVERY_S, max(beat - loop.time(), 0)))
            if self._request.transport is None:
                return "left"
            if told is not None and told.place > behind:
                await self._tell(told)
            if loop.time() >= beat:
                if not await self._still():
                    return "refused"
                await self._write(self._heartbeat(behind))
                beat = loop.time() + HEARTBEAT_S
        return "lost"

    def _heartbeat(self, behind: int) -> bytes:
        if self._listener.waits:  # what waits has a place of its own
            return b": still here\n\n"
        return b": still here\nid: %d\n\n" % max(behind, self._feed.place)

    async def _tell(self, told: Told) -> None:
        data = msgspec.json.encode(told.alert)  # without line breaks
        await self._write(b"id: %d\nevent: alert\ndata: %b\n\n" % (told.place, data))
        metrics.ALERTS.labels(told.alert.trigger).inc()

    async def _write(self, data: bytes) -> None:
        async with asyncio.timeout(WRITE_WITHIN_S):
            if not self._response.prepared:
                await self._response.prepare(self._request)
            await self._response.write(data)


def _resume_at(request: web.Request) -> int | None:
    last = request.headers.get("Last-Event-ID", "")
    return int(last) if last.isascii() and last.isdigit() and len(last) < _DIGITS else None
