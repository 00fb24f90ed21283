"""What every `parse` needs: decoding item by item, so that one bad item is kept alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from libs.common.decode import decode, salvage
from libs.common.errors import MalformedPayloadError

T = TypeVar("T")

MAX_ITEMS = 5_000
"""More items in one body are refused together, unread; no provider sends more than 1,000."""

_ESCAPED_NUL = b"\\u0000"


class UnknownKindError(MalformedPayloadError):
    """The item is sound, and of a kind that we do not know: it is kept, not translated."""


def decode_leniently(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode *body* strictly, and only where that fails what `salvage` makes of it.

    The second try also forgives `null` in place of an absent field. U+0000 is removed from every
    string either way: some stores and most screens refuse it. Give the outer decoder's items the
    type `msgspec.Raw` and call this once more for each: then a bad item costs its neighbours
    nothing.

    Raises:
        MalformedPayloadError: It does not fit even then.
    """
    if _ESCAPED_NUL not in body:
        try:
            return decode(decoder, body)
        except MalformedPayloadError:
            pass
    mended = msgspec.json.encode(_without_nothings(salvage(body)))
    if mended == body:  # nothing to forgive: a second try would end as the first one
        raise MalformedPayloadError("does not fit")
    return decode(decoder, mended)


def limited_to_items(*lists: Sequence[object] | None) -> None:
    """Return only if *lists* have at most `MAX_ITEMS` elements together.

    Call it before any work on each of them: unreadable items are the dearest ones.

    Raises:
        MalformedPayloadError: There are more.
    """
    if sum(len(items) for items in lists if items) > MAX_ITEMS:
        raise MalformedPayloadError("too many items")


def needed(value: T | None) -> T:
    """Return *value*.

    Raises:
        MalformedPayloadError: It is None: the item lacks what makes it up.
    """
    if value is None:
        raise MalformedPayloadError("incomplete item")
    return value


def _without_nothings(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nothings(item) for item in value]
    if isinstance(value, dict):
        return {
            _without_nothings(key): _without_nothings(item)
            for key, item in value.items()
            if item is not None
        }
    return value
