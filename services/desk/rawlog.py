"""Finding an accepted webhook as it came, in the streams that keep it for seven days."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import StoredMessage
from libs.common.rawlog import INGEST_ID, InboundWithRaw, RawPart, join
from libs.common.subjects import INBOUND, WEBHOOKS, Stream
from libs.common.tracing import carried as carried_context
from libs.common.tracing import trace_id

READ_AT_ONCE = 32
"""Messages of up to half a megabyte held in memory."""
READ_AT_MOST = 1024
"""Webhooks of one workspace looked through, from the moment the id was made."""
EARLIER = timedelta(seconds=5)
"""Clocks of ingest and server may differ by so much."""
LONGEST_BODY = 20 * 1024 * 1024

_CROCKFORD = {char: value for value, char in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
_ULID_CHARACTERS = 26
_TIME_CHARACTERS = 10
_LATEST_MS = 1 << 48

_part = msgspec.json.Decoder(RawPart)
_envelope = msgspec.json.Decoder(InboundWithRaw)


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted webhook: the joined parts, where they were, when the first was stored.

    `trace_id` is of the W3C trace that it came with or began.
    """

    whole: RawPart
    subject: str
    parts: int
    stored_at: datetime
    trace_id: str = ""


def made_at(ingest_id: str) -> datetime | None:
    """Return when an ingest id was made; None for what is no ingest id.

    Source: github.com/ulid/spec: the first ten characters are milliseconds since 1970.
    """
    if len(ingest_id) != _ULID_CHARACTERS or not set(ingest_id) <= set(_CROCKFORD):
        return None
    value = 0
    for char in ingest_id[:_TIME_CHARACTERS]:
        value = value * 32 + _CROCKFORD[char]
    return datetime.fromtimestamp(value / 1000, UTC) if value < _LATEST_MS // 4 else None


async def find_webhook(bus: Bus, workspace: str, ingest_id: str) -> Webhook | None:
    """Return the webhook, or None when it is not within reach.

    Raises:
        BusUnavailableError: A stream did not answer.
    """
    since = made_at(ingest_id)
    if since is None:
        return None
    with_event = _read(bus, INBOUND, f"in.*.{workspace}.*.*", since)
    async for message in with_event:
        if found := carried(message, ingest_id):
            return found
    return await _in_parts(bus, workspace, ingest_id, since)


async def webhook_at(bus: Bus, workspace: str, sequence: int, ingest_id: str) -> Webhook | None:
    """Return the webhook that travels with the event at a place of INBOUND; None if none does.

    Raises:
        BusUnavailableError: The stream did not answer.
    """
    subject = f"in.*.{workspace}.*.*"
    read = await bus.read(INBOUND, subject, from_sequence=sequence, limit=1)
    return carried(read[0], ingest_id) if read else None


def carried(message: StoredMessage, ingest_id: str) -> Webhook | None:
    """Return the webhook that a message of INBOUND carries, if it is the one of *ingest_id*."""
    raw = _envelope.decode(message.data).raw
    if raw is None or raw.ingest_id != ingest_id:
        return None
    return _webhook((raw,), message)


async def _in_parts(bus: Bus, workspace: str, ingest_id: str, since: datetime) -> Webhook | None:
    found: dict[int, RawPart] = {}
    first: StoredMessage | None = None
    async for message in _read(bus, WEBHOOKS, f"raw.{workspace}.*.*", since):
        if message.headers.get(INGEST_ID, ingest_id) != ingest_id:
            continue
        part = _part.decode(message.data)
        if part.ingest_id != ingest_id:
            continue
        found.setdefault(part.part, part)
        first = first or message
        if 0 in found and len(found) == found[0].parts:
            return _webhook(tuple(found.values()), first)
    return None


async def _read(
    bus: Bus, stream: Stream, subject: str, since: datetime
) -> AsyncIterator[StoredMessage]:
    """Yield what was stored from a moment on, a few messages at a time."""
    start: datetime | None = since - EARLIER
    sequence = 1
    for _ in range(READ_AT_MOST // READ_AT_ONCE):
        read = await bus.read(
            stream, subject, from_sequence=sequence, since=start, limit=READ_AT_ONCE
        )
        for message in read:
            yield message
        if len(read) < READ_AT_ONCE:
            return
        start, sequence = None, read[-1].sequence + 1


def _webhook(parts: tuple[RawPart, ...], first: StoredMessage) -> Webhook:
    return Webhook(
        whole=join(parts),
        subject=first.subject,
        parts=len(parts),
        stored_at=datetime.fromtimestamp(first.stored_at_ns / 1e9, UTC),
        trace_id=trace_id(carried_context(first.headers)),
    )
