"""From a verified request to the messages that have to be stored. Pure: safe in any thread."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from libs.common import subjects
from libs.common.channel import Account, Channel, Parsed, WebhookRequest
from libs.common.decode import clipped
from libs.common.errors import MalformedPayloadError
from libs.common.events import InboundEvent, Unparsed
from libs.common.ids import derive_id
from libs.common.items import MAX_ITEMS
from libs.common.providers.normal import fingerprint, unparsed
from libs.common.rawlog import INGEST_ID, WITH_EVENT_BYTES, InboundWithRaw, RawPart, split
from services.ingest.record import Record
from services.ingest.stamps import Stamp

MAX_EVENT_BYTES = 512 * 1024
"""An event this large cannot be a message of any channel; it is kept as unparsed."""

MAX_EVENTS = MAX_ITEMS
"""More events in one body are kept unparsed."""
MAX_NODES = 50_000
"""More objects, lists or elements in one body are not even looked at; 1,000 updates have 15,000."""
MAX_COMMAS = 150_000
"""The same for elements of any kind, where 1,000 updates have 40,000 and their texts some more."""
HEAVY_BYTES = 64 * 1024
HEAVY_NODES = 500
"""What takes more than some ten milliseconds, at up to 40 microseconds an element."""

_NODES = (b"{", b"[", b"<")
_encoder = msgspec.json.Encoder()


class Share(msgspec.Struct, frozen=True):
    """What one account gets of a verified request.

    `sliced`: the body was cut down to its items. `readable` False: the body is no envelope at all.
    """

    channel: Channel
    account: Account
    request: WebhookRequest
    sliced: bool = False
    readable: bool = True


class Arrival(msgspec.Struct, frozen=True):
    """What holds for the whole request, and its trace context."""

    stamp: Stamp
    path: str
    traceparent: str


class Prepared(msgspec.Struct):
    """The messages to store, and what to count once they are, by channel.

    `unparsed` has (channel, reason) for each event that is kept as it came; `defects` are
    exceptions of ours that a parser should not have raised.
    """

    records: list[Record] = []
    events: list[tuple[str, int]] = []
    ignored: list[tuple[str, int]] = []
    unparsed: list[tuple[str, str]] = []
    defects: list[Exception] = []


def prepare(shares: Sequence[Share], arrival: Arrival) -> Prepared:
    """Parse each share and encode what it says; a raw body of its own comes first."""
    result = Prepared()
    ingest_id = arrival.stamp.ingest_id()
    for share in shares:
        _add(result, share, arrival, ingest_id)
        ingest_id = arrival.stamp.another_id() if len(shares) > 1 else ""
    return result


def crowded(body: bytes) -> bool:
    """Tell whether *body* would cost too much memory and time to parse."""
    return len(body) > MAX_NODES and (_nodes(body) > MAX_NODES or body.count(b",") > MAX_COMMAS)


def heavy(body: bytes) -> bool:
    """Tell whether *body* may cost so much time that it would hold up the loop (I11)."""
    if len(body) <= HEAVY_NODES:
        return False
    return len(body) > HEAVY_BYTES or _nodes(body) + body.count(b",") > HEAVY_NODES


def legible(request: WebhookRequest) -> WebhookRequest:
    """Return *request* with a body that can be parsed at a bounded cost.

    That is nearly always the body as it came; where deep nesting makes it crowded, what is too
    deep is cut off, so that it costs its neighbours nothing (I4).

    Raises:
        MalformedPayloadError: It is crowded all the same.
    """
    if not crowded(request.body):
        return request
    body = clipped(request.body)
    if crowded(body):
        raise MalformedPayloadError("too many items")
    return msgspec.structs.replace(request, body=body)


def _nodes(body: bytes) -> int:
    return sum(body.count(node) for node in _NODES)


def _add(result: Prepared, share: Share, arrival: Arrival, ingest_id: str) -> None:
    account, channel = share.account, share.channel.name
    workspace, slug = account.workspace, account.slug
    records = result.records
    trace = arrival.traceparent
    source = f"/{workspace}/{channel}/{slug}"
    events = _events(result, share)
    parts = split(share.request, ingest_id=ingest_id, path=arrival.path, sliced=share.sliced)
    together = None
    if len(events) == 1 and len(share.request.body) <= WITH_EVENT_BYTES:
        together = _encoded(share, arrival, ingest_id, events[0], raw=parts[0])
    if together is None:
        records += _raw_records(parts, subjects.raw(workspace, channel, slug), trace)
    for event in events:
        data = together or _encoded(share, arrival, ingest_id, event)
        if data is None:
            event = _unsendable(event)  # noqa: PLW2901 (from here on it is the event)
            data = _encoded(share, arrival, ingest_id, event) or b""
        if type(event) is Unparsed:
            result.unparsed.append((channel, event.reason))
        msg_id = f"{workspace}/{slug}/{event.event_id}"
        headers = {
            "ce-specversion": "1.0",
            "ce-id": msg_id,
            "ce-source": source,
            "ce-type": _type_of(event),
            "ce-time": arrival.stamp.text,
            "traceparent": trace,
        }
        subject = subjects.inbound(workspace, channel, slug, event.visitor)
        records.append(Record(subject, msg_id, headers, data))
    result.events.append((channel, len(events)))


def _raw_records(parts: Sequence[RawPart], subject: str, trace: str) -> list[Record]:
    return [
        Record(
            subject,
            f"{part.ingest_id}/{part.part}",
            {INGEST_ID: part.ingest_id, "traceparent": trace},
            _encoded_raw(part),
        )
        for part in parts
    ]


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
            result.ignored.append((share.channel.name, parsed.ignored))
        return parsed.events
    body = share.request.body
    # Of a heavy one the bytes are named, not what they say: that would take parsing it after all.
    named = derive_id("raw", body.decode("latin-1")) if heavy(body) else fingerprint(body)
    kept = unparsed(f"body:{named}", body, "malformed_item")
    return (msgspec.structs.replace(kept, reason="malformed_body"),)


def _parsed(result: Prepared, share: Share) -> Parsed | None:
    if not share.readable:
        return None
    try:
        return share.channel.parse(share.account, legible(share.request))
    except MalformedPayloadError:
        return None
    except Exception as error:  # noqa: BLE001 (a signed body is kept, whatever is wrong with us)
        result.defects.append(error)
        return None


def _encoded(
    share: Share,
    arrival: Arrival,
    ingest_id: str,
    event: InboundEvent,
    raw: RawPart | None = None,
) -> bytes | None:
    """Return the envelope, or None when it is too large or holds half a character."""
    envelope = InboundWithRaw(
        workspace=share.account.workspace,
        channel=share.channel.name,
        account=share.account.slug,
        ingest_id=ingest_id,
        received_at=arrival.stamp.at,
        event=event,
        raw=raw,
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
