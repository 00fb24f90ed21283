"""What a LINE message holds, as content parts."""

from __future__ import annotations

from collections.abc import Callable

from libs.common.channels.line.wire import ContentProvider, ImageSet, Message
from libs.common.events import (
    ContentPart,
    LocationPart,
    MediaKind,
    MediaPart,
    TextPart,
    UnsupportedPart,
)
from libs.common.items import needed
from libs.common.providers.normal import text


def parts_of(message: Message) -> tuple[ContentPart, ...]:
    """Return the content of *message*; media stay at LINE under the message's own id.

    A message type that LINE added since is shown as unsupported: the visitor did say something.

    Raises:
        MalformedPayloadError: No type, or a place without its coordinates.
    """
    return (_TYPES.get(message.type, _unsupported)(message),)


def _unsupported(message: Message) -> ContentPart:
    return UnsupportedPart(what=needed(message.type or None)[:200])


def _text(message: Message) -> ContentPart:
    return TextPart(text=text(message.text))


def _media(kind: MediaKind) -> Callable[[Message], ContentPart]:
    def build(message: Message) -> ContentPart:
        provider = message.content_provider or ContentProvider()
        length = message.duration
        return MediaPart(
            kind=kind,
            url=provider.original_content_url,
            media_id="" if provider.type == "external" else str(message.id),
            name=message.file_name,
            size_bytes=message.file_size,
            duration_ms=None if length is None else int(length),
            album=str((message.image_set or ImageSet()).id),
        )

    return build


def _sticker(message: Message) -> ContentPart:
    return MediaPart(
        kind="sticker",
        sticker_set=str(message.package_id),
        sticker_id=str(message.sticker_id),
        name=text(message.text),
    )


def _location(message: Message) -> ContentPart:
    return LocationPart(
        latitude=needed(message.latitude),
        longitude=needed(message.longitude),
        name=message.title,
        address=message.address,
    )


_TYPES: dict[str, Callable[[Message], ContentPart]] = {
    "text": _text,
    "image": _media("image"),
    "video": _media("video"),
    "audio": _media("audio"),
    "file": _media("file"),
    "sticker": _sticker,
    "location": _location,
}
