"""From a verified body to Instagram's events."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from libs.common.channel import Account, Parsed, WebhookRequest
from libs.common.decode import salvage
from libs.common.errors import MalformedPayloadError
from libs.common.events import InboundEvent, InteractionReceived
from libs.common.providers.envelope import Change, Entry, open_change, open_item, read, same
from libs.common.providers.messaging.inbound import events_of, kept, unread
from libs.common.providers.normal import Id, facts, fingerprint, ident, key

_COMMENTS = frozenset({"comments", "live_comments"})


class Author(msgspec.Struct):
    """Who commented."""

    id: Id = None


class Comment(msgspec.Struct):
    """Of a comment's change only what names it; the rest is kept as facts."""

    id: Id = None
    from_: Author = msgspec.field(default_factory=Author, name="from")


_comment = msgspec.json.Decoder(Comment)


def parse(account: Account, request: WebhookRequest) -> Parsed:
    """Turn one verified body into events of one professional account, keeping Meta's order.

    Raises:
        MalformedPayloadError: Not even leniently a webhook of the Meta family.
    """
    envelope = read(request.body)
    if envelope.object != "instagram":
        return Parsed()
    events: list[InboundEvent] = []
    for entry in envelope.entries:
        if same(entry.id, account.external_id):
            events += events_of(entry, account.external_id)
            events += _changes(entry)
    events += [unread(lost) for lost in envelope.lost if same(lost.id, account.external_id)]
    return Parsed(events=tuple(events))


def _changes(entry: Entry) -> Iterator[InboundEvent]:
    for raw in entry.changes or ():
        change = open_change(raw)
        try:
            event = _change(entry, bytes(raw), change)
        except MalformedPayloadError:
            event = kept(entry, bytes(raw), "malformed_item")
        yield event


def _change(entry: Entry, raw: bytes, change: Change) -> InboundEvent:
    if change.field not in _COMMENTS:
        return kept(entry, raw, "unknown_kind" if change.field else "malformed_item")
    comment = open_item(_comment, change.value)
    visitor = ident(comment.from_.id)
    if not visitor:
        raise MalformedPayloadError("nobody to attribute it to")
    return InteractionReceived(
        event_id=key("comment", ident(comment.id) or fingerprint(raw)),
        visitor=visitor,
        occurred_at=entry.at,
        kind="comment",
        data=facts(salvage(bytes(change.value))),
    )
