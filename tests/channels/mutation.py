"""Damaging real bodies with their structure in mind: JSON node by node, XML element by element."""

from __future__ import annotations

import json
import random
import re
from typing import Any

JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    0.5,
    10**30,
    "",
    "\0x\ud800",
    "9" * 400,
    [],
    [[]],
    [None],
    {},
    {"": None},
    {"id": [1]},
)
TEXTS: tuple[bytes, ...] = (
    b"",
    b"-1",
    b"9" * 400,
    b"&lt;",
    b"\xe4\xbd\xa0\xf0\x9f\x98\x80",
    b"<a/>",
    b"<![CDATA[]]>",
    b"<![CDATA[<x>]]>",
    b"\xff\xfe",
    b"&#0;",
    b"&#xD800;",
    b"&undefined;",
    b"text",
    b"event",
)
_ELEMENT = re.compile(rb"<(\w+)>(?:(?!<\1>).)*?</\1>", re.DOTALL)


def damaged(body: bytes, chance: random.Random) -> bytes:
    """Return *body* with one to three places changed so that its structure often stands."""
    for _ in range(chance.randint(1, 3)):
        body = _json(body, chance) if body[:1] in {b"{", b"["} else _xml(body, chance)
    return body


def _json(body: bytes, chance: random.Random) -> bytes:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return _bytes(body, chance)
    return json.dumps(with_one_changed(value, chance)).encode("utf-8", "surrogatepass")


def with_one_changed(value: Any, chance: random.Random) -> Any:
    """Return *value* with one node replaced by junk, doubled, taken out or moved."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(list(value))
        if chance.random() < 0.1:
            return {kept: inner for kept, inner in value.items() if kept != name}
        if chance.random() < 0.1:
            return {**value, chance.choice(list(value)): value[name]}
        return {**value, name: with_one_changed(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        if chance.random() < 0.2:
            return [*value, value[at]]
        return [*value[:at], with_one_changed(value[at], chance), *value[at + 1 :]]
    return chance.choice(JUNK)


def _xml(body: bytes, chance: random.Random) -> bytes:
    found = list(_ELEMENT.finditer(body, 1))
    if not found or chance.random() < 0.1:
        return _bytes(body, chance)
    one = chance.choice(found)
    name, text = one[1], chance.choice(TEXTS)
    other = chance.choice(found)[1]
    made = chance.choice(
        (
            b"<%b>%b</%b>" % (name, text, name),
            b"<%b>%b</%b>" % (other, text, other),
            b"",
            one[0] * 2,
            b"<%b>%b</%b>" % (name, one[0], name),
            b"<%b %b='1'/>" % (name, name),
        )
    )
    return body[: one.start()] + made + body[one.end() :]


def _bytes(body: bytes, chance: random.Random) -> bytes:
    if not body:
        return bytes([chance.randrange(256)])
    at = chance.randrange(len(body))
    return body[:at] + bytes([chance.randrange(256)]) * chance.randrange(3) + body[at + 1 :]
