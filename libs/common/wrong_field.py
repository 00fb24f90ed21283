"""Turning msgspec's sentence about a wrong value into one that says where, and what is allowed.

For bodies, queries and files alike: what people write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from libs.common.errors import InvalidInputError

PATTERNS: Mapping[str, str] = {
    r"^[^\x00]*$": "text without U+0000 is expected",
    r"^[a-z0-9][a-z0-9-]{0,47}$": "1 to 48 small letters, digits and hyphens, no hyphen first",
    r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$": "a time of day from 00:00 to 24:00",
    r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$": "a time of day from 00:00 to 24:00",
    r"^\d{4}-\d{2}-\d{2}$": "a date such as 2026-12-25",
    r"^(#[0-9a-f]{6})?$": "a colour such as #1e90ff, or nothing",
    r"^#[0-9a-fA-F]{6}$": "a colour such as #1e90ff",
    r"^[a-z][a-z0-9_]{0,39}$": "1 to 40 small letters, digits and underscores, a letter first",
    r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$": "a language such as en or pt-BR",
    r"^[0-9]*$": "digits, or nothing",
    r"^(\*|[a-z][a-z-]*):(read|write)$": "a scope such as contacts:read",
    r"^[^\x00-\x1f]*$": "one line of text, without control characters",
    r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$": "one line of text that is not blank",
}
_AT = re.compile(r" - at (?P<key>`key` in )?`(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `(?P<field>[^`]*)`")
_MISSING = re.compile(r"required field `(?P<field>[^`]*)`")
_EXPECTED = re.compile(r"Expected (?P<allowed>.+?)(?:, got .*)?$")
_STEP = re.compile(r"(?P<any>\.\.\.)|\.(?P<name>[^.\[]+)|\[(?P<number>\d+)\]")


def wrong_field(kind: Any, text: str, given: Any) -> InvalidInputError:
    """Turn msgspec's sentence about *given* into one that names the field and what it takes."""
    at = _AT.search(text)
    reason = text[: at.start()] if at else text
    steps, hints = _place(kind, at["path"] if at else "", given)
    known = _known(_keys(hints) if at and at["key"] else hints, reason)
    if named := _UNKNOWN.search(reason) or _MISSING.search(reason):
        steps.append(named["field"])
    if missing := _MISSING.search(reason):
        lacking = [one for s in _structs(hints) for one in _field(s, missing["field"])]
        known = _known(lacking, "")
    field = ".".join(steps)[:100] or "body"
    if "matching regex" in reason:
        reason = allowed = _expected_text(reason)
    elif known:
        allowed = known
        reason = f"{reason}; allowed: {known}"
    else:
        allowed = _expected(reason)
    return InvalidInputError(f"{field}: {reason}.", field=field, allowed=allowed[:1000])


def allowed_at(kind: Any, text: str, given: Any) -> str:
    """Return the names or values that may stand where msgspec's *text* about *given* points.

    Empty: they are no closed set; then *text* says itself what is expected.
    """
    at = _AT.search(text)
    hints = _place(kind, at["path"] if at else "", given)[1]
    return _known(_keys(hints) if at and at["key"] else hints, text)


def _keys(hints: list[Any]) -> list[Any]:
    """Return the types of the keys of objects with free keys."""
    kinds = [get_args(hint)[0] for hint in hints if get_origin(hint) is dict]
    return [one for kind in kinds for one in _options(kind)]


def _expected_text(reason: str) -> str:
    """Return what a pattern asks for, in words."""
    for pattern, words in PATTERNS.items():
        if repr(pattern) in reason:
            return words
    return reason


def _expected(reason: str) -> str:
    """Return what msgspec says that it takes, or what it only says is wrong."""
    if _MISSING.search(reason):
        return "a value, as it is required"
    if "RFC3339" in reason or "timezone component" in reason:
        return "a time with its zone, as 2026-12-24T09:00:00Z"
    found = _EXPECTED.match(reason)
    return (found["allowed"] if found else reason).replace("`", "")


def _known(hints: list[Any], reason: str) -> str:
    """Return the names or values of the closed set that *hints* are, or nothing."""
    if _UNKNOWN.search(reason):
        return ", ".join(field.encode_name for kind in _structs(hints) for field in _fields(kind))
    values = [arg for hint in hints if get_origin(hint) is Literal for arg in get_args(hint)]
    return ", ".join(map(str, values))


def _place(kind: Any, path: str, given: Any) -> tuple[list[str], list[Any]]:
    """Return the steps of msgspec's *path* into *given*, and the types that may stand there.

    Of an object with free keys msgspec does not tell which; it is the first whose value is wrong.
    """
    steps: list[str] = []
    hints = _options(kind)
    for match in _STEP.finditer(path):
        if match["any"]:
            kinds = [get_args(hint)[1] for hint in hints if get_origin(hint) is dict]
            values = given if isinstance(given, dict) else {}
            step = next((key for key in values if not _fits(values[key], kinds)), "")
            hints = [one for kind in kinds for one in _options(kind)]
        elif match["number"]:
            step = match["number"]
            hints = [one for hint in hints for one in _items(hint, int(step))]
        else:
            step = match["name"]
            hints = [one for struct in _meant(hints, given) for one in _field(struct, step)]
        given = _inside(given, step)
        steps.append(step)
    if isinstance(given, Mapping):
        hints = _meant(hints, given) or hints
    return steps, hints


def _inside(given: Any, step: str) -> Any:
    try:
        return given[int(step)] if isinstance(given, list) else given[step]
    except (LookupError, TypeError, ValueError):
        return None


def _fits(value: Any, hints: list[Any]) -> bool:
    try:
        msgspec.convert(value, Union[tuple(hints)])  # noqa: UP007 made of a list
    except msgspec.ValidationError:
        return False
    return True


def _options(hint: Any) -> list[Any]:
    """Return the types of a union, or the one type, without their constraints."""
    if get_origin(hint) is Annotated:
        return _options(get_args(hint)[0])
    if get_origin(hint) in {Union, UnionType}:
        return [one for arg in get_args(hint) for one in _options(arg)]
    return [hint]


def _items(hint: Any, number: int) -> list[Any]:
    """Return the types of an item of a list."""
    args = get_args(hint)
    if get_origin(hint) not in {tuple, list} or not args:
        return []
    free = get_origin(hint) is list or args[-1] is Ellipsis
    return _options(args[0] if free else args[min(number, len(args) - 1)])


def _structs(hints: Iterable[Any]) -> list[Any]:
    return [hint for hint in hints if isinstance(hint, type) and issubclass(hint, msgspec.Struct)]


def _meant(hints: list[Any], given: Any) -> list[Any]:
    """Return the structs of *hints*, or that alone which the tag in *given* names."""
    structs = _structs(hints)
    named = [s for s in structs if _tag_in(s, given) == _tag(s) is not None]
    return named or structs


def _tag_in(struct: Any, given: Any) -> Any:
    name = struct.__struct_config__.tag_field
    return given.get(name) if name and isinstance(given, Mapping) else None


def _tag(struct: Any) -> Any:
    return struct.__struct_config__.tag


def _field(struct: Any, name: str) -> list[Any]:
    """Return the types of a field; of the one that tells structs apart: what it may say."""
    if struct.__struct_config__.tag_field == name:
        return [Literal[_tag(struct)]]
    hints = get_type_hints(struct, include_extras=True)
    found = [hints[field.name] for field in _fields(struct) if field.encode_name == name]
    return [one for hint in found for one in _options(hint)]


def _fields(struct: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(struct)
