"""Reading requests strictly: every wrong field is named, with what is allowed there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from libs.common.errors import InvalidInputError
from libs.common.strict import unknown_fields
from services.desk.api.problem import RefusalError

T = TypeVar("T")

Plain = Annotated[str, Meta(pattern=r"^[^\x00]*$")]
"""Text without U+0000, which no store keeps."""

MAX_VALUES = 50
"""Values of one multi-valued parameter."""

KEY = re.compile(r"[\x21-\x7e]{1,128}")
"""An idempotency key: 1 to 128 visible ASCII characters."""

_PATTERNS = {
    r"^[^\x00]*$": "text without U+0000 is expected",
    r"^[a-z0-9][a-z0-9-]{0,47}$": "1 to 48 small letters, digits and hyphens, no hyphen first",
    r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$": "a time of day from 00:00 to 24:00",
    r"^\d{4}-\d{2}-\d{2}$": "a date such as 2026-12-25",
}
_AT = re.compile(r" - at `(?P<path>[^`]*)`$")
_FIELD = re.compile(r"(?:unknown|required) field `(?P<field>[^`]*)`")
_STEP = re.compile(r"\.\.\.|\.([^.\[]+)|\[(\d*)\]|\[\.\.\.\]")


def read_body(kind: type[T], body: bytes) -> T:
    """Decode a JSON body.

    Raises:
        RefusalError: 400, it is not JSON at all: broken syntax, bad UTF-8, nested too deep.
        InvalidInputError: 422, a field has the wrong type, is unknown, or is missing.
    """
    try:
        found = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise wrong_field(kind, str(error)) from None
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and bad UTF-8 too
        raise RefusalError(400, "malformed_json", "The body is not valid JSON in UTF-8.") from None
    for unknown in unknown_fields(found, msgspec.json.decode(body)):
        path = ".".join(map(str, unknown.steps))[:100]
        raise InvalidInputError(
            f"{path}: this field is not known; allowed: {unknown.allowed}.",
            field=path,
            allowed=unknown.allowed,
        )
    return found


def read_query(kind: type[T], pairs: Iterable[tuple[str, str]]) -> T:
    """Turn a query string into *kind*: tuples take several values, by comma or repetition.

    Raises:
        InvalidInputError: A parameter is unknown, repeated, or has a value that is not allowed.
    """
    fields = query_fields(kind)
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name not in fields:
            allowed = ", ".join(fields) or "none"
            raise InvalidInputError(
                f"The query parameter {name!r} is not known here; allowed: {allowed}.",
                field=name[:100],
                allowed=allowed,
            )
        if fields[name]:
            values.setdefault(name, []).extend(part for part in text.split(",") if part)
        elif name in values:
            raise InvalidInputError(f"The query parameter {name!r} stands twice.", field=name)
        else:
            values[name] = text
    _check_counts(values)
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise wrong_field(kind, str(error)) from None


def query_fields(kind: Any) -> dict[str, bool]:
    """Return the parameters' names, and whether each takes several values."""
    hints = get_type_hints(kind)
    return {
        field.encode_name: get_origin(hints[field.name]) is tuple
        for field in msgspec.structs.fields(kind)
    }


def idempotency_key(headers: Mapping[str, str]) -> str:
    """Return the `Idempotency-Key`.

    Raises:
        RefusalError: 400, it is missing.
        InvalidInputError: 422, it is too long or holds other than visible ASCII characters.
    """
    key = headers.get("idempotency-key", "")
    if not key:
        raise RefusalError(
            400,
            "idempotency_key_missing",
            "The header Idempotency-Key is required: repeat it to repeat the request safely.",
            field="Idempotency-Key",
        )
    return checked_key(key)


def checked_key(key: str) -> str:
    """Return *key*.

    Raises:
        InvalidInputError: 422, it is too long or holds other than visible ASCII characters.
    """
    if not KEY.fullmatch(key):
        allowed = "1 to 128 visible ASCII characters"
        raise InvalidInputError(
            f"The header Idempotency-Key takes {allowed}.", field="Idempotency-Key", allowed=allowed
        )
    return key


def wrong_field(kind: Any, text: str) -> InvalidInputError:
    """Turn msgspec's sentence about *kind* into one that names the field and what it takes."""
    at = _AT.search(text)
    reason = text[: at.start()] if at else text
    steps = [match[1] or match[2] for match in _STEP.finditer(at["path"])] if at else []
    if named := _FIELD.search(reason):
        steps.append(named["field"])
    field = ".".join(step for step in steps if step)[:100] or "body"
    allowed = ", ".join(map(str, _literals(kind, steps)))
    if "matching regex" in reason:
        reason = allowed = _expected_text(reason)
    elif allowed:
        reason = f"{reason}; allowed: {allowed}"
    return InvalidInputError(f"{field}: {reason}.", field=field, allowed=allowed or reason[:200])


def _expected_text(reason: str) -> str:
    """Return what a pattern asks for, in words."""
    for pattern, words in _PATTERNS.items():
        if repr(pattern) in reason:
            return words
    return reason


def _literals(kind: Any, steps: Sequence[str | None]) -> tuple[Any, ...]:
    """Return the values that the hint at *steps* allows, or nothing where it is no closed set."""
    hint = kind
    for step in steps:
        structs = _structs(hint)
        tags = [s.__struct_config__.tag for s in structs if s.__struct_config__.tag_field == step]
        if tags:
            return tuple(tags)
        names = {name: found for struct in structs for name, found in _hints(struct).items()}
        hint = names.get(step, hint)
    while get_origin(hint) in {Annotated, tuple, UnionType, Union}:
        hint = get_args(hint)[0]
    return get_args(hint) if get_origin(hint) is Literal else ()


def _structs(hint: Any) -> list[Any]:
    """Return the structs in a hint: itself, or those of its values and options."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return [hint]
    return [struct for arg in get_args(hint) for struct in _structs(arg)]


def _hints(struct: Any) -> dict[str | None, Any]:
    hints = get_type_hints(struct)
    return {field.encode_name: hints[field.name] for field in msgspec.structs.fields(struct)}


def _check_counts(values: Mapping[str, Any]) -> None:
    """Refuse a filter without a value, which would be no filter, and one with too many."""
    for name, found in values.items():
        if isinstance(found, list) and not 1 <= len(found) <= MAX_VALUES:
            allowed = f"1 to {MAX_VALUES} values"
            raise InvalidInputError(
                f"The query parameter {name!r} takes {allowed}.", field=name, allowed=allowed
            )
