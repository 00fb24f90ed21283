"""From a provider's loose values to ours: ids, text, moments, numbers and dedup keys."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from libs.common.decode import salvage
from libs.common.errors import MalformedPayloadError
from libs.common.events import ContentPart, Unparsed, UnsupportedPart
from libs.common.ids import derive_id

Id = str | int | None
"""An id as it comes: providers and their tools send text or a JSON number."""

Scalar = str | int | float | bool | None
"""A leaf that matters too little to refuse a message for its type."""

Reason = Literal["unknown_kind", "malformed_item"]

EPOCH = datetime.fromtimestamp(0, UTC)
TEXT_BYTES = 64 * 1024
ID_LENGTH = 512
MAX_PARTS = 100
_SECONDS_BELOW = 10**11  # as seconds the year 5138, as milliseconds 1973
_LAST_MS = 253_402_300_799_000  # the end of year 9999
_DIGITS = re.compile(r"\d{1,18}")
_FACTS = 40
_FACT_LENGTH = 1000
_FACT_DEPTH = 6


def ident(value: Id) -> str:
    """Return an id as text, the empty string for a missing one.

    Raises:
        MalformedPayloadError: Longer than 512 characters; no provider has such an id.
    """
    if value is None:
        return ""
    result = value if isinstance(value, str) else str(value)
    if "\0" in result:
        result = result.replace("\0", "")
    if len(result) > ID_LENGTH:
        raise MalformedPayloadError("id too long")
    return result


def text(value: Scalar) -> str:
    """Return a leaf as text without U+0000, cut at 64 KiB of UTF-8; "" for a missing one."""
    if value is None:
        return ""
    result = value if isinstance(value, str) else str(value)
    if "\0" in result:
        result = result.replace("\0", "")
    return result if len(result) <= TEXT_BYTES // 4 else clip(result)


def clip(value: str) -> str:
    """Cut *value* to 64 KiB of UTF-8, never inside a code point."""
    return value.encode("utf-8", "replace")[:TEXT_BYTES].decode("utf-8", "ignore")


def moment(value: object) -> datetime | None:
    """Return a provider's time, or None where there is none that can be read.

    Numbers below 10^11 are seconds, others milliseconds; both also come as text, and tools send
    ISO 8601. Zero and times past the year 9999 are no times.
    """
    if type(value) is str:
        value = value.strip()
        if _DIGITS.fullmatch(value) is None:
            return _from_iso(value)
        value = int(value)
    if type(value) is not int and type(value) is not float:  # a bool is no time
        return None
    if 0 < value < _SECONDS_BELOW:
        return datetime.fromtimestamp(value, UTC)
    if _SECONDS_BELOW <= value <= _LAST_MS:
        return datetime.fromtimestamp(value / 1000, UTC)
    return None


def _from_iso(value: str) -> datetime | None:
    try:
        result = datetime.fromisoformat(value)
        return result.replace(tzinfo=UTC) if result.tzinfo is None else result.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def degrees(value: Scalar, limit: float) -> float | None:
    """Return a coordinate, or None where it is not a number within plus or minus *limit*."""
    try:
        number = float(value) if value is not None else math.nan
    except (ValueError, OverflowError):
        return None
    return number if abs(number) <= limit else None


def count(value: Scalar) -> int:
    """Return a small non-negative whole number, 0 where *value* is none."""
    if isinstance(value, str):
        return int(value) if _DIGITS.fullmatch(value) else 0
    if isinstance(value, float) and not math.isfinite(value):
        return 0
    return min(max(int(value or 0), 0), 2**53)


def key(kind: str, *parts: str) -> str:
    """Return a dedup key: `kind:part` while that is short and printable, else a hash."""
    if len(parts) == 1 and _is_plain(parts[0]):
        return f"{kind}:{parts[0]}"
    return derive_id(kind, *parts)


def _is_plain(part: str) -> bool:
    return 0 < len(part) <= 200 and part.isascii() and part.isprintable() and " " not in part


def fingerprint(raw: bytes) -> str:
    """Return the same id for the same JSON item, however its keys or escapes are written."""
    try:
        canonical = msgspec.json.encode(salvage(raw), order="sorted").decode()
    except MalformedPayloadError:
        canonical = raw.decode("utf-8", "replace")
    return derive_id("raw", canonical)


def unparsed(
    event_id: str,
    raw: bytes,
    reason: Reason,
    *,
    visitor: str = "",
    occurred_at: datetime = EPOCH,
    standby: bool = False,
) -> Unparsed:
    """Keep *raw* as it came, cut at 64 KiB."""
    kept = raw[:TEXT_BYTES].decode("utf-8", "replace").replace("\0", "")
    return Unparsed(
        event_id=event_id,
        visitor=visitor,
        occurred_at=occurred_at,
        standby=standby,
        reason=reason,
        raw=kept if len(kept) <= TEXT_BYTES // 4 else clip(kept),
    )


def limited(parts: list[ContentPart], *, empty: str = "empty") -> tuple[ContentPart, ...]:
    """Return at most 100 parts; says so where more came, and where none did."""
    if not parts:
        return (UnsupportedPart(what=empty),)
    if len(parts) > MAX_PARTS:
        return (*parts[:MAX_PARTS], UnsupportedPart(what=f"{len(parts) - MAX_PARTS} more parts"))
    return tuple(parts)


def facts(value: Any, *, without: frozenset[str] = frozenset()) -> dict[str, str]:
    """Flatten a provider's object to `a.b.0 -> text`, at most 40 leaves of 1,000 characters.

    *without* names keys that are left out at any depth: codes and tokens that open something.
    """
    result: dict[str, str] = {}
    for name, leaf in _leaves("", value, without, _FACT_DEPTH):
        if len(result) == _FACTS:
            break
        result[name] = text(leaf)[:_FACT_LENGTH]
    return result


def _leaves(
    name: str, value: Any, without: frozenset[str], depth: int
) -> Iterator[tuple[str, Scalar]]:
    if isinstance(value, dict | list) and depth > 0:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for step, inner in pairs:
            if step not in without:
                yield from _leaves(
                    f"{name}.{step}" if name else f"{step}", inner, without, depth - 1
                )
    elif value is not None and not isinstance(value, dict | list):
        yield (name or "value").replace("\0", "")[:200], value
