"""The accepted webhook as it came, for download, trace and replay.

A small body that brought one event travels with it on INBOUND (`InboundWithRaw`): one message to
store instead of two. Any other lies on WEBHOOKS; it may be larger than one message of the bus, so
it is written in parts, the first of which says everything but the rest of the body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from libs.common.channel import WebhookRequest
from libs.common.events import Inbound

WITH_EVENT_BYTES = 64 * 1024
"""A larger body never travels with its event."""

PART_BYTES = 360 * 1024
"""Bytes of body in one part: 480 KiB in base64, below 512 KiB a message with its headers."""

INGEST_ID = "Relaydesk-Ingest-Id"
"""Header of every message that an accepted webhook caused."""

SPOOLED = "Relaydesk-Spooled"
"""Header of what waited on ingest's disk before the bus took it."""

SECRET_HEADERS = frozenset(
    {"authorization", "cookie", "proxy-authorization", "x-telegram-bot-api-secret-token"}
)
"""Headers that hold a credential, not a signature: left out (I13)."""

HEADER_BYTES = 16 * 1024
"""Characters of headers kept at most; the rest is left out, so that a part stays in its bounds."""


class RawPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of `parts` messages, `part` counted from 0; JSON, with the body's bytes in base64.

    `sliced` tells that a body shared by several accounts was cut down to this account's items, so
    that its signature no longer fits. Everything but `ingest_id`, the counts and `body` is empty
    in later parts.
    """

    ingest_id: str
    part: int = 0
    parts: int = 1
    received_at: datetime | None = None
    method: str = ""
    path: str = ""
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    sliced: bool = False
    body: bytes = b""


class InboundWithRaw(Inbound, frozen=True, kw_only=True):
    """What INBOUND holds of an event that is all its webhook brought; most read `Inbound`."""

    raw: RawPart | None = None


def split(
    request: WebhookRequest, *, ingest_id: str, path: str, sliced: bool = False
) -> tuple[RawPart, ...]:
    """Return *request* as parts, in order."""
    body = request.body
    parts = -(-len(body) // PART_BYTES) or 1
    first = RawPart(
        ingest_id,
        0,
        parts,
        request.received_at,
        request.method,
        path,
        request.query,
        _kept(request.headers),
        sliced,
        body[:PART_BYTES],
    )
    if parts == 1:
        return (first,)
    places = ((part, part * PART_BYTES) for part in range(1, parts))
    rest = (
        RawPart(ingest_id, part, parts, body=body[start : start + PART_BYTES])
        for part, start in places
    )
    return first, *rest


def join(parts: Iterable[RawPart]) -> RawPart:
    """Return the whole webhook as one part, from its parts in any order, repeats allowed.

    Raises:
        LookupError: A part is missing.
    """
    known = {part.part: part for part in parts}
    if 0 not in known or len(known) != known[0].parts:
        raise LookupError("a part of the webhook is missing")
    body = b"".join(known[part].body for part in range(len(known)))
    return msgspec.structs.replace(known[0], parts=1, body=body)


def _kept(headers: Mapping[str, str]) -> Mapping[str, str]:
    size = sum(map(len, headers)) + sum(map(len, headers.values()))
    if size <= HEADER_BYTES and SECRET_HEADERS.isdisjoint(headers):
        return headers
    kept: dict[str, str] = {}
    room = HEADER_BYTES
    for name, value in headers.items():
        room -= len(name) + len(value)
        if room < 0:
            break
        if name not in SECRET_HEADERS:
            kept[name] = value
    return kept
