"""JSON schemas of what is answered and of what is asked, from the structs.

An answer has every field, so all of them are required there; a request may leave out what has a
default. A struct that stands in both gets two schemas where these differ: `Rule` and `RuleInput`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args, get_type_hints

import msgspec

REF = "#/components/schemas/{name}"
_NAMED = re.compile(r'"#/components/schemas/([^"]+)"')

Schema = dict[str, Any]


class Schemas(msgspec.Struct, frozen=True, kw_only=True):
    """Schemas of answers and of requests by type, and the components they refer to by name."""

    answers: Mapping[Any, Schema]
    requests: Mapping[Any, Schema]
    components: Mapping[str, Schema]


def schemas_of(answers: Iterable[Any], requests: Iterable[Any]) -> Schemas:
    """Return the schemas of the types."""
    answered, asked = list(dict.fromkeys(answers)), list(dict.fromkeys(requests))
    out, out_parts = msgspec.json.schema_components(answered, ref_template=REF)
    in_, in_parts = msgspec.json.schema_components(asked, ref_template=REF)
    whole = {
        kind.__name__ for kind in _structs(answered) if not kind.__struct_config__.omit_defaults
    }
    out_parts = {
        name: {**part, "required": list(part["properties"])}
        if name in whole and part.get("properties")
        else part
        for name, part in out_parts.items()
    }
    names = {name: f"{name}Input" for name in _apart(out_parts, in_parts)}
    in_parts = {names.get(name, name): _renamed(part, names) for name, part in in_parts.items()}
    return Schemas(
        answers=dict(zip(answered, out, strict=True)),
        requests=dict(zip(asked, (_renamed(schema, names) for schema in in_), strict=True)),
        components=dict(sorted({**in_parts, **out_parts}.items())),
    )


def _apart(one: Mapping[str, Schema], other: Mapping[str, Schema]) -> set[str]:
    """Return the names under which the two differ, by themselves or in what they refer to."""
    both = one.keys() & other.keys()
    apart = {name for name in both if one[name] != other[name]}
    while more := {name for name in both - apart if apart & set(_NAMED.findall(_text(one[name])))}:
        apart |= more
    return apart


def _renamed(schema: Schema, names: Mapping[str, str]) -> Schema:
    def fresh(found: re.Match[str]) -> str:
        return f'"{REF.format(name=names.get(found[1], found[1]))}"'

    renamed: Schema = msgspec.json.decode(_NAMED.sub(fresh, _text(schema)))
    return renamed


def _text(schema: Schema) -> str:
    return msgspec.json.encode(schema).decode()


def _structs(kinds: Iterable[Any]) -> Iterator[Any]:
    """Yield every struct in the types, those inside of others too, once."""
    seen: set[Any] = set()
    waiting = list(kinds)
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in seen:
            seen.add(kind)
            yield kind
            waiting += get_type_hints(kind, include_extras=True).values()
        waiting += get_args(kind)
