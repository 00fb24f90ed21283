"""Each kind of WhatsApp item as its event; None means known, with nothing to keep."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import get_args

import msgspec

from libs.common.channels.whatsapp import wire
from libs.common.channels.whatsapp.codes import CODES
from libs.common.channels.whatsapp.content import parts_of, sent_parts_of
from libs.common.channels.whatsapp.people import People
from libs.common.decode import salvage
from libs.common.errors import MalformedPayloadError
from libs.common.events import (
    AccountNoticed,
    ContactChanged,
    DeliveryReported,
    DeliveryStatus,
    IdentityChanged,
    InboundEvent,
    InteractionReceived,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    MessageReceived,
    Profile,
    ReactionChanged,
    Referral,
    ThreadControlChanged,
)
from libs.common.providers.envelope import open_item
from libs.common.providers.normal import (
    Id,
    Reason,
    Scalar,
    facts,
    fingerprint,
    ident,
    key,
    moment,
    text,
    unparsed,
)

_STATUSES = frozenset(get_args(DeliveryStatus))
_OLD_STATUSES = frozenset({"deleted", "warning"})


class Spot(msgspec.Struct, frozen=True):
    """Where an item stands: its bytes, the people beside it, and the body's own time."""

    raw: bytes
    people: People
    sent_at: datetime
    standby: bool

    def at(self, timestamp: Scalar) -> datetime:
        """Return the item's time, else the body's."""
        return moment(timestamp) or self.sent_at

    def key(self, kind: str, *parts: str) -> str:
        """Return a dedup key; a standby copy's never equals the original's."""
        return key(f"standby.{kind}" if self.standby else kind, *parts)

    def unparsed(self, reason: Reason, visitor: str = "", timestamp: Scalar = None) -> InboundEvent:
        """Keep the item as it came."""
        return unparsed(
            self.key("unparsed", fingerprint(self.raw)),
            self.raw,
            reason,
            visitor=visitor,
            occurred_at=self.at(timestamp),
            standby=self.standby,
        )


Build = Callable[[Spot], InboundEvent | None]


def _named(value: Id, what: str) -> str:
    found = ident(value)
    if not found:
        raise MalformedPayloadError(f"no {what}")
    return found


# --- messages ----------------------------------------------------------------------------------


def message(spot: Spot) -> InboundEvent | None:
    """Build the event of an element of `messages`."""
    item = open_item(wire.message, spot.raw)
    if item.type == "request_welcome":  # removed by Meta; carries nothing
        return None
    if item.type == "system":
        return _system(spot, item)
    person = spot.people.visitor(item.from_user_id, item.from_)
    visitor = ident(item.group_id) or _named(person, "sender")
    author = person if item.group_id else ""
    if item.type == "reaction":
        return _reaction(spot, item, item.reaction, visitor, author)
    changed = _changed(spot, item, visitor)
    if changed is not None:
        return changed
    parts = parts_of(item)
    if parts is None:
        return spot.unparsed("unknown_kind", visitor, item.timestamp)
    wamid = ident(item.id) or fingerprint(spot.raw)
    context = item.context or wire.Context()
    return MessageReceived(
        event_id=spot.key("message", wamid),
        visitor=visitor,
        occurred_at=spot.at(item.timestamp),
        standby=spot.standby,
        message_id=wamid,
        parts=parts,
        author=author,
        alias="" if item.group_id else spot.people.alias(item.from_user_id, item.from_),
        profile=spot.people.profile(item.from_user_id, item.from_),
        reply_to=ident(context.id),
        referral=_referral(item.referral),
        forwarded=bool(context.forwarded or context.frequently_forwarded),
    )


def _changed(
    spot: Spot, item: wire.Message | wire.Echo, visitor: str
) -> MessageEdited | MessageDeleted | None:
    """Return an edit or a revocation of an earlier message, in either direction."""
    at = spot.at(item.timestamp)
    own_id = ident(item.id) or fingerprint(spot.raw)
    if item.type == "edit":
        edit = item.edit or wire.Edit()
        return MessageEdited(
            event_id=spot.key("edit", own_id),
            visitor=visitor,
            occurred_at=at,
            standby=spot.standby,
            target=_named(edit.original_message_id, "edited message"),
            parts=sent_parts_of(edit.message or wire.Content()),
        )
    if item.type == "revoke":
        revoke = item.revoke or wire.Revoke()
        return MessageDeleted(
            event_id=spot.key("revoke", own_id),
            visitor=visitor,
            occurred_at=at,
            standby=spot.standby,
            target=_named(revoke.original_message_id, "revoked message"),
        )
    return None


