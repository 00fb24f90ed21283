"""From a verified body to Instagram's events."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from libs.common.channel import Account, Parsed, WebhookRequest
from libs.common.decode import salvage
from libs.common.errors import MalformedPayloadError
from libs.common.events import InboundEvent, InteractionReceived
from libs.common.providers.envelope import Change, Entry, open_change, open_item, read, same
from libs.common.providers.messaging.inbound import event_of_item, events_of, kept, unread
from libs.common.providers.normal import Id, facts, fingerprint, ident, key

_COMMENTS = frozenset({"comments", "live_comments"})
_ITEMS = frozenset(
    {
        "messages", "message_reactions", "message_edit", "messaging_handover", "messaging_optins",
        "messaging_postbacks", "messaging_referral", "messaging_seen", "standby",
    }
)  # fmt: skip
"""Fields whose value is a messaging item. Source: Webhooks reference, Instagram (read 2026-09)."""


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

    The account's own comments are known and only counted.

    Raises:
        MalformedPayloadError: Not even leniently a webhook of the Meta family.
    """
    envelope = read(request.body)
    if envelope.object != "instagram":
        return Parsed()
    found: list[InboundEvent | None] = []
    for entry in envelope.entries:
        if same(entry.id, account.external_id):
            found += events_of(entry, account.external_id)
            found += _changes(account.external_id, entry)
    found += [unread(lost) for lost in envelope.lost if same(lost.id, account.external_id)]
    events = tuple(event for event in found if event is not None)
    return Parsed(events=events, ignored=found.count(None))


def _changes(external_id: str, entry: Entry) -> Iterator[InboundEvent | None]:
    for raw in entry.changes or ():
        change = open_change(raw)
        event: InboundEvent | None
        try:
            event = _change(external_id, entry, bytes(raw), change)
        except MalformedPayloadError:
            event = kept(entry, bytes(raw), "malformed_item")
        yield event


def _change(external_id: str, entry: Entry, raw: bytes, change: Change) -> InboundEvent | None:
    if change.field in _ITEMS:
        return event_of_item(external_id, entry, change.value, standby=change.field == "standby")
    if change.field not in _COMMENTS:
        return kept(entry, raw, "unknown_kind" if change.field else "malformed_item")
    comment = open_item(_comment, change.value)
    visitor = ident(comment.from_.id)
    if not visitor:
        raise MalformedPayloadError("nobody to attribute it to")
    if visitor == external_id:
        return None
    return InteractionReceived(
        event_id=key("comment", ident(comment.id) or fingerprint(raw)),
        visitor=visitor,
        occurred_at=entry.at,
        kind="comment",
        data=facts(salvage(bytes(change.value))),
    )
