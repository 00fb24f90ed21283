"""What the web plugin's page posts, in our words."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from libs.common.channel import Account, Parsed, WebhookRequest
from libs.common.channels.web.visitor import is_upload_of, visitor_from
from libs.common.channels.web.wire import Batch, Head, Item, Page, Single, Visitor
from libs.common.errors import MalformedPayloadError
from libs.common.events import (
    ActionPart,
    ContentPart,
    DeliveryReported,
    InboundEvent,
    InteractionReceived,
    MediaPart,
    MessageReceived,
    Profile,
    Referral,
    TextPart,
    Unparsed,
)
from libs.common.items import UnknownKindError, decode_leniently, limited_to_items
from libs.common.providers.normal import EPOCH, fingerprint, key, moment, text, unparsed

OFFLINE_AT_MOST = timedelta(days=1)
"""How far back a page may date what it could not deliver; older is a wrong clock."""

FACT_LENGTH = 500
"""Characters kept of what a form or a page says: it goes with every message of the body."""

_WITHIN_A_MS = timedelta(microseconds=999)
"""Our own times are finer than a page's clock, which cuts them."""

_BATCH = msgspec.json.Decoder(Batch)
_SINGLE = msgspec.json.Decoder(Single)
_ITEM = msgspec.json.Decoder(Item)
_HEAD = msgspec.json.Decoder(Head)
_PROFILE = msgspec.json.Decoder(Visitor)
_PAGE = msgspec.json.Decoder(Page)

T = TypeVar("T")


def verify(account: Account, request: WebhookRequest) -> None:
    """Return only if the request carries a visitor token of this account.

    The token proves who speaks. The body is not signed: it is the visitor's own word.

    Raises:
        BadSignatureError: No `Authorization: Bearer` token, or not one of ours.
    """
    visitor_from(account, request.headers.get("authorization", ""), request.received_at)


def parse(account: Account, request: WebhookRequest) -> Parsed:
    """Turn a posted body into events of the token's visitor, whatever the body claims.

    Raises:
        MalformedPayloadError: Neither one message nor a list of them, or too long a list.
        BadSignatureError: As in `verify`, which comes first.
    """
    visitor = visitor_from(account, request.headers.get("authorization", ""), request.received_at)
    batch = _batch(request.body)
    limited_to_items(batch.messages)
    profile = _told(_PROFILE, batch.profile)
    seen = _Seen(
        account=account,
        visitor=visitor,
        received_at=request.received_at,
        profile=_profile(profile),
        referral=_referral(_told(_PAGE, batch.page)),
    )
    events = tuple(_translate(seen, bytes(raw)) for raw in batch.messages)
    if profile and not events and _facts(profile):
        return Parsed(events=(_introduction(seen, profile),))
    return Parsed(events=events)


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What all messages of one body have in common."""

    account: Account
    visitor: str
    received_at: datetime | None
    profile: Profile
    referral: Referral | None

    def key(self, client_id: str) -> str:
        return key("web", f"{self.visitor}:{client_id}")

    def occurred_at(self, at: float | None) -> datetime:
        """Trust the page's clock only where it can be right: its past day."""
        claimed = moment(at) or EPOCH
        if self.received_at is None:
            return claimed
        earliest = self.received_at - OFFLINE_AT_MOST
        return claimed if earliest <= claimed <= self.received_at else self.received_at


def _batch(body: bytes) -> Batch:
    try:
        return decode_leniently(_BATCH, body)
    except MalformedPayloadError:
        single = decode_leniently(_SINGLE, body)
        return Batch(messages=[msgspec.Raw(body)], profile=single.profile, page=single.page)


def _told(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw) -> T | None:
    """Return what a visitor told besides the message; None where it is absent or unreadable."""
    try:
        return decode_leniently(decoder, bytes(raw)) if bytes(raw) else None
    except MalformedPayloadError:
        return None


def _profile(told: Visitor | None) -> Profile:
    return msgspec.convert(_facts(told), Profile)


def _facts(told: Visitor | Page | None) -> dict[str, str]:
    facts = msgspec.structs.asdict(told) if told else {}
    return {name: value[:FACT_LENGTH] for name, value in facts.items() if value}


def _referral(page: Page | None) -> Referral | None:
    facts = _facts(page)
    if not facts:
        return None
    return Referral(
        source="page",
        ref=facts.get("referrer", ""),
        headline=facts.get("title", ""),
        url=facts.get("url", ""),
    )


def _translate(seen: _Seen, raw: bytes) -> InboundEvent:
    try:
        item = decode_leniently(_ITEM, raw)
        return _receipt(seen, item) if item.type == "read" else _message(seen, item)
    except UnknownKindError:
        return _kept(seen, raw, unknown=True)
    except MalformedPayloadError:
        return _kept(seen, raw, unknown=False)


def _message(seen: _Seen, item: Item) -> InboundEvent:
    name = seen.key(item.id)
    return MessageReceived(
        event_id=name,
        visitor=seen.visitor,
        occurred_at=seen.occurred_at(item.at),
        message_id=name,
        parts=_parts(seen, item),
        profile=seen.profile,
        reply_to=item.reply_to,
        referral=seen.referral,
    )


def _receipt(seen: _Seen, item: Item) -> InboundEvent:
    """Return what the visitor has seen; a moment still to come is cut to now."""
    up_to = moment(item.up_to)
    if up_to is None:
        raise MalformedPayloadError("no time in up_to")
    if not isinstance(item.up_to, str):
        up_to += _WITHIN_A_MS
    now = seen.received_at or up_to
    return DeliveryReported(
        event_id=seen.key(item.id),
        visitor=seen.visitor,
        occurred_at=now,
        status="read",
        watermark=min(up_to, now),
    )


def _parts(seen: _Seen, item: Item) -> tuple[ContentPart, ...]:
    if item.type == "text":
        if not item.text:
            raise MalformedPayloadError("no text")
        return (TextPart(text=text(item.text)),)
    if item.type == "action":
        return (ActionPart(title=text(item.title), payload=text(item.payload)),)
    if item.type == "media":
        return _file(seen, item)
    raise UnknownKindError("unknown item type")


def _file(seen: _Seen, item: Item) -> tuple[ContentPart, ...]:
    """Return a file that this very visitor uploaded, and its caption."""
    if not is_upload_of(seen.account, seen.visitor, item.attachment):
        raise MalformedPayloadError("no upload of this visitor")
    file = MediaPart(
        kind=item.kind,
        attachment=item.attachment,
        name=text(item.name)[:FACT_LENGTH],
        mime_type=text(item.mime_type)[:FACT_LENGTH],
        size_bytes=item.size_bytes,
    )
    return (file, TextPart(text=text(item.text))) if item.text else (file,)


def _introduction(seen: _Seen, profile: Visitor) -> InboundEvent:
    data = _facts(profile)
    told = fingerprint(msgspec.json.encode(data))
    return InteractionReceived(
        event_id=seen.key(f"profile:{told}"),
        visitor=seen.visitor,
        occurred_at=seen.received_at or EPOCH,
        kind="profile",
        data=data,
        referral=seen.referral,
    )


def _kept(seen: _Seen, raw: bytes, *, unknown: bool) -> Unparsed:
    try:
        name = decode_leniently(_HEAD, raw).id
    except MalformedPayloadError:
        name = fingerprint(raw)
    return unparsed(
        key("unparsed", f"{seen.visitor}:{name}"),
        raw,
        "unknown_kind" if unknown else "malformed_item",
        visitor=seen.visitor,
        occurred_at=seen.received_at or EPOCH,
    )
