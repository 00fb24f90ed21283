"""From a verified request to the messages that have to be stored. Pure: safe in any thread."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import msgspec

from libs.common import subjects
from libs.common.channel import Account, Channel, Parsed, WebhookRequest
from libs.common.errors import MalformedPayloadError
from libs.common.events import Inbound, InboundEvent, Unparsed
from libs.common.ids import derive_id
from libs.common.providers.normal import fingerprint, unparsed
from libs.common.rawlog import INGEST_ID, RawPart, split
from services.ingest.record import Record

MAX_EVENT_BYTES = 512 * 1024
"""An event this large cannot be a message of any channel; it is kept as unparsed."""

MAX_EVENTS = 5_000
"""More events in one body are kept unparsed; no provider sends more than 1,000."""
MAX_NODES = 50_000
"""More objects, lists or elements in one body are not even looked at; 1,000 updates have 15,000."""

_NODES = (b"{", b"[", b"<")
_encoder = msgspec.json.Encoder()
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")
_NO_TRACE = "0" * 32


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one account gets of a verified request.

    `sliced`: the body was cut down to its items. `readable` False: the body is no envelope at all.
    """

    channel: Channel
    account: Account
    request: WebhookRequest
    sliced: bool = False
    readable: bool = True


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the whole request; `new_id` makes ingest ids."""

    received_at: datetime
    path: str
    traceparent: str
    new_id: Callable[[], str]


class Prepared(msgspec.Struct, kw_only=True):
    """The messages to store, and what to count once they are.

    `defects` are exceptions of ours that a parser should not have raised.
    """

    records: list[Record] = []
    events: Counter[str] = msgspec.field(default_factory=Counter)
    ignored: Counter[str] = msgspec.field(default_factory=Counter)
    unparsed: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    defects: list[Exception] = []


def prepare(shares: Sequence[Share], arrival: Arrival) -> Prepared:
    """Parse each share and encode what it says, the raw body first."""
    result = Prepared()
    for share in shares:
        _add(result, share, arrival)
    return result


def crowded(body: bytes) -> bool:
    """Tell whether *body* would cost too much memory and time to parse."""
    return len(body) > MAX_NODES and sum(body.count(node) for node in _NODES) > MAX_NODES


def traceparent(given: str, randomness: bytes) -> str:
    """Return a W3C trace context: a new span of the caller's trace, or of a new one.

    *randomness* is 24 bytes.
    """
    found = _TRACEPARENT.fullmatch(given)
    span = randomness[16:24].hex()
    if found is None or found[1] == _NO_TRACE:
        return f"00-{randomness[:16].hex()}-{span}-01"
    return f"00-{found[1]}-{span}-{found[2]}"


def _add(result: Prepared, share: Share, arrival: Arrival) -> None:
    account, channel = share.account, share.channel.name
    ingest_id = arrival.new_id()
    raw = split(share.request, ingest_id=ingest_id, path=arrival.path, sliced=share.sliced)
    result.records.extend(_raw_records(share, raw, arrival))
    source = f"/{account.workspace}/{channel}/{account.slug}"
    time = arrival.received_at.isoformat()
    events = _events(result, share)
    for event in events:
        data = _encoded(share, arrival, ingest_id, event)
        if data is None:
            event = _unsendable(event)  # noqa: PLW2901 (from here on it is the event)
            data = _encoded(share, arrival, ingest_id, event) or b""
        if type(event) is Unparsed:
            result.unparsed[channel, event.reason] += 1
        msg_id = f"{account.workspace}/{account.slug}/{event.event_id}"
        headers = {
            INGEST_ID: ingest_id,
            "ce-specversion": "1.0",
            "ce-id": msg_id,
            "ce-source": source,
            "ce-type": _type_of(event),
            "ce-time": time,
            "traceparent": arrival.traceparent,
        }
        subject = subjects.inbound(account.workspace, channel, account.slug, event.visitor)
        result.records.append(Record(subject, msg_id, headers, data))
    result.events[channel] += len(events)


def _raw_records(share: Share, parts: Iterable[RawPart], arrival: Arrival) -> Iterable[Record]:
    account = share.account
    subject = subjects.raw(account.workspace, share.channel.name, account.slug)
    for part in parts:
        headers = {INGEST_ID: part.ingest_id, "traceparent": arrival.traceparent}
        yield Record(subject, f"{part.ingest_id}/{part.part}", headers, _encoded_raw(part))


def _encoded_raw(part: RawPart) -> bytes:
    try:
        return _encoder.encode(part)
    except UnicodeEncodeError:  # bytes that are no UTF-8, in a header, the path or the query
        return _encoder.encode(
            msgspec.structs.replace(
                part,
                path=_plain(part.path),
                headers={_plain(k): _plain(v) for k, v in part.headers.items()},
                query={_plain(k): _plain(v) for k, v in part.query.items()},
            )
        )


def _events(result: Prepared, share: Share) -> Sequence[InboundEvent]:
    """Return what the body says; a body that cannot be read is one event that keeps it."""
    parsed = _parsed(result, share)
    if parsed is not None and len(parsed.events) <= MAX_EVENTS:
        if parsed.ignored:
            result.ignored[share.channel.name] += parsed.ignored
        return parsed.events
    body = share.request.body
    kept = unparsed(f"body:{fingerprint(body)}", body, "malformed_item")
    return (msgspec.structs.replace(kept, reason="malformed_body"),)


def _parsed(result: Prepared, share: Share) -> Parsed | None:
    if not share.readable or crowded(share.request.body):
        return None
    try:
        return share.channel.parse(share.account, share.request)
    except MalformedPayloadError:
        return None
    except Exception as error:  # noqa: BLE001 (a signed body is kept, whatever is wrong with us)
        result.defects.append(error)
        return None


def _encoded(share: Share, arrival: Arrival, ingest_id: str, event: InboundEvent) -> bytes | None:
    """Return the envelope, or None when it is too large or holds half a character."""
    envelope = Inbound(
        workspace=share.account.workspace,
        channel=share.channel.name,
        account=share.account.slug,
        ingest_id=ingest_id,
        received_at=arrival.received_at,
        event=event,
    )
    try:
        data = _encoder.encode(envelope)
    except UnicodeEncodeError:
        return None
    return data if len(data) <= MAX_EVENT_BYTES else None


def _unsendable(event: InboundEvent) -> Unparsed:
    return Unparsed(
        event_id=derive_id("unsendable", event.event_id),
        visitor=_plain(event.visitor)[:512],
        occurred_at=event.occurred_at,
        standby=event.standby,
        reason="malformed_item",
    )


_types: dict[type, str] = {}


def _type_of(event: InboundEvent) -> str:
    kind = type(event)
    if kind not in _types:
        _types[kind] = str(kind.__struct_config__.tag)
    return _types[kind]


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
