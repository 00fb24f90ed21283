"""Finding fields that nobody knows in what people have written.

What is stored may have fields that this version does not know, and is read leniently; what people
send is not: a misspelt field would be dropped in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

Steps = tuple[str | int, ...]


class Unknown(msgspec.Struct, frozen=True):
    """A field that is not known; `steps` lead to it, `allowed` names those that are."""

    steps: Steps
    allowed: str


def unknown_fields(found: Any, given: Any, steps: Steps = ()) -> Iterator[Unknown]:
    """Yield each field in *given*, as decoded plainly, that *found* was not made of."""
    if isinstance(found, msgspec.Struct) and isinstance(given, dict):
        yield from _unknown_of_struct(found, given, steps)
    elif isinstance(found, dict) and isinstance(given, dict):
        for name in found.keys() & given.keys():
            yield from unknown_fields(found[name], given[name], (*steps, name))
    elif isinstance(found, tuple | list) and isinstance(given, list):
        for number, pair in enumerate(zip(found, given, strict=False)):
            yield from unknown_fields(*pair, (*steps, number))


def _unknown_of_struct(
    found: msgspec.Struct, given: Mapping[str, Any], steps: Steps
) -> Iterator[Unknown]:
    tag = found.__struct_config__.tag_field
    names = dict(zip(found.__struct_encode_fields__, found.__struct_fields__, strict=True))
    for name, value in given.items():
        if name in names:
            yield from unknown_fields(getattr(found, names[name]), value, (*steps, name))
        elif name != tag:
            yield Unknown((*steps, name), ", ".join((tag, *names) if tag else names))
