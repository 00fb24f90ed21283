"""Read accepted webhooks again, by the adapters as they are now: for what they could not read."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import StoredMessage
from libs.common.channel import WebhookRequest
from libs.common.channels import CHANNELS
from libs.common.directory import Directory
from libs.common.events import Inbound, Unparsed
from libs.common.rawlog import RawPart, join
from libs.common.subjects import INBOUND, WEBHOOKS, Stream
from services.router.entry import Arrival
from services.router.replay_source import Item

log = logging.getLogger(__name__)

PAGE = 200
_part = msgspec.json.Decoder(RawPart)


class _Carried(msgspec.Struct):
    """As much of `InboundWithRaw` as finds the webhook."""

    raw: RawPart | None = None


_carried = msgspec.json.Decoder(_Carried)


async def read_again(
    bus: Bus, directory: Directory, account: str, since: datetime | None, until: datetime
) -> AsyncIterator[Item]:
    """Yield the events that the accepted bodies of *account* (empty: of all) hold.

    What is still unreadable is left out: it is kept as it came already.
    """
    slug = account or "*"
    waiting: dict[str, dict[int, RawPart]] = {}
    for stream, subject in ((WEBHOOKS, f"raw.*.*.{slug}"), (INBOUND, f"in.*.*.*.{slug}")):
        async for message in _read(bus, stream, subject, since):
            at = datetime.fromtimestamp(message.stored_at_ns / 1e9, UTC)
            whole = _whole(stream, message, waiting)
            if whole is not None and at <= until:
                slug_of = message.subject.rsplit(".", 1)[1]
                for arrival in _events(directory, slug_of, whole, message.sequence, at):
                    yield Item(at=at, arrival=arrival)


async def _read(
    bus: Bus, stream: Stream, subject: str, since: datetime | None
) -> AsyncIterator[StoredMessage]:
    place, last = await bus.bounds_of(stream)
    while place <= last:
        page = await bus.read(stream, subject, from_sequence=place, limit=PAGE, since=since)
        since = None
        for message in page:
            yield message
        if len(page) < PAGE:
            return
        place = page[-1].sequence + 1


def _whole(
    stream: Stream, message: StoredMessage, waiting: dict[str, dict[int, RawPart]]
) -> RawPart | None:
    """Return the webhook that *message* completes, if it does."""
    try:
        if stream is INBOUND:
            return _carried.decode(message.data).raw
        part = _part.decode(message.data)
        parts = waiting.setdefault(part.ingest_id, {})
        parts[part.part] = part
        if 0 not in parts or len(parts) < parts[0].parts:
            return None
        return join(waiting.pop(part.ingest_id).values())
    except (ValueError, RecursionError):
        return None


def _events(
    directory: Directory, slug: str, raw: RawPart, sequence: int, at: datetime
) -> Iterator[Arrival]:
    account = directory.known(slug)
    channel = CHANNELS.get(account.channel) if account is not None else None
    if account is None or channel is None:
        return
    request = WebhookRequest(
        method=raw.method, headers=dict(raw.headers), query=dict(raw.query), body=raw.body
    )
    try:
        events = channel.parse(account, request).events
    except Exception:  # the boundary: as at the time, a body may be none
        log.warning("replay.unreadable", extra={"ingest": raw.ingest_id}, exc_info=True)
        return
    for event in events:
        if isinstance(event, Unparsed):
            continue
        inbound = Inbound(
            workspace=account.workspace,
            channel=account.channel,
            account=slug,
            ingest_id=raw.ingest_id,
            received_at=raw.received_at or at,
            event=event,
        )
        yield Arrival(inbound=inbound, sequence=sequence)
