"""Cursors: where a page ended, as text that callers hand back unread.

A cursor only holds a place in an order (times, numbers, ids). What is read there is decided by the
caller's workspace and the path, so a cursor of another workspace opens nothing.
"""

from __future__ import annotations

import base64
from typing import TypeVar

import msgspec

from libs.common.decode import decode
from libs.common.errors import InvalidInputError, MalformedPayloadError

T = TypeVar("T")

LONGEST = 400


def write_cursor(place: tuple[object, ...] | None) -> str | None:
    """Return *place* as text; None stays None: there is no further page."""
    if place is None:
        return None
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_cursor(decoder: msgspec.json.Decoder[T], text: str) -> T | None:
    """Return the place that *text* names, None for an empty text: the first page.

    Raises:
        InvalidInputError: No cursor of this list.
    """
    if not text:
        return None
    try:
        raw = base64.urlsafe_b64decode(text[:LONGEST] + "=" * (-len(text[:LONGEST]) % 4))
        return decode(decoder, raw)
    except (MalformedPayloadError, ValueError):
        raise InvalidInputError(
            "cursor: this is no cursor of this list; take `next` from its last answer.",
            field="cursor",
            allowed="the `next` of an answer",
        ) from None
