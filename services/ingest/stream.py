"""A web visitor's event stream (server-sent events), from the stream VISITORS.

The event id is the sequence in VISITORS, so `Last-Event-ID` resumes exactly; without it a page
gets what is stored for its visitor, the last seven days.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from libs.common import subjects
from libs.common.bus.client import Bus
from libs.common.bus.delivery import StoredMessage
from libs.common.ids import derive_id
from services.ingest import metrics
from services.ingest.answers import PLAIN, Refused
from services.ingest.tasks import end
from services.ingest.throttle import Slots

HEARTBEAT_S = 15.0
"""Proxies cut a silent connection after about a minute; a lost page is noticed by this write."""
WRITE_WITHIN_S = 10.0
"""A page that takes nothing for so long is cut off; it resumes where it was."""
EACH_VISITOR = 4
TOTAL = 2000
QUEUE = 32
"""Messages read ahead for a page; beyond that its reader waits."""

_HEADERS = {**PLAIN, "Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
_DIGITS = 19


class Streams:
    """The open event streams of this process."""

    def __init__(self) -> None:
        self._slots = Slots(each=EACH_VISITOR, total=TOTAL)
        self._closing = asyncio.Event()
        metrics.STREAMS.set_function(lambda: self._slots.count)

    def close(self) -> None:
        """End all streams; the pages come back elsewhere."""
        self._closing.set()

    async def serve(
        self, request: web.BaseRequest, bus: Bus, subject: str, *, still: Callable[[], bool]
    ) -> web.StreamResponse:
        """Pour what *subject* holds into the answer until the page leaves or *still* is false.

        Raises:
            Refused: `throttled`: too many streams of this visitor, or at all.
        """
        if self._closing.is_set() or not self._slots.take(subject):
            raise Refused("throttled")
        try:
            response = web.StreamResponse(headers=_HEADERS)
            response.headers["Access-Control-Allow-Origin"] = "*"
            with contextlib.suppress(ConnectionError, TimeoutError):
                await _write(response, request, b"retry: 2000\n\n")
                messages = bus.follow(subjects.VISITORS, subject, from_sequence=_resume_at(request))
                await self._pour(request, response, messages, still)
            return response
        finally:
            self._slots.free(subject)

    async def _pour(
        self,
        request: web.BaseRequest,
        response: web.StreamResponse,
        messages: AsyncIterator[StoredMessage],
        still: Callable[[], bool],
    ) -> None:
        queue: asyncio.Queue[StoredMessage] = asyncio.Queue(QUEUE)
        reader = asyncio.create_task(_read(messages, queue))
        closing = asyncio.create_task(self._closing.wait())
        try:
            while still() and not closing.done() and not reader.done():
                taken = asyncio.create_task(queue.get())
                await asyncio.wait(
                    {taken, closing, reader},
                    timeout=HEARTBEAT_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if taken.done():
                    await _write(response, request, event(taken.result()))
                else:
                    taken.cancel()
                    await _write(response, request, b": still here\n\n")
        finally:
            await end(reader, closing)


def event(message: StoredMessage) -> bytes:
    """Return *message* as one event; its data is JSON, hence without line breaks."""
    return b"id: %d\nevent: message\ndata: %b\n\n" % (
        message.sequence,
        message.data.replace(b"\n", b" ").replace(b"\r", b" "),
    )


def visitor_subject(workspace: str, account: str, visitor: str) -> str:
    """Return where what *visitor* sees is published."""
    return subjects.visitor(workspace, account, derive_id("vis", account, visitor))


async def _read(
    messages: AsyncIterator[StoredMessage], queue: asyncio.Queue[StoredMessage]
) -> None:
    async for message in messages:
        await queue.put(message)


async def _write(response: web.StreamResponse, request: web.BaseRequest, data: bytes) -> None:
    async with asyncio.timeout(WRITE_WITHIN_S):
        if not response.prepared:
            await response.prepare(request)
        await response.write(data)


def _resume_at(request: web.BaseRequest) -> int:
    last = request.headers.get("Last-Event-ID", "")
    return int(last) + 1 if last.isascii() and last.isdigit() and len(last) < _DIGITS else 1
