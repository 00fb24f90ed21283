"""What the body of a send call holds for each kind of piece.

Source: WhatsApp Cloud API, "Messages" (read 2026-09).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from libs.common.channel import Account
from libs.common.channels.whatsapp.choices import interactive
from libs.common.channels.whatsapp.template import template
from libs.common.events import ChoicesPart, ContactPart, LocationPart, TemplatePart
from libs.common.outgoing import MediaPiece, Piece, sendable

_LINK = re.compile(r"https?://\S", re.IGNORECASE)
_WORDS = {"file": "document"}
_CAPTIONED = frozenset({"image", "video", "document"})


def place(piece: MediaPiece) -> str:
    """Return the name by which a file's upload is found again."""
    return f"{piece.kind} {piece.file.id if piece.file else ''}"


def content(
    account: Account, piece: Piece, uploads: Mapping[str, str], header: MediaPiece | None
) -> dict[str, Any]:
    """Return `type` and the object that it names; *uploads* are media ids by `place`."""
    if isinstance(piece, MediaPiece):
        return media(piece, uploads)
    if isinstance(piece, LocationPart):
        return {"type": "location", "location": _location(piece)}
    if isinstance(piece, ContactPart):
        return {"type": "contacts", "contacts": [_card(piece)]}
    if isinstance(piece, ChoicesPart):
        return {"type": "interactive", "interactive": interactive(piece)}
    if isinstance(piece, TemplatePart):
        above = media(header, uploads) if header else None
        return {"type": "template", "template": template(account, piece, above)}
    linked = _LINK.search(piece.text) is not None
    return {"type": "text", "text": {"body": piece.text, "preview_url": linked}}


def media(piece: MediaPiece, uploads: Mapping[str, str]) -> dict[str, Any]:
    """Return an uploaded file; a document has its name, and three kinds a caption."""
    kind = _WORDS.get(piece.kind, piece.kind)
    shown: dict[str, str] = {"id": uploads[place(piece)]}
    if piece.caption and kind in _CAPTIONED:
        shown["caption"] = piece.caption
    if kind == "document" and piece.file and piece.file.name:
        shown["filename"] = sendable(piece.file.name)
    return {"type": kind, kind: shown}


def _location(part: LocationPart) -> dict[str, Any]:
    names = {"name": sendable(part.name), "address": sendable(part.address)}
    known = {key: value for key, value in names.items() if value}
    return {"latitude": part.latitude, "longitude": part.longitude, **known}


def _card(part: ContactPart) -> dict[str, Any]:
    """A card needs a name; where there is none the first number or address stands for it."""
    phones = [{"phone": sendable(phone)} for phone in part.phones if phone.strip()]
    emails = [{"email": sendable(email)} for email in part.emails if email.strip()]
    name = sendable(part.name).strip() or (*part.phones, *part.emails)[0]
    card: dict[str, Any] = {"name": {"formatted_name": name, "first_name": name}}
    lists = {"phones": phones, "emails": emails}
    return {**card, **{key: rows for key, rows in lists.items() if rows}}
