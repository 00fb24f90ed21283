"""What a visitor's page is shown of a message: with links that work now, without our inside."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from libs.common.channels.web.wire import VisitorMessage
from libs.common.events import ContentPart, MediaPart, TemplatePart, TextPart

Link = Callable[[MediaPart], str]
"""Returns the signed link to a stored file."""

_MESSAGE = msgspec.json.Decoder(VisitorMessage)


def shown(data: bytes, link: Link) -> bytes:
    """Return a stored `VisitorMessage` as a page is told it.

    Links are made only now, as they expire long before the message does. A template is its text.
    What cannot be read, from another version, is returned as it is.
    """
    try:
        message = _MESSAGE.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data
    parts = tuple(_shown(part, link) for part in message.parts)
    if parts == message.parts:
        return data
    return msgspec.json.encode(msgspec.structs.replace(message, parts=parts))


def _shown(part: ContentPart, link: Link) -> ContentPart:
    if isinstance(part, TemplatePart):
        return TextPart(text=part.text)
    if isinstance(part, MediaPart) and part.attachment:
        return msgspec.structs.replace(part, url=link(part))
    return part
