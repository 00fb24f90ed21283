"""WhatsApp's message types as content parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from libs.common.channels.whatsapp import wire
from libs.common.events import (
    ActionPart,
    ContactPart,
    ContentPart,
    LocationPart,
    MediaKind,
    MediaPart,
    OrderPart,
    SharePart,
    TemplatePart,
    TextPart,
    UnsupportedPart,
)
from libs.common.providers.normal import MAX_PARTS, clip, degrees, ident, limited, text

Parts = Iterator[ContentPart]


def sent_parts_of(content: wire.Content) -> tuple[ContentPart, ...]:
    """Return what a message of the account's own says, never empty."""
    if isinstance(content, wire.SentRequest) and content.template is not None:
        language = content.template.language or wire.TemplateLanguage()
        name = text(content.template.name)
        return (TemplatePart(name=name, language=text(language.code), text=name),)
    parts = parts_of(content)
    return (UnsupportedPart(what=content.type[:200] or "empty"),) if parts is None else parts


def parts_of(content: wire.Content) -> tuple[ContentPart, ...] | None:
    """Return what a message says, never empty; None where its type is not known."""
    if content.type == "text" and content.text is not None and content.context is None:
        return (TextPart(text=text(content.text.body)),)  # nearly every message
    build = _TYPES.get(content.type)
    if build is None:
        return None
    return limited([*build(content), *_referred(content.context)], empty=content.type)


def _text(content: wire.Content) -> Parts:
    if content.text is not None and content.text.body:
        yield TextPart(text=text(content.text.body))


def _media(name: str, kind: MediaKind) -> Callable[[wire.Content], Parts]:
    def build(content: wire.Content) -> Parts:
        media: wire.Media | None = getattr(content, name)
        if media is None:
            return
        yield MediaPart(
            kind=kind,
            media_id=ident(media.id),
            url=text(media.url) or text(media.link),
            mime_type=text(media.mime_type),
            sha256=text(media.sha256),
            name=text(media.filename),
        )
        if media.caption:
            yield TextPart(text=text(media.caption))

    return build


def _location(content: wire.Content) -> Parts:
    where = content.location or wire.Location()
    latitude, longitude = degrees(where.latitude, 90), degrees(where.longitude, 180)
    if latitude is not None and longitude is not None:
        yield LocationPart(
            latitude=latitude,
            longitude=longitude,
            name=text(where.name),
            address=text(where.address),
        )


def _cards(content: wire.Content) -> Parts:
    for card in (content.contacts or ())[:MAX_PARTS]:
        phones = [text(row.phone) or ident(row.wa_id) for row in card.phones or ()]
        emails = [text(row.email) for row in card.emails or ()]
        yield ContactPart(
            name=text(card.name.formatted_name) if card.name else "",
            phones=tuple(filter(None, phones))[:MAX_PARTS],
            emails=tuple(filter(None, emails))[:MAX_PARTS],
        )


def _button(content: wire.Content) -> Parts:
    if content.button is not None:
        yield ActionPart(title=text(content.button.text), payload=text(content.button.payload))


def _interactive(content: wire.Content) -> Parts:
    tapped = content.interactive or wire.Interactive()
    choice = tapped.button_reply or tapped.list_reply
    if choice is not None:
        yield ActionPart(title=text(choice.title), payload=ident(choice.id))
    elif tapped.nfm_reply is not None:
        form = tapped.nfm_reply
        yield ActionPart(
            title=text(form.body) or text(form.name), payload=_json(form.response_json)
        )
    elif tapped.call_permission_reply is not None:
        yield ActionPart(title="call_permission", payload=_json(tapped.call_permission_reply))
    elif tapped.body is not None:  # an echo: the question itself
        yield TextPart(text=text(tapped.body.text))
    elif tapped.type:
        yield UnsupportedPart(what=text(tapped.type)[:200])


def _json(value: Any) -> str:
    return text(value) if isinstance(value, str) else clip(msgspec.json.encode(value).decode())


def _order(content: wire.Content) -> Parts:
    if content.order is not None:
        yield OrderPart(
            catalog=ident(content.order.catalog_id),
            note=text(content.order.text),
            items=tuple(
                (
                    ident(item.product_retailer_id),
                    text(item.quantity),
                    text(item.item_price),
                    text(item.currency),
                )
                for item in (content.order.product_items or ())[:MAX_PARTS]
            ),
        )


def _unsupported(content: wire.Content) -> Parts:
    what = text(content.unsupported.type) if content.unsupported else ""
    for error in content.errors or ():
        what = what or text(error.title) or ident(error.code)
    yield UnsupportedPart(what=what[:200] or content.type)


def _referred(context: wire.Context | None) -> Parts:
    if context is not None and context.referred_product is not None:
        product = context.referred_product
        yield SharePart(
            title=ident(product.product_retailer_id),
            description=f"catalog {ident(product.catalog_id)}",
        )


_TYPES: Mapping[str, Callable[[wire.Content], Parts]] = {
    "text": _text,
    "image": _media("image", "image"),
    "video": _media("video", "video"),
    "audio": _media("audio", "audio"),
    "voice": _media("voice", "audio"),  # of old: today audio with a flag
    "document": _media("document", "file"),
    "sticker": _media("sticker", "sticker"),
    "location": _location,
    "contacts": _cards,
    "button": _button,
    "interactive": _interactive,
    "order": _order,
    "unsupported": _unsupported,
    "unknown": _unsupported,
    "media_placeholder": _unsupported,
}
