"""From a verified body to Messenger's events."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from libs.common.channel import Account, Parsed, WebhookRequest
from libs.common.channels.messenger import wire
from libs.common.channels.messenger.kinds import Spot, event_of
from libs.common.decode import salvage
from libs.common.errors import MalformedPayloadError
from libs.common.events import AccountNoticed, InboundEvent, InteractionReceived, Unparsed
from libs.common.providers.envelope import Change, Entry, Lost, open_change, open_item, read, same
from libs.common.providers.meta import COMMENT_FIELDS
from libs.common.providers.normal import Reason, facts, fingerprint, ident, key, moment, unparsed

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
            events += _entry(account, entry)
    for lost in envelope.lost:
        if lost.name != "changes" and same(lost.id, account.external_id):
            events.append(_unread(lost))
    return Parsed(events=tuple(events))


def _entry(account: Account, entry: Entry) -> list[InboundEvent]:
    events = [_event(account, entry, raw, standby=False) for raw in entry.messaging or ()]
    if entry.standby:
        events += [_event(account, entry, raw, standby=True) for raw in entry.standby]
    if entry.changes:
        events += _changes(entry)
    return events


def _event(account: Account, entry: Entry, raw: msgspec.Raw, *, standby: bool) -> InboundEvent:
    visitor, at = "", entry.at
    reason: Reason = "unknown_kind"
    try:
        item = open_item(wire.messaging, raw)
        sender = _party(item.sender)
        visitor = _party(item.recipient) if sender == account.external_id else sender
        at = moment(item.timestamp) or at
        event = event_of(Spot(raw, item, visitor, sender, at, standby))
        if event is not None:
            return event
    except MalformedPayloadError:
        reason = "malformed_item"
    kept = bytes(raw)
    event_id = key("standby.unparsed" if standby else "unparsed", fingerprint(kept))
    return unparsed(event_id, kept, reason, visitor=visitor, occurred_at=at, standby=standby)


def _party(party: wire.Party | None) -> str:
    if party is None:
        return ""
    if party.id is None and party.user_ref is not None:
        return f"user_ref:{ident(party.user_ref)}"
    return ident(party.id)


def _changes(entry: Entry) -> Iterator[InboundEvent]:
    """Yield the page's `changes` that are no comments: news of the account, labels."""
    for raw in entry.changes or ():
        change = open_change(raw)
        if change.field in COMMENT_FIELDS:
            continue
        kept = bytes(raw)
        try:
            event = _change(entry, kept, change)
        except MalformedPayloadError:
            event = _kept(entry, kept, "malformed_item")
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
    return _kept(entry, raw, "unknown_kind" if change.field else "malformed_item")


def _unread(lost: Lost) -> Unparsed:
    reason: Reason = "malformed_item" if lost.name else "unknown_kind"
    event_id = key("unparsed", fingerprint(lost.raw), lost.name)
    return unparsed(event_id, lost.raw, reason, occurred_at=lost.at)


def _kept(entry: Entry, raw: bytes, reason: Reason) -> Unparsed:
    event_id = key("unparsed", fingerprint(raw))
    return unparsed(event_id, raw, reason, occurred_at=entry.at)
