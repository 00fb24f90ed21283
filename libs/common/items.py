"""What every `parse` needs: decoding item by item, and values made safe to keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from libs.common.decode import decode, salvage
from libs.common.errors import MalformedPayloadError
from libs.common.ids import derive_id

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for a time that the provider did not give."""

_KEY_CHARACTERS = 256
_EXCERPT_BYTES = 64 * 1024
_SECONDS_BELOW = 10**11
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
    return decode(decoder, msgspec.json.encode(_without_nothings(salvage(body))))


def needed(value: T | None) -> T:
    """Return *value*.

    Raises:
        MalformedPayloadError: It is None: the item lacks what makes it up.
    """
    if value is None:
        raise MalformedPayloadError("incomplete item")
    return value


def instant(value: float | str | None) -> datetime:
    """Return the time that a provider's number means: seconds below 10^11, else milliseconds.

    Anything that is no such number, or no date, is the epoch.
    """
    try:
        number = float(value or 0) if isinstance(value, str | None) else value
        milliseconds = number * 1000 if number < _SECONDS_BELOW else number
        return EPOCH + timedelta(milliseconds=max(milliseconds, 0))
    except (ValueError, OverflowError):
        return EPOCH


def dedup_key(*parts: str) -> str:
    """Join the non-empty *parts* to an event id; what is too long or not ASCII is derived."""
    key = ":".join(part for part in parts if part)
    if len(key) <= _KEY_CHARACTERS and key.isascii() and key.isprintable():
        return key
    return derive_id("evt", key)


def excerpt(raw: bytes) -> str:
    """Return *raw* as text for `Unparsed.raw`: at most 64 KiB, damaged characters replaced."""
    return raw[:_EXCERPT_BYTES].decode("utf-8", "replace").replace("\0", "")


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
