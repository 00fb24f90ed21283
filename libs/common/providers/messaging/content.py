"""Texts, attachments, referrals and carts of Messenger and Instagram as content parts."""

from __future__ import annotations

from collections.abc import Iterator

from libs.common.events import (
    ActionPart,
    ContentPart,
    LocationPart,
    MediaKind,
    MediaPart,
    OrderPart,
    Referral,
    SharePart,
    TextPart,
    UnsupportedPart,
)
from libs.common.providers.messaging.wire import (
    Attachment,
    Element,
    Message,
    Order,
    Payload,
    Postback,
    WireReferral,
)
from libs.common.providers.normal import MAX_PARTS, Scalar, degrees, ident, limited, moment, text

_MEDIA: dict[str, MediaKind] = {
    "image": "image",
    "video": "video",
    "audio": "audio",
    "file": "file",
    "sticker": "sticker",
}
_SHARES = frozenset(
    {
        "fallback", "share", "reel", "ig_reel", "post", "ig_post", "template",
        "story_mention", "story",
    }
)  # fmt: skip
_HEART = "like_heart"


def parts_of(message: Message) -> tuple[ContentPart, ...]:
    """Return what a message says; never empty.

    A tapped quick reply is an action whose title is the text, not a text of its own. A sticker
    that comes both as `image` and as `sticker` is one part. A story that is answered stands behind
    the answer.
    """
    story = message.reply_to.story if message.reply_to else None
    if message.text and not (message.attachments or message.quick_reply or story):
        return (TextPart(text=text(message.text)),)  # nearly every message
    parts = list(_attached(message))
    if story is not None:
        parts.append(SharePart(title="story", url=text(story.url)))
    if message.text or message.quick_reply is not None:
        parts.insert(0, _words(message))
    if not parts and message.commands:
        parts.extend(ActionPart(title=f"/{text(command.name)}") for command in message.commands)
    empty = "unsupported" if message.is_unsupported else "empty"
    return limited(parts, empty=empty)


def postback_parts(postback: Postback) -> tuple[ContentPart, ...]:
    """Return the tapped button; a standby copy has no payload."""
    return (ActionPart(title=text(postback.title), payload=text(postback.payload)),)


def order_parts(order: Order) -> tuple[ContentPart, ...]:
    """Return a cart that the visitor sent."""
    items = tuple(
        (
            ident(product.retailer_id) or ident(product.id) or text(product.name),
            text(product.quantity),
            text(product.unit_price),
            text(product.currency),
        )
        for product in (order.products or ())[:MAX_PARTS]
    )
    return (OrderPart(note=text(order.note), items=items),)


def referral_of(referral: WireReferral | None) -> Referral | None:
    """Return the ad or link that brought the visitor."""
    if referral is None:
        return None
    ad = referral.ads_context_data
    return Referral(
        source=text(referral.source),
        ref=text(referral.ref),
        ad_id=ident(referral.ad_id),
        headline=text(ad.ad_title) if ad else "",
        url=text(referral.referer_uri) or (text(ad.photo_url or ad.video_url) if ad else ""),
    )


def _words(message: Message) -> ContentPart:
    if message.quick_reply is None:
        return TextPart(text=text(message.text))
    return ActionPart(title=text(message.text), payload=text(message.quick_reply.payload))


def _attached(message: Message) -> Iterator[ContentPart]:
    stickers = set()
    for attachment in message.attachments or ():
        sticker = ident(attachment.payload.sticker_id) if attachment.payload else ""
        if sticker and sticker in stickers:
            continue
        stickers.add(sticker)
        yield from _attachment(attachment, attachment.payload or Payload(), sticker)


def _attachment(attachment: Attachment, payload: Payload, sticker: str) -> Iterator[ContentPart]:
    kind = "sticker" if sticker else attachment.type
    if kind in _MEDIA:
        yield MediaPart(
            kind=_MEDIA[kind], url=text(payload.url), name=text(payload.title), sticker_id=sticker
        )
    elif kind in _SHARES:
        yield from _shared(attachment, payload)
    elif kind == _HEART:
        yield TextPart(text="\u2764\ufe0f")
    elif kind == "location":
        yield _place(attachment, payload)
    elif kind == "appointment_booking":
        yield SharePart(title=kind, description=_appointment(payload))
    else:
        yield UnsupportedPart(what=text(kind)[:200] or "attachment")


def _shared(attachment: Attachment, payload: Payload) -> Iterator[ContentPart]:
    title = text(payload.title or attachment.title)
    url = text(payload.url or attachment.url)
    elements = list(_elements(payload))
    if title or url or payload.text or not elements:
        yield SharePart(title=title or text(payload.text) or attachment.type, url=url)
    for element in elements:
        yield SharePart(
            title=text(element.title) or ident(element.id),
            url=text(element.url or element.image_url),
            description=text(element.subtitle),
        )


def _elements(payload: Payload) -> Iterator[Element]:
    yield from payload.elements or ()
    for group in (payload.generic, payload.product):
        if group is not None:
            yield from group.elements or ()


def _place(attachment: Attachment, payload: Payload) -> ContentPart:
    where = payload.coordinates
    latitude = degrees(where.lat, 90) if where else None
    longitude = degrees(where.long, 180) if where else None
    if latitude is None or longitude is None:
        return UnsupportedPart(what="location")
    name = text(payload.title or attachment.title)
    return LocationPart(latitude=latitude, longitude=longitude, name=name)


def _appointment(payload: Payload) -> str:
    fields = {
        "booking": payload.booking_id,
        "status": payload.status,
        "start": _when(payload.start_time),
        "end": _when(payload.end_time),
        "timezone": payload.timezone,
    }
    return ", ".join(f"{name} {text(value)}" for name, value in fields.items() if value)


def _when(value: Scalar) -> str:
    """Return a time as ISO 8601 in UTC; what is no time stays as it came."""
    at = moment(value)
    return at.isoformat() if at is not None else text(value)
