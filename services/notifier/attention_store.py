"""The document of what a session's agents wait for: read, armed, written, and its alerts told.

The timer is armed before the write, the alerts are published after it, and what brought it about is
settled only then. So whoever dies in between, what is armed is never later than what is written,
and what is written is told: by the repeat, or by who writes next. What was told already the stream
drops as a repeat; of what is so old that it would not, the stream is read first.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import msgspec

from libs.common import subjects, timers
from libs.common.alerts import ATTENTION, Alert, Attention, Sink
from libs.common.bus.delivery import PubAck, StoredMessage
from libs.common.errors import StaleRevisionError, UniqueConflictError
from libs.common.events import Timer
from libs.common.store.api import Store
from libs.common.subjects import ALERTS, Stream
from services.notifier import attention_metrics as metrics

APART = "att"
"""Kind of the ids of documents that are about no session."""
REPEATABLE = timedelta(seconds=540)
"""So long the stream knows a repeat, and some time to spare."""
LATE = timedelta(days=1)
"""What was written longer ago is told nobody any more."""
SKEW = timedelta(minutes=1)
"""The stream's clock and ours differ by less."""
_PAGE = 500
_NEVER_STALE: frozenset[Sink] = frozenset({"email", "webhook"})
"""What is told late rather than never; a page or a phone has no use for what has expired."""
SOON = timedelta(seconds=0.3)
"""A write takes no longer, else the timer is armed once more after it."""
REMEMBERED = 50_000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Alert).decode


class Place(NamedTuple):
    """Which document: of a session (its id), or of something else under a derived id."""

    workspace: str
    id: str
    is_session: bool = True


class Publishes(Protocol):
    """What is needed of the bus."""

    def publish_soon(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[PubAck]:
        """See `Bus.publish_soon`."""
        ...

    async def read(
        self,
        stream: Stream,
        subject: str,
        *,
        from_sequence: int = 1,
        limit: int = 100,
        since: datetime | None = None,
    ) -> list[StoredMessage]:
        """See `Bus.read`."""
        ...


class Record:
    """Reads and writes the documents, and tells what they say.

    Args:
        store: Has `ATTENTION` open.
        bus: Where timers and alerts go.
        now: UTC.
    """

    def __init__(self, store: Store, bus: Publishes, now: Callable[[], datetime]) -> None:
        self._store = store
        self._bus = bus
        self._now = now
        self._told: OrderedDict[tuple[str, str], int] = OrderedDict()
        """By document, the revision whose alerts are certainly on the stream."""

    async def read(self, place: Place) -> Attention | None:
        """Return the document as it is."""
        return await self._store.get(ATTENTION, place.workspace, place.id)

    async def arm(self, place: Place, due: datetime) -> datetime:
        """Arm its timer for *due*, or in a moment; return for when.

        Raises:
            BusUnavailableError: It is perhaps not armed.
        """
        at = max(due, self._now() + SOON)
        timer = Timer(
            kind="attention",
            workspace=place.workspace,
            session=place.id if place.is_session else "",
            ref="" if place.is_session else place.id,
            due=at,
        )
        subject, data, headers = timers.message(timer)
        await self._bus.publish_soon(subject, data, msg_id="", headers=headers)
        return at

    async def write(self, place: Place, after: Attention, armed: datetime | None) -> bool:
        """Write *after*, whose timer was just *armed* (None: it stood); False: lost a race.

        Raises:
            BusUnavailableError: It is written, and its timer perhaps gone off before.
            StoreUnavailableError: It is written or not.
        """
        try:
            if after.rev:
                written = await self._store.replace(ATTENTION, after)
            else:
                written = await self._store.insert(ATTENTION, after)
        except (StaleRevisionError, UniqueConflictError):
            metrics.RACES.inc()
            return False
        if armed is not None and self._now() >= armed - SOON / 3:
            await self.arm(place, armed)
        await self.tell(written)
        return True

    async def tell(self, doc: Attention) -> None:
        """Publish what *doc* tells, unless that was certainly done.

        Raises:
            BusUnavailableError: Not all of it is confirmed.
        """
        key = (doc.workspace, doc.id)
        if not doc.outbox or self._told.get(key, 0) >= doc.rev:
            return
        old = self._now() - doc.updated_at > REPEATABLE
        await self._publish(await self._untold(doc) if old else doc.outbox)
        self._told[key] = doc.rev
        self._told.move_to_end(key)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    async def _untold(self, doc: Attention) -> list[tuple[Sink, Alert]]:
        """Return what of it still counts, and is not there, where the stream knows no repeats."""
        now = self._now()
        if now - doc.updated_at > LATE:
            return []
        left = [
            (sink, alert)
            for sink, alert in doc.outbox
            if sink in _NEVER_STALE or alert.expires_at > now
        ]
        return [one for one in left if not await self._is_there(*one, doc.updated_at - SKEW)]

    async def _is_there(self, sink: Sink, alert: Alert, since: datetime) -> bool:
        subject = subjects.alert(sink, alert.workspace, alert.agent)
        found = await self._bus.read(ALERTS, subject, since=since, limit=_PAGE)
        while found:
            for message in found:
                one = _decode(message.data)
                if (one.id, one.n) == (alert.id, alert.n):
                    return True
            if len(found) < _PAGE:
                break
            after = found[-1].sequence + 1
            found = await self._bus.read(ALERTS, subject, from_sequence=after, limit=_PAGE)
        return False

    async def _publish(self, outbox: Sequence[tuple[Sink, Alert]]) -> None:
        said = [
            self._bus.publish_soon(
                subjects.alert(sink, alert.workspace, alert.agent),
                _encode(alert),
                msg_id=f"{alert.id}:{alert.n}:{sink}",
            )
            for sink, alert in outbox
        ]
        found = await asyncio.gather(*said, return_exceptions=True)
        for (sink, alert), ack in zip(outbox, found, strict=True):
            if isinstance(ack, BaseException):
                raise ack
            if not ack.duplicate:
                metrics.PUBLISHED.labels(sink, alert.kind).inc()
