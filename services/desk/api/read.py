"""Reading requests strictly: every wrong field is named, with what is allowed there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from libs.common.errors import InvalidInputError
from libs.common.strict import unknown_fields
from libs.common.wrong_field import wrong_field
from services.desk.api.problem import RefusalError

T = TypeVar("T")

Plain = Annotated[str, Meta(pattern=r"^[^\x00]*$")]
"""Text without U+0000, which no store keeps."""

MAX_VALUES = 50
"""Values of one multi-valued parameter."""

KEY = re.compile(r"[\x21-\x7e]{1,128}")
"""An idempotency key: 1 to 128 visible ASCII characters."""


def read_body(kind: type[T], body: bytes) -> T:
    """Decode a JSON body.

    Raises:
        RefusalError: 400, it is not JSON at all: broken syntax, bad UTF-8, nested too deep.
        InvalidInputError: 422, a field has the wrong type, is unknown, or is missing.
    """
    try:
        found = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        _check_syntax(body)
        raise wrong_field(kind, str(error), _whole(body)) from None
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and bad UTF-8 too
        raise _malformed() from None
    for unknown in unknown_fields(found, msgspec.json.decode(body)):
        path = ".".join(map(str, unknown.steps))[:100]
        raise InvalidInputError(
            f"{path}: this field is not known; allowed: {unknown.allowed}.",
            field=path,
            allowed=unknown.allowed,
        )
    return found


def _malformed() -> RefusalError:
    return RefusalError(400, "malformed_json", "The body is not valid JSON in UTF-8.")


def _check_syntax(body: bytes) -> None:
    """Refuse what is no JSON behind the place where a field was wrong.

    Raises:
        RefusalError: 400.
    """
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except RecursionError:
        return
    except ValueError:
        raise _malformed() from None


def _whole(body: bytes) -> Any:
    """Return the body as plain values, or nothing: it was not read to its end yet."""
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None


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
        raise wrong_field(kind, str(error), values) from None


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


def _check_counts(values: Mapping[str, Any]) -> None:
    """Refuse a filter without a value, which would be no filter, and one with too many."""
    for name, found in values.items():
        if isinstance(found, list) and not 1 <= len(found) <= MAX_VALUES:
            allowed = f"1 to {MAX_VALUES} values"
            raise InvalidInputError(
                f"The query parameter {name!r} takes {allowed}.", field=name, allowed=allowed
            )
