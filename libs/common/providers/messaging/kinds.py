"""Each kind of `messaging` item as its event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

import msgspec

from libs.common.errors import MalformedPayloadError
from libs.common.events import (
    AccountNoticed,
    ContactChanged,
    DeliveryReported,
    InboundEvent,
    InteractionReceived,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    MessageReceived,
    ReactionChanged,
    TextPart,
    ThreadControlChanged,
)
from libs.common.providers.messaging import wire
from libs.common.providers.messaging.content import (
    order_parts,
    parts_of,
    postback_parts,
    referral_of,
)
from libs.common.providers.normal import Id, count, facts, fingerprint, ident, key, moment, text

_FACES = {
    "smile": "\U0001f606",
    "angry": "\U0001f620",
    "sad": "\U0001f622",
    "wow": "\U0001f62e",
    "love": "\u2764\ufe0f",
    "like": "\U0001f44d",
    "dislike": "\U0001f44e",
}
_SECRET = frozenset({"authorization_code", "notification_messages_token"})


class Spot(msgspec.Struct, frozen=True):
    """Where an event stands: its raw item, the conversation, and what precedes its dedup key."""

    raw: bytes | msgspec.Raw
    item: wire.Messaging
    visitor: str
    sender: str
    at: datetime
    standby: bool

    def key(self, kind: str, *parts: str) -> str:
        """Return a dedup key; a standby copy's never equals the original's."""
        return key(f"standby.{kind}" if self.standby else kind, *parts)

    def hashed(self) -> str:
        """Return the item's fingerprint, for what has no id of its own."""
        return fingerprint(bytes(self.raw))


def event_of(spot: Spot) -> InboundEvent | None:
    """Return what the item says, None where its kind is not known.

    Raises:
        MalformedPayloadError: The kind is known, but it lacks whom or what it is about.
    """
    message = spot.item.message
    if message is not None:
        return _message(spot, message)
    for name, build in _KINDS.items():
        body = getattr(spot.item, name)
        if body is not None:
            return build(spot, body)
    return None


def _person(spot: Spot) -> str:
    if not spot.visitor:
        raise MalformedPayloadError("nobody to attribute it to")
    return spot.visitor


def _target(mid: Id) -> str:
    target = ident(mid)
    if not target:
        raise MalformedPayloadError("no message named")
    return target


def _message(spot: Spot, message: wire.Message) -> InboundEvent:
    visitor = spot.visitor or _person(spot)
    mid = ident(message.mid)
    if message.is_deleted:
        return MessageDeleted(
            event_id=spot.key("deleted", _target(mid)),
            visitor=visitor,
            occurred_at=spot.at,
            standby=spot.standby,
            target=mid,
        )
    mid = mid or spot.hashed()
    if message.is_echo:
        return MessageEchoed(
            event_id=spot.key("echo", mid),
            visitor=visitor,
            occurred_at=spot.at,
            standby=spot.standby,
            message_id=mid,
            parts=parts_of(message),
            app_id=ident(message.app_id),
            metadata=text(message.metadata),
        )
    return MessageReceived(
        event_id=spot.key("message", mid),
        visitor=visitor,
        occurred_at=spot.at,
        standby=spot.standby,
        message_id=mid,
        parts=parts_of(message),
        reply_to=ident(message.reply_to.mid) if message.reply_to else "",
        referral=referral_of(message.referral) if message.referral else None,
    )


def _postback(spot: Spot, postback: wire.Postback) -> InboundEvent:
    mid = ident(postback.mid) or key(
        "postback", spot.sender, text(postback.payload), text(spot.item.timestamp)
    )
    return MessageReceived(
        event_id=spot.key("message", mid),
        visitor=_person(spot),
        occurred_at=spot.at,
        standby=spot.standby,
        message_id=mid,
        parts=postback_parts(postback),
        referral=referral_of(postback.referral),
    )


def _order(spot: Spot, order: wire.Order) -> InboundEvent:
    mid = spot.hashed()
    return MessageReceived(
        event_id=spot.key("message", mid),
        visitor=_person(spot),
        occurred_at=spot.at,
        standby=spot.standby,
        message_id=mid,
        parts=order_parts(order),
    )


def _reaction(spot: Spot, reaction: wire.Reaction) -> InboundEvent:
    target = _target(reaction.mid)
    action = text(reaction.action)
    word = text(reaction.reaction)
    face = text(reaction.emoji) or _FACES.get(word, word) or "other"
    stamp = text(spot.item.timestamp) or spot.hashed()
    return ReactionChanged(
        event_id=spot.key("reaction", target, spot.sender, action, stamp),
        visitor=_person(spot),
        occurred_at=spot.at,
        standby=spot.standby,
        target=target,
        emoji="" if action == "unreact" else face,
        author=spot.sender if spot.sender != spot.visitor else "",
    )


