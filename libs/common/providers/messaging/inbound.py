"""From an entry's `messaging` and `standby` items to events."""

from __future__ import annotations

import msgspec

from libs.common.errors import MalformedPayloadError
from libs.common.events import InboundEvent, Unparsed
from libs.common.providers.envelope import Entry, Lost, open_item
from libs.common.providers.messaging import wire
from libs.common.providers.messaging.kinds import Spot, event_of
from libs.common.providers.normal import Reason, fingerprint, ident, key, moment, unparsed


def events_of(entry: Entry, external_id: str) -> list[InboundEvent]:
    """Return what an entry of the page or professional account *external_id* says, in its order."""
    events = [event_of_item(external_id, entry, raw) for raw in entry.messaging or ()]
    if entry.standby:
        events += [event_of_item(external_id, entry, raw, standby=True) for raw in entry.standby]
    return events


def event_of_item(
    external_id: str, entry: Entry, raw: msgspec.Raw, *, standby: bool = False
) -> InboundEvent:
    """Return what one item says; what cannot be read is kept as it came."""
    visitor, at = "", entry.at
    reason: Reason = "unknown_kind"
    try:
        item = open_item(wire.messaging, raw)
        sender = _party(item.sender)
        visitor = _party(item.recipient) if sender == external_id else sender
        at = moment(item.timestamp) or at
        event = event_of(Spot(raw, item, visitor, sender, at, standby))
        if event is not None:
            return event
    except MalformedPayloadError:
        reason = "malformed_item"
    whole = bytes(raw)
    event_id = key("standby.unparsed" if standby else "unparsed", fingerprint(whole))
    return unparsed(event_id, whole, reason, visitor=visitor, occurred_at=at, standby=standby)


def unread(lost: Lost) -> Unparsed:
    """Keep an entry's key that could not be read."""
    reason: Reason = "malformed_item" if lost.name else "unknown_kind"
    event_id = key("unparsed", fingerprint(lost.raw), lost.name)
    return unparsed(event_id, lost.raw, reason, occurred_at=lost.at)


def kept(entry: Entry, raw: bytes, reason: Reason) -> Unparsed:
    """Keep one item as it came."""
    return unparsed(key("unparsed", fingerprint(raw)), raw, reason, occurred_at=entry.at)


def _party(party: wire.Party | None) -> str:
    if party is None:
        return ""
    if party.id is None and party.user_ref is not None:
        return f"user_ref:{ident(party.user_ref)}"
    return ident(party.id)
