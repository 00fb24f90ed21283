"""Cursors: where a page ended, as text that callers hand back unread.

A cursor only holds a place in an order (a time, a number, an id). What is read there is decided by
the caller's workspace and the path, so a cursor of another workspace opens nothing. Times travel
as whole microseconds, so that every cursor that decodes is one that the store takes.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from libs.common.decode import decode
from libs.common.errors import InvalidInputError, MalformedPayloadError
from services.desk.api.read import Plain

T = TypeVar("T")

LONGEST = 1200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Micros = Annotated[int, Meta(ge=0, le=250_000_000_000_000_000)]
Number = Annotated[int, Meta(ge=0, le=2**62)]


class ByTime(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A place in an order by (time, id)."""

    at: Micros
    id: Plain

    @property
    def place(self) -> tuple[datetime, str]:
        """As the store takes it."""
        return EPOCH + self.at * _MICROSECOND, self.id


class BySequence(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A place in an order by (time, number, id)."""

    at: Micros
    number: Number
    id: Plain

    @property
    def place(self) -> tuple[datetime, int, str]:
        """As the store takes it."""
        return EPOCH + self.at * _MICROSECOND, self.number, self.id


class ById(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A place in an order by id."""

    id: Annotated[Plain, Meta(max_length=200)]


_by_id = msgspec.json.Decoder(ById)


class ByText(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A place in an order by (text, id)."""

    text: Plain
    id: Plain

    @property
    def place(self) -> tuple[str, str]:
        """As the store takes it."""
        return self.text, self.id


_by_time = msgspec.json.Decoder(ByTime)
_by_text = msgspec.json.Decoder(ByText)
_by_sequence = msgspec.json.Decoder(BySequence)


def write_cursor(at: datetime, *rest: int | str) -> str:
    """Return the place as text."""
    place = msgspec.json.encode(((at - EPOCH) // _MICROSECOND, *rest))
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def write_id_cursor(last: str) -> str:
    """Return the place behind the id *last* as text."""
    return base64.urlsafe_b64encode(msgspec.json.encode((last,))).decode().rstrip("=")


def id_cursor(text: str) -> str:
    """Return the id that *text* names, empty for an empty text: the first page.

    Raises:
        InvalidInputError: No cursor of such a list.
    """
    return _read(_by_id, text).id if text else ""


def write_text_cursor(text: str, id_: str) -> str:
    """Return a place in an order by (text, id) as text; *text* is short enough to be read back."""
    return base64.urlsafe_b64encode(msgspec.json.encode((text, id_))).decode().rstrip("=")


def text_cursor(text: str) -> tuple[str, str] | None:
    """Return the (text, id) that *text* names, None for an empty one: the first page.

    Raises:
        InvalidInputError: No cursor of such a list.
    """
    return _read(_by_text, text).place if text else None


def time_cursor(text: str) -> tuple[datetime, str] | None:
    """Return the (time, id) that *text* names, None for an empty text: the first page.

    Raises:
        InvalidInputError: No cursor of such a list.
    """
    return _read(_by_time, text).place if text else None


def sequence_cursor(text: str) -> tuple[datetime, int, str] | None:
    """Return the (time, number, id) that *text* names, None for an empty text: the first page.

    Raises:
        InvalidInputError: No cursor of such a list.
    """
    return _read(_by_sequence, text).place if text else None


def _read(decoder: msgspec.json.Decoder[T], text: str) -> T:
    try:
        raw = base64.urlsafe_b64decode(text[:LONGEST] + "=" * (-len(text[:LONGEST]) % 4))
        return decode(decoder, raw)
    except (MalformedPayloadError, ValueError):
        raise InvalidInputError(
            "cursor: this is no cursor of this list; take `next` from its last answer.",
            field="cursor",
            allowed="the `next` of an answer",
        ) from None
