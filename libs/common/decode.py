"""The only way into a provider's payload: strict first, then one salvage parse."""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import msgspec

from libs.common.errors import MalformedPayloadError

T = TypeVar("T")

MAX_DEPTH = 64
"""Deepest nesting that is read; no provider nests deeper than about 12."""

_MOST_STEPS = 300_000
"""Runs of brackets that `clipped` looks at: a few tenths of a second."""

# What is no bracket, strings as a whole; then a run of brackets. Possessive, and it matches
# wherever it is tried, so no byte is looked at twice whatever a body is made of.
_STEP = re.compile(
    rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+"?+)*+(?:(?P<open>[\[{]++)|(?P<close>[\]}]++)|\Z)',
    re.DOTALL,
)


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
    within float and 64-bit bounds by being kept as text when they are longer. What is nested
    deeper than `MAX_DEPTH` is null, so that it costs its neighbours nothing.

    Raises:
        MalformedPayloadError: It is not JSON at all.
    """
    try:
        try:
            value = _loads(body)
        except RecursionError:
            value = _loads(clipped(body))
    except (ValueError, RecursionError) as error:
        raise MalformedPayloadError(type(error).__name__) from None
    return _clean(value, 0)


def clipped(body: bytes) -> bytes:
    """Return JSON with null for every list and object nested deeper than `MAX_DEPTH`.

    Takes time in proportion to the length, at most some tenths of a second, and no recursion. What
    is no JSON stays none, and what has too many brackets is returned as it is.
    """
    kept: list[bytes] = []
    depth = start = 0
    cut = False
    for count, step in enumerate(_STEP.finditer(body)):
        if count > _MOST_STEPS:
            return body
        begin, end = step.span(step.lastgroup or 0)
        if step.lastgroup == "open":
            if not cut and depth + end - begin > MAX_DEPTH:
                cut = True
                kept += (body[start : begin + MAX_DEPTH - depth], b"null")
            depth += end - begin
        elif step.lastgroup == "close":
            depth -= end - begin
            if cut and depth <= MAX_DEPTH:
                cut, start = False, end - (MAX_DEPTH - depth)
    if not cut:
        kept.append(body[start:])
    return b"".join(kept)


def _loads(body: bytes) -> Any:
    return _json.decode(body.removeprefix(_MARK).decode("utf-8", "replace"))


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
_MARK = b"\xef\xbb\xbf"


def _bounded_int(digits: str) -> int | str:
    return int(digits) if len(digits) <= _INT64_DIGITS else digits


_json = json.JSONDecoder(parse_int=_bounded_int, parse_constant=str)
"""Made once: `json.loads` makes one at each call, which costs more than a short item."""


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        if value.isascii():
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list | dict) and depth == MAX_DEPTH:
        return None
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_clean(key, depth + 1): _clean(item, depth + 1) for key, item in value.items()}
    return value
