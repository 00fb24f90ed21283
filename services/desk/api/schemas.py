"""JSON schemas of what is answered and of what is asked, from the structs.

An answer has every field, so all of them are required there; a request may leave out what has a
default. A struct that stands in both gets two schemas where these differ: `Rule` and `RuleInput`.
A tuple of so many is told by `prefixItems` with the least and most of them; the `items: false` that
says the same once more is left out, as makers of clients take no schema that is a boolean.
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
        if name.rpartition(".")[2] in whole and part.get("properties")
        else part
        for name, part in out_parts.items()
    }
    short = {name: _short(name) for name in {*out_parts, *in_parts}}
    apart = _apart(out_parts, in_parts)
    names = {**short, **{name: f"{short[name]}Input" for name in apart}}
    components = {**_named(in_parts, names), **_named(out_parts, short)}
    return Schemas(
        answers=dict(zip(answered, (_renamed(schema, short) for schema in out), strict=True)),
        requests=dict(zip(asked, (_renamed(schema, names) for schema in in_), strict=True)),
        components=dict(sorted(components.items())),
    )


def _short(name: str) -> str:
    """Return a word for `package.module.Struct`, as msgspec calls two of the same name."""
    *modules, last = name.split(".")
    return "".join(part.capitalize() for part in "".join(modules[-1:]).split("_")) + last


def _named(parts: Mapping[str, Schema], names: Mapping[str, str]) -> dict[str, Schema]:
    """Return the parts by their new names, each with its name as its only title."""
    return {
        names[name]: {**_plain(_renamed(part, names)), "title": names[name]}
        for name, part in parts.items()
    }


def _plain(schema: Any) -> Any:
    if isinstance(schema, dict):
        told = "prefixItems" in schema and "maxItems" in schema
        return {
            name: _plain(part) for name, part in schema.items() if not (told and name == "items")
        }
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema


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
