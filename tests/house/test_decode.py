"""What the lenient way into a payload makes of damaged, odd and hostile JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from libs.common.decode import MAX_DEPTH, clipped, salvage
from libs.common.errors import MalformedPayloadError

DEEPEST = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
DEEPER = b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)
CUT = b"[" * MAX_DEPTH + b"null" + b"]" * MAX_DEPTH
ABYSS = b"[" * 100_000 + b"]" * 100_000

CLIPPED: dict[str, tuple[bytes, bytes]] = {
    "nothing": (b"", b""),
    "a flat body": (b'{"a":[1,{"b":2}]}', b'{"a":[1,{"b":2}]}'),
    "as deep as allowed": (DEEPEST, DEEPEST),
    "one deeper": (DEEPER, CUT),
    "an abyss": (ABYSS, CUT),
    "neighbours on both sides": (
        b'{"a":1,"b":' + ABYSS + b',"c":[2]}',
        b'{"a":1,"b":' + CUT[1:-1] + b',"c":[2]}',
    ),
    "two of them": (b"[%b,%b]" % (ABYSS, ABYSS), b"[%b,%b]" % (CUT[1:-1], CUT[1:-1])),
    "several too deep in one list": (
        b"[" * MAX_DEPTH + b"[1],2,{},[3]" + b"]" * MAX_DEPTH,
        b"[" * MAX_DEPTH + b"null,2,null,null" + b"]" * MAX_DEPTH,
    ),
    "objects, with what is between their brackets": (
        b'{ "a" :' * 200 + b"1" + b" }" * 200,
        b'{ "a" :' * MAX_DEPTH + b"null" + b" }" * MAX_DEPTH,
    ),
    "brackets in text": (b'{"a":"' + b"[{" * 200 + b'"}', b'{"a":"' + b"[{" * 200 + b'"}'),
    "brackets behind an escaped quote": (
        b'["\\"' + b"[" * 200 + b'","\\\\",[1]]',
        b'["\\"' + b"[" * 200 + b'","\\\\",[1]]',
    ),
    "closing brackets in text of what is cut": (
        b"[" * MAX_DEPTH + b'["]]]"],1' + b"]" * MAX_DEPTH,
        b"[" * MAX_DEPTH + b"null,1" + b"]" * MAX_DEPTH,
    ),
    "text without an end": (b'["a[[', b'["a[['),
    "text that ends in a backslash": (b'["a\\', b'["a\\'),
    "an abyss without an end": (b"[" * 100_000, b"[" * MAX_DEPTH + b"null"),
    "more brackets than are looked at": (b"[]," * 400_000, b"[]," * 400_000),
}


@pytest.mark.parametrize(("body", "expected"), CLIPPED.values(), ids=CLIPPED)
def test_clipped(body: bytes, expected: bytes) -> None:
    assert clipped(body) == expected


SALVAGED: dict[str, tuple[bytes, Any]] = {
    "plain": (b'{"a":[1,2.5,true,null,"x"]}', {"a": [1, 2.5, True, None, "x"]}),
    "a byte-order mark": (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
    "broken UTF-8": (b'{"a":"\xff!"}', {"a": "\ufffd!"}),
    "half an emoji": (b'{"a":"\\ud83d!"}', {"a": "\ufffd!"}),
    "half an emoji in a name": (b'{"\\ud83d":1}', {"\ufffd": 1}),
    "a whole emoji": (b'"\\ud83d\\ude00"', "\U0001f600"),
    "a number of many digits": (b"[" + b"9" * 5_000 + b"]", ["9" * 5_000]),
    "no number": (b"[NaN,-Infinity]", ["NaN", "-Infinity"]),
    "a name that comes twice": (b'{"a":1,"a":2}', {"a": 2}),
    "as deep as allowed": (DEEPEST, json.loads(DEEPEST)),
    "one deeper": (DEEPER, json.loads(CUT)),
    "an abyss beside a good one": (
        b'{"a":"good","b":%b}' % ABYSS,
        {"a": "good", "b": json.loads(CUT[1:-1])},
    ),
}


@pytest.mark.parametrize(("body", "expected"), SALVAGED.values(), ids=SALVAGED)
def test_salvaged(body: bytes, expected: Any) -> None:
    assert salvage(body) == expected


REFUSED: dict[str, bytes] = {
    "nothing": b"",
    "words": b"hello",
    "cut": b'{"a":[1',
    "two values": b"{}{}",
    "an abyss without an end": b"[" * 100_000,
    "too many brackets, too deep": b"[[]," * 400_000,
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_refused(body: bytes) -> None:
    with pytest.raises(MalformedPayloadError):
        salvage(body)
