"""LINE's webhooks: prove where they come from, and say what happened in our words.

Source: LINE Messaging API reference, "Webhooks" and "Webhook event objects", read 2026-10.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from datetime import datetime
from typing import TypedDict

import msgspec

from libs.common.channel import Account, Parsed, WebhookRequest
from libs.common.channels.line.content import parts_of
from libs.common.channels.line.wire import Callback, Event, Head, Source
from libs.common.errors import BadSignatureError, MalformedPayloadError
from libs.common.events import (
    AccountNoticed,
    ActionPart,
    ContactChange,
    ContactChanged,
    DeliveryReported,
    InboundEvent,
    InteractionReceived,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ThreadControlChanged,
    Unparsed,
)
from libs.common.items import UnknownKindError, decode_leniently, limited_to_items, needed
from libs.common.providers.normal import EPOCH, fingerprint, key, moment, unparsed

_CALLBACK = msgspec.json.Decoder(Callback, strict=False)
_EVENT = msgspec.json.Decoder(Event, strict=False)
_HEAD = msgspec.json.Decoder(Head, strict=False)


def verify(account: Account, request: WebhookRequest) -> None:
    """Return only if LINE signed exactly these bytes; call it before decoding them.

    The signature is base64(HMAC-SHA256(channel secret, raw body)). Reissuing the secret makes the
    old one invalid at once, so `channel_secret_previous` is accepted beside it during a rollover.

    Raises:
        BadSignatureError: Header absent or wrong, or the account has no secret.

    Source: LINE Messaging API reference, "Verify webhook signature".
    """
    secrets = [account.secret("channel_secret")]
    previous = account.secrets.get("channel_secret_previous", "")
    if previous:
        secrets.append(previous)
    given = request.headers.get("x-line-signature", "").encode(errors="surrogatepass")
    proven = [hmac.compare_digest(_signature(secret, request.body), given) for secret in secrets]
    if not any(proven):
        raise BadSignatureError("x-line-signature does not match the body")


def parse(account: Account, request: WebhookRequest) -> Parsed:
    """Turn one webhook body into gateway events, one for each of LINE's, in its order.

    A body addressed to another bot (`destination`) says nothing about this account.

    Raises:
        MalformedPayloadError: The body is not LINE's envelope at all, or has too many events.
    """
    callback = decode_leniently(_CALLBACK, request.body)
    limited_to_items(callback.events)
    known = account.external_id
    if known and callback.destination and callback.destination != known:
        return Parsed(ignored=len(callback.events))
    return Parsed(events=tuple(_translate(bytes(raw)) for raw in callback.events))


class _Common(TypedDict):
    event_id: str
    visitor: str
    occurred_at: datetime
    standby: bool


def _signature(secret: str, body: bytes) -> bytes:
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256"))


def _translate(raw: bytes) -> InboundEvent:
    try:
        event = decode_leniently(_EVENT, raw)
        return _KINDS.get(event.type, _unknown)(event)
    except UnknownKindError:
        return _kept(raw, unknown=True)
    except MalformedPayloadError:
        return _kept(raw, unknown=False)


def _kept(raw: bytes, *, unknown: bool) -> Unparsed:
    try:
        head = decode_leniently(_HEAD, raw)
    except MalformedPayloadError:
        head = Head(type="")
    known = not unknown and head.type in {"", *_KINDS}
    return unparsed(
        key("unparsed", str(head.webhook_event_id) or fingerprint(raw)),
        raw,
        "malformed_item" if known else "unknown_kind",
        visitor=(head.source or Source()).key,
        occurred_at=moment(head.timestamp) or EPOCH,
        standby=head.mode == "standby",
    )


def _unknown(_event: Event) -> InboundEvent:
    raise UnknownKindError("unknown event type")


def _about_account(event: Event) -> _Common:
    source = event.source or Source()
    return _Common(
        event_id=_key(event, source),
        visitor=source.key,
        occurred_at=moment(event.timestamp) or EPOCH,
        standby=event.mode == "standby",
    )


def _key(event: Event, source: Source) -> str:
    """Return LINE's own event id; a message has another, and the rest who, what and when."""
    if event.webhook_event_id:
        return key("event", str(event.webhook_event_id))
    if event.type == "message" and event.message and event.message.id:
        return key("message", str(event.message.id))
    return key("event", f"{event.type}:{source.key}:{event.timestamp}")


