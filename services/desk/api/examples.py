"""Examples for the OpenAPI document, made from the types: each is valid for the type it is of.

A field's value goes by its name where the name tells what it is (`email`, `color`), else by its
type. Of a request only what it needs is shown, and a little of what it may have; `BODIES` has those
that would say too little.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import inspect

AT = "2026-03-01T12:00:00Z"
DEEPEST = 3
MOST_OPTIONAL = 2

WORDS: Mapping[str, str] = {
    "account": "acme-line",
    "agent": "agt-4f1c",
    "allowed": "one of online, away, offline",
    "because": "rule:vip",
    "birthday": "1990-05-17",
    "channel": "line",
    "code": "invalid_input",
    "address": "eve@example.org",
    "at": "2026-03-02T09:00",
    "assignee": "agt-4f1c",
    "bot": "bot-faq",
    "color": "#2f855a",
    "contact": "con-91ac",
    "cursor": "",
    "date": "2026-12-25",
    "email": "eve@example.org",
    "endpoint": "https://push.example.org/send/abc",
    "excerpt": "Where is my order?",
    "external_id": "U0001",
    "file": "order.pdf",
    "folder": "fld-77b0",
    "id": "abc-123",
    "language": "en",
    "link": "https://desk.example.org/",
    "local": "2026-03-02T09:00",
    "mime_type": "application/pdf",
    "name": "Eve Example",
    "next": "eyJpZCI6ImFiYyJ9",
    "note": "Called back on Monday.",
    "password": "correct horse battery staple",
    "phone": "+66 2 123 4567",
    "pattern": "order [0-9]+",
    "q": "order",
    "query": "order",
    "question": "Where is my order?",
    "reason": "window_closed",
    "session": "ses-5e2d",
    "slug": "acme-line",
    "summary": "Where is my order?",
    "team": "support",
    "text": "Hello, how can I help you?",
    "title": "Greeting",
    "token": "rdk_acme.tok.secret",
    "url": "https://hooks.example.org/relaydesk",
    "username": "eve",
    "visitor": "U0002",
    "words": "order",
    "workspace": "acme",
    "zone": "Asia/Bangkok",
}
BODIES: Mapping[str, Any] = {
    "NewMessage": {"text": "Hello, how can I help you?"},
    "Bulk": {"ids": ["ses-5e2d"], "action": "claim"},
    "SettingsPatch": {"auto_assign": True, "end_session_confirm": True},
    "NewTag": {"name": "VIP", "color": "#2f855a"},
    "TagPatch": {"name": "VIP"},
    "TeamBody": {"name": "Support"},
    "CalendarBody": {"name": "Office", "zone": "Asia/Bangkok"},
    "NewBot": {"name": "Questions", "kind": "faq"},
    "NewScheduled": {
        "session": "ses-5e2d",
        "name": "Ask again",
        "text": "Did it arrive?",
        "at": "2026-03-02T09:00",
        "zone": "Asia/Bangkok",
    },
    "NewNote": {"text": "Called back on Monday.", "mentions": ["agt-4f1c"]},
    "ContactPatch": {"zone": "Asia/Bangkok", "fields": {"plan": "gold"}},
}
"""Bodies by the name of their type."""

_SIMPLE: Mapping[type, Any] = {
    inspect.BoolType: True,
    inspect.DateTimeType: AT,
    inspect.NoneType: None,
    inspect.AnyType: {},
    inspect.RawType: {},
}


def example_of(kind: Any, *, request: bool = False) -> Any:
    """Return a value, as plain data, that *kind* takes or is answered as.

    Raises:
        LookupError: No value was found for a field; name one in `WORDS` or `BODIES`.
    """
    name = getattr(kind, "__name__", "")
    if request and name in BODIES:
        return BODIES[name]
    return _value(inspect.type_info(kind), "", request, 0)


def _value(kind: inspect.Type, name: str, request: bool, depth: int) -> Any:
    match kind:
        case inspect.Metadata(type=inner):
            return _value(inner, name, request, depth)
        case inspect.StructType():
            return _struct(kind, request, depth)
        case inspect.UnionType(types=types):
            return _value(_first(types, depth), name, request, depth)
        case inspect.DictType(key_type=key, value_type=value):
            few = {_text_or(key): _value(value, name, request, depth + 1)}
            return few if depth < DEEPEST else {}
        case _:
            return _many(kind, name, request, depth)


def _many(kind: inspect.Type, name: str, request: bool, depth: int) -> Any:
    match kind:
        case (
            inspect.VarTupleType(item_type=item, min_length=least)
            | inspect.ListType(item_type=item, min_length=least)
        ):
            if depth >= DEEPEST and not least:
                return []
            one = _value(item, name.removesuffix("s"), request, depth + 1)
            return [one] * max(least or 0, 1)
        case inspect.TupleType(item_types=items):
            return [_value(item, name, request, depth + 1) for item in items]
        case _:
            return _plain(kind, name)


def _plain(kind: inspect.Type, name: str) -> Any:
    if type(kind) in _SIMPLE:
        return _SIMPLE[type(kind)]
    match kind:
        case inspect.LiteralType(values=values):
            return next((value for value in values if value != ""), values[0])
        case inspect.IntType() | inspect.FloatType():
            return _number(kind)
        case inspect.StrType():
            return _text(kind, name)
        case _:
            raise LookupError(f"{name}: no example for {kind}")


def _text_or(key: inspect.Type) -> Any:
    return _value(key, "key", False, DEEPEST)


def _first(types: tuple[inspect.Type, ...], depth: int) -> inspect.Type:
    """Return what of a union is shown: something rather than nothing, but no end of it."""
    some = [one for one in types if not isinstance(one, inspect.NoneType)]
    none = [one for one in types if isinstance(one, inspect.NoneType)]
    return none[0] if none and (depth >= DEEPEST or not some) else some[0]


def _struct(kind: inspect.StructType, request: bool, depth: int) -> dict[str, Any]:
    if kind.tag_field is not None and depth >= DEEPEST:
        request = True
    found: dict[str, Any] = {}
    if kind.tag_field is not None:
        found[kind.tag_field] = kind.tag
    optional = 0
    for field in kind.fields:
        if request and not field.required:
            known = field.name in WORDS and optional < MOST_OPTIONAL
            if not known or depth:
                continue
            optional += 1
        if depth >= DEEPEST and not field.required:
            continue
        found[field.encode_name] = _value(field.type, field.name, request, depth + 1)
    return found


def _number(kind: inspect.IntType | inspect.FloatType) -> float:
    least = kind.ge if kind.ge is not None else (kind.gt + 1 if kind.gt is not None else None)
    most = kind.le if kind.le is not None else (kind.lt - 1 if kind.lt is not None else None)
    wanted = 1 if least is None else max(1, least)
    return wanted if most is None else min(wanted, most)


def _text(kind: inspect.StrType, name: str) -> str:
    for text in (WORDS.get(name, ""), "example", "abc-123", "09:00", "2026-03-02T09:00", "a" * 32):
        if text and _fits(kind, text):
            return text
    if _fits(kind, ""):
        return ""
    raise LookupError(f"{name}: no example fits {kind}")


def _fits(kind: inspect.StrType, text: str) -> bool:
    try:
        msgspec.convert(text, _annotated(kind))
    except msgspec.ValidationError:
        return False
    return True


def _annotated(kind: inspect.StrType) -> Any:
    meta = msgspec.Meta(
        min_length=kind.min_length, max_length=kind.max_length, pattern=kind.pattern or ""
    )
    return Annotated[str, meta]