def _reaction(
    spot: Spot,
    item: wire.Message | wire.Echo,
    reaction: wire.ReactionTo | None,
    visitor: str,
    author: str,
) -> InboundEvent:
    reaction = reaction or wire.ReactionTo()
    return ReactionChanged(
        event_id=spot.key("reaction", ident(item.id) or fingerprint(spot.raw)),
        visitor=visitor,
        occurred_at=spot.at(item.timestamp),
        standby=spot.standby,
        target=_named(reaction.message_id, "message reacted to"),
        emoji=text(reaction.emoji),
        author=author,
    )


def _system(spot: Spot, item: wire.Message) -> InboundEvent:
    """A new number or user id is the same person; other system messages are kept as facts."""
    system = item.system or wire.System()
    kind = text(system.type)
    now = ident(system.user_id) or ident(system.wa_id) or ident(system.new_wa_id)
    number = ident(system.new_wa_id) or ident(system.wa_id)
    before = ident(system.previous_user_id) or ident(item.from_user_id) or ident(item.from_)
    event_id = spot.key("system", ident(item.id) or fingerprint(spot.raw))
    at = spot.at(item.timestamp)
    if "_changed_" in kind and now and before and now != before:
        return IdentityChanged(
            event_id=event_id,
            visitor=now,
            occurred_at=at,
            standby=spot.standby,
            alias=number if number != now else "",
            previous=before,
            detail=kind,
            profile=Profile(phone=number) if number else Profile(),
        )
    return InteractionReceived(
        event_id=event_id,
        visitor=_named(item.group_id or item.from_user_id or now or before, "person"),
        occurred_at=at,
        standby=spot.standby,
        kind="system",
        data={"type": kind, "body": text(system.body)},
    )


def _referral(referral: wire.AdReferral | None) -> Referral | None:
    if referral is None:
        return None
    source = text(referral.source_type)
    return Referral(
        source=source,
        ref=text(referral.ref) or text(referral.ctwa_clid),
        ad_id=ident(referral.source_id) if source == "ad" else "",
        headline=text(referral.headline),
        url=text(referral.source_url),
    )


def echo(spot: Spot) -> InboundEvent:
    """Build the event of an element of `message_echoes`.

    From the phone app the content stands in the item itself; a standby echo holds the other
    application's send request.
    """
    item = open_item(wire.echo, spot.raw)
    sent = item.message
    request = sent or wire.SentRequest()
    ends = (item.to_user_id or request.recipient, item.to or request.to)
    person = spot.people.visitor(*ends)
    visitor = ident(item.group_id) or _named(person, "recipient")
    if item.type == "reaction":
        return _reaction(spot, item, item.reaction, visitor, ident(item.from_) or "account")
    changed = _changed(spot, item, visitor)
    if changed is not None:
        return changed
    wamid = ident(item.id) or fingerprint(spot.raw)
    return MessageEchoed(
        event_id=spot.key("echo", wamid),
        visitor=visitor,
        occurred_at=spot.at(item.timestamp),
        standby=spot.standby,
        alias="" if item.group_id else spot.people.alias(*ends),
        message_id=wamid,
        parts=sent_parts_of(sent or item),
    )


# --- receipts and everything else --------------------------------------------------------------


def status(spot: Spot) -> InboundEvent:
    """Build the event of an element of `statuses`; its visitor may be unknown, its target not."""
    item = open_item(wire.status, spot.raw)
    word = text(item.status).lower()
    wamid = _named(item.id, "message")
    if item.recipient_type == "group":
        visitor = ident(item.recipient_id)
    else:
        visitor = spot.people.visitor(item.recipient_user_id, item.recipient_id)
    participant = ident(item.recipient_participant_id) or ident(item.participant_recipient_id)
    event_id = spot.key("status", wamid, word, participant)
    if item.type == "call" or word in _OLD_STATUSES:
        return InteractionReceived(
            event_id=event_id,
            visitor=visitor,
            occurred_at=spot.at(item.timestamp),
            standby=spot.standby,
            kind="call_status" if item.type == "call" else "message_status",
            data={"id": wamid, "status": word},
        )
    if word not in _STATUSES:
        return spot.unparsed("unknown_kind", visitor, item.timestamp)
    code = ident(item.errors[0].code) if item.errors else ""
    return DeliveryReported(
        event_id=event_id,
        visitor=visitor,
        occurred_at=spot.at(item.timestamp),
        standby=spot.standby,
        status=word,  # type: ignore[arg-type]  # one of the literals by the line above
        targets=(wamid,),
        metadata=text(item.biz_opaque_callback_data),
        reason=CODES.reason(code) if word == "failed" else "",
        provider_code=code,
    )


