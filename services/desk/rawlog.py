"""Finding an accepted webhook as it came, in the stream that keeps it for seven days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from libs.common.bus.client import Bus
from libs.common.rawlog import INGEST_ID, RawPart, join
from libs.common.subjects import WEBHOOKS

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


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted webhook: the joined parts, where they were, when the first was stored."""

    whole: RawPart
    subject: str
    parts: int
    stored_at: datetime


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
        BusUnavailableError: The stream did not answer.
    """
    since = made_at(ingest_id)
    if since is None:
        return None
    found: dict[int, RawPart] = {}
    first: tuple[str, int] | None = None
    subject = f"raw.{workspace}.*.*"
    start: datetime | None = since - EARLIER
    sequence = 1
    for _ in range(READ_AT_MOST // READ_AT_ONCE):
        read = await bus.read(
            WEBHOOKS, subject, from_sequence=sequence, since=start, limit=READ_AT_ONCE
        )
        for message in read:
            if message.headers.get(INGEST_ID, ingest_id) != ingest_id:
                continue
            part = _part.decode(message.data)
            if part.ingest_id == ingest_id:
                found.setdefault(part.part, part)
                first = first or (message.subject, message.stored_at_ns)
        if first and 0 in found and len(found) == found[0].parts:
            return Webhook(
                whole=join(found.values()),
                subject=first[0],
                parts=len(found),
                stored_at=datetime.fromtimestamp(first[1] / 1e9, UTC),
            )
        if len(read) < READ_AT_ONCE:
            return None
        start, sequence = None, read[-1].sequence + 1
    return None
