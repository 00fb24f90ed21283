"""A web visitor's event stream (server-sent events), from the stream VISITORS.

The event id is the sequence in VISITORS, so `Last-Event-ID` resumes exactly; without it a page
gets what is stored for its visitor, the last seven days. Links to files are made while they are
told, and signals come in between.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from aiohttp import web

from libs.common import subjects
from libs.common.bus.client import Bus
from libs.common.bus.delivery import StoredMessage
from libs.common.channels.web.shown import shown
from libs.common.events import MediaPart
from libs.common.files.links import sign
from libs.common.ids import derive_id
from libs.common.stopping import come_back
from services.ingest import metrics
from services.ingest.answers import PLAIN, Refused
from services.ingest.signals import Signals
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

LINK_LIFE = timedelta(days=1)
"""A page that was open for longer is told again when it connects."""

_HEADERS = {**PLAIN, "Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
_DIGITS = 19


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """Whose event stream it is."""

    workspace: str
    account: str
    visitor: str

    @property
    def subject(self) -> str:
        """Where what the visitor sees is published."""
        return visitor_subject(self.workspace, self.account, self.visitor)


class Links:
    """Signs links to the files of a visitor's own conversation.

    Args:
        keys: From `links.link_keys`.
        public_url: Address of the installation; empty: links begin with `/files/`.
        now: The time in UTC.
    """

    def __init__(
        self,
        keys: Sequence[bytes],
        public_url: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._public_url = public_url.rstrip("/")
        self._now = now

    def told(self, workspace: str, data: bytes) -> bytes:
        """Return a stored message of *workspace* as a page is told it."""

        def link(part: MediaPart) -> str:
            expires = self._now() + LINK_LIFE
            path = sign(self._keys, workspace, part.attachment, expires, name=part.name)
            return self._public_url + path

        return shown(data, link)


class Streams:
    """The open event streams of this process."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._signals = Signals()
        self._slots = Slots(each=EACH_VISITOR, total=TOTAL)
        self._closing = asyncio.Event()
        metrics.STREAMS.set_function(lambda: self._slots.count)

    def close(self) -> None:
        """End all streams; the pages come back elsewhere."""
        self._closing.set()

    async def serve(
        self, request: web.BaseRequest, bus: Bus, seat: Seat, *, still: Callable[[], bool]
    ) -> web.StreamResponse:
        """Pour what *seat* may see into the answer until the page leaves or *still* is false.

        Raises:
            Refused: `throttled`: too many streams of this visitor, or at all. `busy`: this
                process ends.
        """
        subject = seat.subject
        if self._closing.is_set():
            raise Refused("busy")
        if not self._slots.take(subject):
            raise Refused("throttled")
        try:
            response = web.StreamResponse(headers=_HEADERS)
            response.headers["Access-Control-Allow-Origin"] = "*"
            with contextlib.suppress(ConnectionError, TimeoutError):
                await _write(response, request, b"retry: 2000\n\n")
                messages = bus.follow(subjects.VISITORS, subject, from_sequence=_resume_at(request))
                queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE)
                account = (seat.workspace, seat.account)
                async with self._signals.heard(bus, account, seat.visitor, _dropping(queue)):
                    reading = self._read(seat.workspace, messages, queue)
                    await self._pour(request, response, reading, queue, still)
            return response
        finally:
            self._slots.free(subject)

    async def _pour(
        self,
        request: web.BaseRequest,
        response: web.StreamResponse,
        reading: Coroutine[None, None, None],
        queue: asyncio.Queue[bytes],
        still: Callable[[], bool],
    ) -> None:
        reader = asyncio.create_task(reading)
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
                    await _write(response, request, taken.result())
                else:
                    taken.cancel()
                    last = come_back() if closing.done() else b": still here\n\n"
                    await _write(response, request, last)
        finally:
            await end(reader, closing)

    async def _read(
        self, workspace: str, messages: AsyncIterator[StoredMessage], queue: asyncio.Queue[bytes]
    ) -> None:
        async for message in messages:
            await queue.put(event(message.sequence, self._links.told(workspace, message.data)))


def event(sequence: int, data: bytes) -> bytes:
    """Return a message as one event; its data is JSON, hence without line breaks."""
    return b"id: %d\nevent: message\ndata: %b\n\n" % (
        sequence,
        data.replace(b"\n", b" ").replace(b"\r", b" "),
    )


def visitor_subject(workspace: str, account: str, visitor: str) -> str:
    """Return where what *visitor* sees is published."""
    return subjects.visitor(workspace, account, derive_id("vis", account, visitor))


def _dropping(queue: asyncio.Queue[bytes]) -> Callable[[bytes], None]:
    """Return what puts a signal in, or drops it where messages wait."""

    def tell(data: bytes) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            queue.put_nowait(data)

    return tell


async def _write(response: web.StreamResponse, request: web.BaseRequest, data: bytes) -> None:
    async with asyncio.timeout(WRITE_WITHIN_S):
        if not response.prepared:
            await response.prepare(request)
        await response.write(data)


def _resume_at(request: web.BaseRequest) -> int:
    last = request.headers.get("Last-Event-ID", "")
    return int(last) + 1 if last.isascii() and last.isdigit() and len(last) < _DIGITS else 1
