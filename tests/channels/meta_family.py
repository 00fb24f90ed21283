"""What the tests of the Meta family share: events without the usual, bodies as values."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from libs.common.events import InboundEvent
from tests.channels.conformance import Subject


def told(event: InboundEvent, usual: dict[str, Any]) -> dict[str, Any]:
    """Return what *event* says beyond its kind, its id and what *usual* holds."""
    fields: dict[str, Any] = {name: None for name in event.__struct_fields__ if name in usual}
    fields |= json.loads(msgspec.json.encode(event))
    hidden = {"type", "event_id"}
    return {
        name: value
        for name, value in fields.items()
        if name not in hidden and not (name in usual and usual[name] == value)
    }


def parsed(subject: Subject, body: object) -> tuple[InboundEvent, ...]:
    """Return the events of a body given as Python values; lone surrogates stay escaped."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return subject.channel.parse(subject.account, subject.sign(raw)).events
