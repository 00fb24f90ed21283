"""From a verified body to Messenger's events."""

from __future__ import annotations

from collections.abc import Iterator

from libs.common.channel import Account, Parsed, WebhookRequest
from libs.common.decode import salvage
from libs.common.errors import MalformedPayloadError
from libs.common.events import AccountNoticed, InboundEvent, InteractionReceived
from libs.common.providers.envelope import Change, Entry, open_change, open_item, read, same
from libs.common.providers.messaging import wire
from libs.common.providers.messaging.inbound import events_of, kept, unread
from libs.common.providers.meta import COMMENT_FIELDS
from libs.common.providers.normal import facts, fingerprint, ident, key

_NOTICES = frozenset({"messenger_template_status_update"})
"""Changes of a page that are news about the account."""


def parse(account: Account, request: WebhookRequest) -> Parsed:
    """Turn one verified body into events of one page, keeping Meta's order.

    Raises:
        MalformedPayloadError: Not even leniently a webhook of the Meta family.
    """
    envelope = read(request.body)
    if envelope.object != "page":
        return Parsed()
    events: list[InboundEvent] = []
    for entry in envelope.entries:
        if same(entry.id, account.external_id):
            events += events_of(entry, account.external_id)
            events += _changes(entry) if entry.changes else ()
    for lost in envelope.lost:
        if lost.name != "changes" and same(lost.id, account.external_id):
            events.append(unread(lost))
    return Parsed(events=tuple(events))


def _changes(entry: Entry) -> Iterator[InboundEvent]:
    """Yield the page's `changes` that are no comments: news of the account, labels."""
    for raw in entry.changes or ():
        change = open_change(raw)
        if change.field in COMMENT_FIELDS:
            continue
        whole = bytes(raw)
        try:
            event = _change(entry, whole, change)
        except MalformedPayloadError:
            event = kept(entry, whole, "malformed_item")
        yield event


def _change(entry: Entry, raw: bytes, change: Change) -> InboundEvent:
    event_id = key(change.field, fingerprint(raw))
    if change.field in _NOTICES:
        return AccountNoticed(
            event_id=event_id,
            visitor="",
            occurred_at=entry.at,
            kind=change.field,
            data=facts(salvage(bytes(change.value))),
        )
    if change.field == "inbox_labels":
        return InteractionReceived(
            event_id=event_id,
            visitor=ident(open_item(wire.label, change.value).user.id),
            occurred_at=entry.at,
            kind=change.field,
            data=facts(salvage(bytes(change.value))),
        )
    return kept(entry, raw, "unknown_kind" if change.field else "malformed_item")
