"""What a WeChat message holds, as content parts."""

from __future__ import annotations

import math
from collections.abc import Callable

from libs.common.channels.wechat.occurrence import kind_of
from libs.common.channels.wechat.wire import Fields
from libs.common.errors import MalformedPayloadError
from libs.common.events import (
    ActionPart,
    ContentPart,
    LocationPart,
    MediaKind,
    MediaPart,
    SharePart,
    TextPart,
)
from libs.common.items import UnknownKindError

Parts = tuple[ContentPart, ...]

_VOICE_TYPES = {"amr": "audio/amr", "speex": "audio/speex", "mp3": "audio/mpeg"}


def parts_of(fields: Fields) -> Parts:
    """Return the content of a message; media are fetched by `media_id` within three days.

    Raises:
        UnknownKindError: A `MsgType` that WeChat added since.
        MalformedPayloadError: It lacks what makes it up.
    """
    build = _TYPES.get(kind_of(fields))
    if build is None:
        raise UnknownKindError("unknown message type")
    return build(fields)


def is_tap(fields: Fields) -> bool:
    """Tell whether an entry of a menu message was tapped, which WeChat counts as a menu click."""
    return kind_of(fields) == "text" and bool(fields.get("bizmsgmenuid"))


def number(fields: Fields, name: str) -> float:
    """Return a decimal field.

    Raises:
        MalformedPayloadError: Absent, or no finite number.
    """
    try:
        value = float(fields.get(name, ""))
    except ValueError:
        raise MalformedPayloadError(f"{name} is no number") from None
    if not math.isfinite(value):
        raise MalformedPayloadError(f"{name} is not finite")
    return value


def _needed(fields: Fields, name: str) -> str:
    if name not in fields:
        raise MalformedPayloadError(f"no {name}")
    return fields[name]


def _text(fields: Fields) -> Parts:
    text = _needed(fields, "content")
    tapped = fields.get("bizmsgmenuid", "")  # an entry of a menu that a message of ours showed
    return (ActionPart(title=text, payload=tapped) if tapped else TextPart(text=text),)


def _media(kind: MediaKind) -> Callable[[Fields], Parts]:
    def build(fields: Fields) -> Parts:
        media = MediaPart(
            kind=kind,
            url=fields.get("picurl", ""),
            media_id=_needed(fields, "mediaid"),
            mime_type=_VOICE_TYPES.get(fields.get("format", "").lower(), ""),
        )
        heard = fields.get("recognition", "")  # WeChat's own transcript of a voice message
        return (media, TextPart(text=heard)) if heard else (media,)

    return build


def _file(fields: Fields) -> Parts:
    size = fields.get("filetotallen", "")
    return (
        MediaPart(
            kind="file",
            media_id=fields.get("mediaid", ""),
            name=_needed(fields, "title"),
            size_bytes=int(size) if size.isascii() and size.isdecimal() else None,
        ),
    )


def _location(fields: Fields) -> Parts:
    place = LocationPart(
        latitude=number(fields, "location_x"),  # X is the latitude, whatever it looks like
        longitude=number(fields, "location_y"),
        name=fields.get("label", ""),
    )
    return (place,)


def _link(fields: Fields) -> Parts:
    link = SharePart(
        title=fields.get("title", ""),
        url=_needed(fields, "url"),
        description=fields.get("description", ""),
    )
    return (link,)


def _mini_program(fields: Fields) -> Parts:
    page = SharePart(
        title=fields.get("title", ""),
        url=_needed(fields, "pagepath"),
        description=fields.get("appid", ""),
    )
    return (page,)


_TYPES: dict[str, Callable[[Fields], Parts]] = {
    "text": _text,
    "image": _media("image"),
    "voice": _media("audio"),
    "video": _media("video"),
    "shortvideo": _media("video"),
    "file": _file,
    "location": _location,
    "link": _link,
    "miniprogrampage": _mini_program,
}