def _edit(spot: Spot, edit: wire.MessageEdit) -> InboundEvent:
    target = _target(edit.mid)
    version = count(edit.num_edit)
    return MessageEdited(
        event_id=spot.key("edit", target, str(version) if version else spot.hashed()),
        visitor=_person(spot),
        occurred_at=spot.at,
        standby=spot.standby,
        target=target,
        parts=(TextPart(text=text(edit.text)),),
        version=version,
    )


def _receipt(
    status: Literal["read", "delivered"],
) -> Callable[[Spot, wire.Watermark], InboundEvent]:
    def build(spot: Spot, receipt: wire.Watermark) -> InboundEvent:
        watermark = moment(receipt.watermark)
        targets = tuple(filter(None, map(ident, (receipt.mid, *(receipt.mids or ())))))
        if watermark is None and not targets:
            raise MalformedPayloadError("a receipt for nothing")
        stamp = text(receipt.watermark)
        return DeliveryReported(
            event_id=spot.key(status, spot.sender, stamp, *targets),
            visitor=_person(spot),
            occurred_at=moment(spot.item.timestamp) or watermark or spot.at,
            standby=spot.standby,
            status=status,
            targets=targets,
            watermark=watermark,
        )

    return build


def _optin(spot: Spot, optin: wire.OptIn) -> InboundEvent:
    stopped = text(optin.notification_messages_status).upper().startswith("STOP")
    visitor = spot.visitor or (f"user_ref:{ident(optin.user_ref)}" if optin.user_ref else "")
    if not visitor:
        raise MalformedPayloadError("nobody to attribute it to")
    return ContactChanged(
        event_id=spot.key("optin", spot.hashed()),
        visitor=visitor,
        occurred_at=spot.at,
        standby=spot.standby,
        change="opt_out" if stopped else "opt_in",
        detail=" ".join(filter(None, (text(optin.type), text(optin.ref or optin.payload)))),
    )


def _control(
    change: Literal["passed", "taken", "requested"],
) -> Callable[[Spot, wire.Control], InboundEvent]:
    def build(spot: Spot, control: wire.Control) -> InboundEvent:
        return ThreadControlChanged(
            event_id=spot.key("control", spot.hashed()),
            visitor=_person(spot),
            occurred_at=spot.at,
            standby=spot.standby,
            change=change,
            owner=ident(control.new_owner_app_id) or ident(control.requested_owner_app_id),
            previous=ident(control.previous_owner_app_id),
        )

    return build


def _roles(spot: Spot, roles: Any) -> InboundEvent:
    owners = [
        app
        for app, names in (roles.items() if isinstance(roles, dict) else ())
        if isinstance(names, list) and "primary_receiver" in names
    ]
    return ThreadControlChanged(
        event_id=spot.key("control", spot.hashed()),
        visitor="",
        occurred_at=spot.at,
        standby=spot.standby,
        change="roles",
        owner=ident(owners[0]) if owners else "",
    )


def _policy(spot: Spot, policy: Any) -> InboundEvent:
    return AccountNoticed(
        event_id=spot.key("policy", spot.hashed()),
        visitor="",
        occurred_at=spot.at,
        standby=spot.standby,
        kind="policy_enforcement",
        data=facts(policy),
    )


def _referral(spot: Spot, referral: wire.WireReferral) -> InboundEvent:
    data = {"type": text(referral.type)} if referral.type else {}
    return InteractionReceived(
        event_id=spot.key("referral", spot.hashed()),
        visitor=_person(spot),
        occurred_at=spot.at,
        standby=spot.standby,
        kind="referral",
        data=data | facts({"lead": spot.item.lead}),
        referral=referral_of(referral),
    )


def _interaction(kind: str) -> Callable[[Spot, Any], InboundEvent]:
    def build(spot: Spot, value: Any) -> InboundEvent:
        return InteractionReceived(
            event_id=spot.key(kind, spot.hashed()),
            visitor=_person(spot),
            occurred_at=spot.at,
            standby=spot.standby,
            kind=kind,
            data=facts(value, without=_SECRET),
        )

    return build


_KINDS: dict[str, Callable[[Spot, Any], InboundEvent]] = {
    "postback": _postback,
    "reaction": _reaction,
    "message_edit": _edit,
    "read": _receipt("read"),
    "delivery": _receipt("delivered"),
    "referral": _referral,
    "lead": _interaction("lead"),
    "optin": _optin,
    "account_linking": _interaction("account_linking"),
    "pass_thread_control": _control("passed"),
    "take_thread_control": _control("taken"),
    "request_thread_control": _control("requested"),
    "app_roles": _roles,
    "policy_enforcement": _policy,
    "response_feedback": _interaction("response_feedback"),
    "messaging_feedback": _interaction("messaging_feedback"),
    "messaging_customer_information": _interaction("customer_information"),
    "template": _interaction("template"),
    "form": _interaction("form"),
    "order": _order,
    "game_play": _interaction("game_play"),
    "hop_context": _interaction("hop_context"),  # last: it also accompanies the others
}
"""What an item says, by the key beside sender, recipient and timestamp; `message` comes first."""
