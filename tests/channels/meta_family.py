"""What the tests of the Meta family share: events without the usual, bodies as values."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from libs.common.channel import HttpCall, HttpReply, Outbound, OutgoingFile, Sent
from libs.common.events import ContentPart, InboundEvent, MediaKind, MediaPart
from libs.common.providers.graph import VERSION
from tests.channels.conformance import Subject, play


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


# --- sending -----------------------------------------------------------------------------------

FILES = {
    found.id: found
    for found in (
        OutgoingFile(id="att_png", name="a.png", mime_type="image/png", size_bytes=10),
        OutgoingFile(id="att_big", name="b.png", mime_type="image/png", size_bytes=9 * 2**20),
        OutgoingFile(id="att_ogg", name="a.ogg", mime_type="audio/ogg", size_bytes=10),
        OutgoingFile(id="att_mp4", name="a.mp4", mime_type="video/mp4", size_bytes=10),
        OutgoingFile(id="att_mov", name="a.mov", mime_type="video/quicktime", size_bytes=10),
        OutgoingFile(id="att_m4a", name="a.m4a", mime_type="audio/mp4", size_bytes=10),
        OutgoingFile(id="att_pdf", name="a.pdf", mime_type="application/pdf", size_bytes=10),
        OutgoingFile(
            id="att_huge", name="c.pdf", mime_type="application/pdf", size_bytes=26 * 2**20
        ),
    )
}
LINKED = {
    name: msgspec.structs.replace(file, link=f"https://files.example/{name}")
    for name, file in FILES.items()
}
"""The same files where the installation has a public address."""


def message(*parts: ContentPart, **more: Any) -> Outbound:
    return Outbound(
        **{"message_id": "msg_1", "recipient": "V-1", "parts": parts, "files": FILES, **more}
    )


def media(kind: MediaKind, name: str) -> MediaPart:
    return MediaPart(kind=kind, attachment=f"att_{name}")


def calls_of(subject: Subject, outbound: Outbound) -> tuple[list[HttpCall], Sent]:
    """Send with a provider that takes everything and numbers its ids."""
    replies = [
        HttpReply(
            status=200,
            body=json.dumps(
                {
                    "recipient_id": "PSID-9",
                    "message_id": f"m_{number}",
                    "attachment_id": f"a_{number}",
                    "id": f"55_{number}",
                }
            ).encode(),
        )
        for number in range(1, 9)
    ]
    return play(subject.channel.send(subject.account, outbound), *replies)


def shown(call: HttpCall) -> tuple[str, Any]:
    """Return a call as (address below the version, body); an upload as its file and fields."""
    address = call.url.partition(f"/{VERSION}/")[2]
    if call.upload is None:
        return address, json.loads(call.body)
    fields = {name: json.loads(value) for name, value in call.upload.fields.items()}
    return address, {call.upload.field: call.upload.file.id, **fields}
