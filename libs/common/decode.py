"""The only way into a provider's payload: strict first, then one salvage parse."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from libs.common.errors import MalformedPayloadError

T = TypeVar("T")

MAX_DEPTH = 64
"""Deepest nesting that salvage accepts; no provider nests deeper than about 12."""


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode *body* strictly.

    Raises:
        MalformedPayloadError: Broken JSON, wrong types, bad UTF-8 or nesting past the limit.
            msgspec answers these with DecodeError, UnicodeDecodeError and RecursionError.
    """
    try:
        return decoder.decode(body)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise MalformedPayloadError(type(error).__name__) from None


def salvage(body: bytes) -> Any:
    """Parse a *signed* body that the strict decoder refused, as leniently as is safe.

    Lone surrogates and broken UTF-8 become U+FFFD, a byte-order mark is dropped. Numbers stay
    within float and 64-bit bounds by being kept as text when they are longer.

    Raises:
        MalformedPayloadError: It is not JSON at all, or nested deeper than `MAX_DEPTH`.
    """
    text = body.decode("utf-8-sig", errors="replace")
    try:
        value = json.loads(text, parse_int=_bounded_int, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise MalformedPayloadError(type(error).__name__) from None
    return _clean(value, 0)


def convert(value: Any, kind: type[T]) -> T:
    """Turn one salvaged item into *kind*.

    Raises:
        MalformedPayloadError: The item does not fit; it is quarantined alone.
    """
    try:
        return msgspec.convert(value, kind, strict=False)
    except (ValueError, RecursionError) as error:
        raise MalformedPayloadError(type(error).__name__) from None


_INT64_DIGITS = 19


def _bounded_int(digits: str) -> int | str:
    return int(digits) if len(digits) <= _INT64_DIGITS else digits


def _clean(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise MalformedPayloadError("nested too deep")
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_clean(key, depth + 1): _clean(item, depth + 1) for key, item in value.items()}
    return value
