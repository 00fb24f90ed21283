"""One message for each kind of content that a channel may declare, and what a send makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from libs.common.channel import Carried, HttpCall, HttpReply, Outbound, OutgoingFile, Signal
from libs.common.events import (
    Choice,
    ChoicesPart,
    ContactPart,
    ContentPart,
    LocationPart,
    MediaKind,
    MediaPart,
    TemplatePart,
    TextPart,
)
from libs.common.simulate.samples import sample
from tests.channels.conformance import TAKEN, Subject, outbound

EVERY_ANSWER = HttpReply(
    status=200,
    body=json.dumps(
        {**json.loads(TAKEN.body), "attachment_id": "A1", "media_id": "M1", "success": True}
    ).encode(),
)
"""As `TAKEN`, and with the ids that uploads give."""

_EXTENSIONS: dict[MediaKind, tuple[str, ...]] = {
    "image": ("jpg", "png"),
    "audio": ("mp3", "m4a", "ogg"),
    "video": ("mp4",),
    "file": ("pdf",),
    "sticker": ("webp",),
}


def file_for(subject: Subject, kind: MediaKind) -> OutgoingFile:
    """Return a stored file that the channel takes as *kind*."""
    known = subject.channel.media_types.get(kind)
    fitting = [e for e in _EXTENSIONS[kind] if not known or sample(e).mime_type in known]
    found = sample(fitting[0])
    return OutgoingFile(
        id="att_1",
        name=found.name,
        mime_type=found.mime_type,
        size_bytes=len(found.content),
        link="https://chat.example/files/att_1?proof=link-proof-sample",
        preview_link="https://chat.example/files/att_1/preview?proof=link-proof-sample",
        duration_ms=1000,
    )


_CHOICES = (Choice(title="Yes", payload="YES"), Choice(title="No", payload="NO"))
_PLAIN: Mapping[str, ContentPart] = {
    "text": TextPart(text="hello"),
    "location": LocationPart(latitude=13.75, longitude=100.5, name="Shop", address="1 Road"),
    "contact": ContactPart(name="Ben Example", phones=("+15557770001",)),
    "choices": ChoicesPart(text="Shall we?", choices=_CHOICES, style="button"),
    "template": TemplatePart(name="hello_again", language="en", body=("Ada",), text="Hello Ada"),
}


def message_with(subject: Subject, what: Carried, **more: Any) -> Outbound:
    """Return a message whose content is *what*."""
    whole = outbound(subject, "hello")
    if what in _EXTENSIONS:
        file = file_for(subject, what)
        part = MediaPart(kind=what, attachment=file.id, name=file.name, mime_type=file.mime_type)
        more = {"parts": (part,), "files": {file.id: file}, **more}
    elif what == "quote":
        answered = "77:1001" if subject.channel.name == "telegram" else "55_1001"
        more = {"reply_to": answered, "quote_token": "quote-1", **more}
    elif what == "private_reply":
        more = {"way": "private", **more}
    else:
        more = {"parts": (_PLAIN[what],), **more}
    return msgspec.structs.replace(whole, **more)


def signal_of(subject: Subject, what: Carried) -> Signal:
    """Return the sign *what*, as the sender would ask for it."""
    return Signal(
        kind="typing" if what == "typing" else "seen",
        recipient="U-visitor-1" if subject.channel.name == "line" else "visitor-1",
        message_id="55_1001",
        read_token="read-1",
        access_token="fetched-token-sample" if subject.channel.token else "",
    )


def shown(calls: list[HttpCall]) -> list[tuple[Any, ...]]:
    """Return what calls would carry, in a form that compares."""
    return [(c.method, c.url, dict(c.headers), c.body, c.upload) for c in calls]


SIGNALS: frozenset[Carried] = frozenset({"typing", "seen"})
Make = Callable[[Subject, Carried], Outbound]
