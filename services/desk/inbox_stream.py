"""A console's stream of its inbox as server-sent events, which resumes where it was cut.

The event id is a place in EVENTS. It is said behind what was told up to it, so that a reader who is
cut in between is told again; and with each heartbeat.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from libs.common.errors import BusUnavailableError, StoreUnavailableError
from libs.common.outflow import cut_off, hold_back
from libs.common.stopping import come_back
from services.desk import live_stream, metrics
from services.desk.inbox_feed import InboxFeed
from services.desk.inbox_listener import Listener
from services.desk.inbox_room import Room
from services.desk.inbox_told import event

PACE_S = 0.1
"""Least time between two writes: what changes faster is told once."""

LOOK_S = 1.0
"""Seconds after which it is asked anew whether the reader may see what there is to tell."""

Still = Callable[[], Awaitable[bool]]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The stream is open: whatever changes from now on is told. `place` is the event id."""

    place: int


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    """What was missed is not known, or what the agent sees has changed: read the pages anew."""

    reason: str


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing has happened; the stream is alive."""


class InboxStream:
    """One answer that goes on.

    Args:
        request: Who reads.
        feed: What is told, with the `room` and the `listener` there.
        still: Tells whether the reader may still read just this.
    """

    def __init__(
        self, request: web.Request, feed: InboxFeed, room: Room, listener: Listener, still: Still
    ) -> None:
        self._request = request
        self._feed = feed
        self._room = room
        self._listener = listener
        self._still = still
        self._looking: asyncio.Task[None] | None = None
        self._refused = False
        self._looked_at = time.monotonic()
        self._response = web.StreamResponse(headers=live_stream.HEADERS)

    @property
    def left(self) -> bool:
        """Whether the reader is gone."""
        return self._request.transport is None

    def stir(self) -> None:
        """Let it look whether its reader is there."""
        self._listener.stir()

    async def pour(self, after: int | None) -> web.StreamResponse:
        """Write what came behind *after*, and what comes, until somebody ends it."""
        reason = "left"
        try:
            await self._begin(after)
            reason = await self._go_on()
        except TimeoutError:
            reason = "slow"
            cut_off(self._request, self._response)
        except (BusUnavailableError, StoreUnavailableError):
            reason = "lost"
        except ConnectionError:
            pass
        finally:
            if self._looking is not None:
                self._looking.cancel()
        metrics.INBOX_STREAMS_ENDED.labels(reason).inc()
        return self._response

    async def _begin(self, after: int | None) -> None:
        listener = self._listener
        ready = event("ready", Ready(place=listener.joined_at))
        await self._write(b"retry: 2000\n" + ready)
        if after is not None and not await self._feed.missed(self._room, listener, after):
            await self._write(event("reset", Reset(reason="gap")))
        await self._write(listener.take() + b"id: %d\n\n" % listener.joined_at)

    async def _go_on(self) -> str:
        loop = asyncio.get_running_loop()
        beat = loop.time() + live_stream.HEARTBEAT_S
        while True:
            await self._listener.wait(max(beat - loop.time(), 0))
            if self._listener.waits and time.monotonic() - self._looked_at >= LOOK_S:
                await self._refuse_unless_still()
            if self.left or self._refused or self._listener.over:
                return await self._why()
            if told := self._listener.take():
                await self._write(told + b"id: %d\n\n" % self._listener.place)
                await asyncio.sleep(PACE_S)
            if loop.time() >= beat:
                self._look()
                await self._write(self._place() + event("beat", Beat()))
                beat = loop.time() + live_stream.HEARTBEAT_S

    def _place(self) -> bytes:
        if self._listener.waits:  # what waits is not told yet
            return b""
        return b"id: %d\n" % max(self._listener.place, self._feed.reached(self._room))

    async def _why(self) -> str:
        if self.left:
            return "left"
        if not self._refused:
            await self._write(come_back())
            return "lost"
        await self._write(event("reset", Reset(reason="access")))
        return "refused"

    def _look(self) -> None:
        """Look whether the reader may still read, beside telling it: the store may be slow."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._refuse_unless_still())

    async def _refuse_unless_still(self) -> None:
        self._looked_at = time.monotonic()
        if not await self._still():
            self._refused = True
            self._listener.stir()

    async def _write(self, data: bytes) -> None:
        async with asyncio.timeout(live_stream.WRITE_WITHIN_S):
            if not self._response.prepared:
                await self._response.prepare(self._request)
                hold_back(self._request)
            await self._response.write(data)