def _common(event: Event) -> _Common:
    common = _about_account(event)
    if not common["visitor"]:
        raise MalformedPayloadError("no source")
    return common


def _message(event: Event) -> InboundEvent:
    message = needed(event.message)
    common = _common(event)
    return MessageReceived(
        **common,
        message_id=str(message.id) or common["event_id"],
        parts=parts_of(message),
        author=needed(event.source).author,
        reply_to=str(message.quoted_message_id),
        reply_token=event.reply_token,
        read_token=message.mark_as_read_token,
        quote_token=message.quote_token,
    )


def _edited(event: Event) -> InboundEvent:
    message = needed(event.message)
    return MessageEdited(
        **_common(event),
        target=str(needed(message.id or None)),
        parts=parts_of(message),
        reply_token=event.reply_token,
    )


def _unsend(event: Event) -> InboundEvent:
    return MessageDeleted(**_common(event), target=str(needed(event.unsend).message_id))


def _postback(event: Event) -> InboundEvent:
    postback = needed(event.postback)
    picked = postback.params
    title = ""
    if picked:
        title = picked.datetime or picked.date or picked.time or picked.new_rich_menu_alias_id
    common = _common(event)
    return MessageReceived(
        **common,
        message_id=common["event_id"],
        parts=(ActionPart(title=title, payload=postback.data),),
        author=needed(event.source).author,
        reply_token=event.reply_token,
    )


def _contact(change: ContactChange) -> Callable[[Event], InboundEvent]:
    def build(event: Event) -> InboundEvent:
        members = event.joined or event.left
        detail = ",".join(str(member.user_id) for member in members.members) if members else ""
        if event.follow and event.follow.is_unblocked:
            detail = "unblocked"
        return ContactChanged(
            **_common(event), change=change, detail=detail, reply_token=event.reply_token
        )

    return build


def _interaction(event: Event, kind: str, **data: str) -> InboundEvent:
    filled = {name: value for name, value in data.items() if value}
    return InteractionReceived(
        **_common(event), kind=kind, data=filled, reply_token=event.reply_token
    )


def _watched(event: Event) -> InboundEvent:
    watched = needed(event.video_play_complete)
    return _interaction(event, "video_completed", tracking_id=watched.tracking_id)


def _beacon(event: Event) -> InboundEvent:
    beacon = needed(event.beacon)
    return _interaction(event, "beacon", hwid=beacon.hwid, type=beacon.type, dm=beacon.dm)


def _link(event: Event) -> InboundEvent:
    link = needed(event.link)
    return _interaction(event, "account_link", result=link.result, nonce=link.nonce)


def _membership(event: Event) -> InboundEvent:
    plan = needed(event.membership)
    return _interaction(event, "membership", type=plan.type, membership_id=str(plan.membership_id))


def _activated(event: Event) -> InboundEvent:
    return ThreadControlChanged(**_common(event), change="passed")


def _deactivated(event: Event) -> InboundEvent:
    return ThreadControlChanged(**_common(event), change="taken")


def _module(event: Event) -> InboundEvent:
    module = needed(event.module)
    data = {"type": module.type, "bot_id": module.bot_id, "reason": module.reason}
    filled = {name: value for name, value in data.items() if value}
    return AccountNoticed(**_about_account(event), kind="module", data=filled)


def _suspended(event: Event) -> InboundEvent:
    return AccountNoticed(**_about_account(event), kind="bot_suspended")


def _resumed(event: Event) -> InboundEvent:
    return AccountNoticed(**_about_account(event), kind="bot_resumed")


def _delivery(event: Event) -> InboundEvent:
    tag = needed(event.delivery).data
    return DeliveryReported(**_common(event), status="delivered", metadata=tag)


_KINDS: dict[str, Callable[[Event], InboundEvent]] = {
    "message": _message,
    "messageEdited": _edited,
    "unsend": _unsend,
    "postback": _postback,
    "follow": _contact("follow"),
    "unfollow": _contact("unfollow"),
    "join": _contact("join"),
    "leave": _contact("leave"),
    "memberJoined": _contact("member_joined"),
    "memberLeft": _contact("member_left"),
    "videoPlayComplete": _watched,
    "beacon": _beacon,
    "accountLink": _link,
    "membership": _membership,
    "activated": _activated,
    "deactivated": _deactivated,
    "module": _module,
    "botSuspended": _suspended,
    "botResumed": _resumed,
    "delivery": _delivery,
}