def preference(spot: Spot) -> InboundEvent:
    """Build the event of a consent given or withdrawn."""
    item = open_item(wire.preference, spot.raw)
    visitor = _named(spot.people.visitor(item.user_id, item.wa_id), "person")
    value = text(item.value)
    if value not in {"stop", "resume"}:
        return spot.unparsed("unknown_kind", visitor, item.timestamp)
    return ContactChanged(
        event_id=spot.key("preference", visitor, text(item.category), value, text(item.timestamp)),
        visitor=visitor,
        occurred_at=spot.at(item.timestamp),
        alias=spot.people.alias(item.user_id, item.wa_id),
        change="opt_out" if value == "stop" else "opt_in",
        detail=text(item.category),
        profile=spot.people.profile(item.user_id, item.wa_id),
    )


def user_id_update(spot: Spot) -> InboundEvent:
    """Build the event of a new BSUID, as early-2026 documents describe it."""
    item = open_item(wire.user_id_update, spot.raw)
    change = item.user_id or wire.Succession()
    return IdentityChanged(
        event_id=spot.key("user_id_update", fingerprint(spot.raw)),
        visitor=_named(change.current, "new id"),
        occurred_at=spot.at(item.timestamp),
        previous=_named(change.previous or item.wa_id, "former id"),
        detail=text(item.detail),
    )


def call(spot: Spot) -> InboundEvent:
    """Build the event of a call; its session description is left to the raw body."""
    item = open_item(wire.call, spot.raw)
    by_us = text(item.direction).upper().startswith("BUSINESS")
    ends = (item.to_user_id, item.to) if by_us else (item.from_user_id, item.from_)
    call_id = ident(item.id) or fingerprint(spot.raw)
    return InteractionReceived(
        event_id=spot.key("call", call_id, text(item.event)),
        visitor=_named(spot.people.visitor(*ends), "caller"),
        occurred_at=spot.at(item.timestamp),
        kind="call",
        data=facts(salvage(spot.raw), without=frozenset({"session"})),
    )


def action(spot: Spot) -> InboundEvent:
    """Build the event of an element of `user_actions`, such as a followed link."""
    item = open_item(wire.action, spot.raw)
    contact = spot.people.only()
    visitor = spot.people.visitor(
        item.user_id or contact.user_id, item.wa_id or item.from_ or contact.wa_id
    )
    return InteractionReceived(
        event_id=spot.key("user_action", fingerprint(spot.raw)),
        visitor=_named(visitor, "person"),
        occurred_at=spot.at(item.timestamp),
        kind="user_action",
        data=facts(salvage(spot.raw)),
    )


def error(spot: Spot) -> InboundEvent:
    """Build the event of an error about the number as a whole."""
    return AccountNoticed(
        event_id=spot.key("error", fingerprint(spot.raw)),
        visitor="",
        occurred_at=spot.sent_at,
        kind="error",
        data=facts(salvage(spot.raw)),
    )


def control(spot: Spot, value: bytes) -> InboundEvent:
    """Build the event of a conversation that changed hands."""
    item = open_item(wire.control, value)
    sender = item.sender or wire.Number()
    visitor = spot.people.visitor(sender.user_id, sender.phone_number or sender.wa_id)
    if item.type not in {"control_passed", "control_taken"}:
        return spot.unparsed("unknown_kind", visitor, item.timestamp)
    taken = item.type == "control_taken"
    roles = (item.control_taken if taken else item.control_passed) or wire.Handover()
    return ThreadControlChanged(
        event_id=spot.key("control", fingerprint(spot.raw)),
        visitor=_named(visitor, "person"),
        occurred_at=spot.at(item.timestamp),
        change="taken" if taken else "passed",
        owner=text(roles.new_owner_role),
        previous=text(roles.previous_owner_role),
    )
