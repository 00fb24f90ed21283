"""A message of ours as LINE's message objects, the bubbles of a conversation.

Source: LINE Messaging API reference, "Message objects", "Action objects", "Quick reply", read
2026-10.
"""

from __future__ import annotations

from typing import Any

from libs.common.channel import Outbound, OutgoingFile
from libs.common.errors import RejectedError
from libs.common.events import Choice, ChoicesPart, LocationPart, TextPart
from libs.common.outgoing import (
    MediaPiece,
    Piece,
    Rules,
    choices_text,
    pieces,
    place_text,
    sendable,
)
from libs.common.text import clusters, measure

Bubble = dict[str, Any]

RULES = Rules(
    text_limit=5000,
    text_unit="utf16",
    carries=frozenset(
        (
            "text",
            "image",
            "audio",
            "video",
            "file",
            "sticker",
            "location",
            "choices",
            "quote",
            "typing",
            "seen",
        )
    ),
    media_limits={"image": 10_000_000, "audio": 200_000_000, "video": 200_000_000},
    media_types={
        "image": frozenset({"image/jpeg", "image/png"}),
        "audio": frozenset({"audio/mpeg", "audio/mp4"}),
        "video": frozenset({"video/mp4"}),
    },
    needs_link=True,
)

QUICK_REPLIES = 13
BUTTONS = 4
CONFIRM_BUTTONS = 2
_LABEL = 20  # characters as a reader sees them
_DATA = 300
_TEMPLATE_TEXT = 160
_CONFIRM_TEXT = 240
_PLACE = 100  # characters of a place's title, and of its address
_URL = 1000
_QUOTING = frozenset({"text", "sticker"})


def bubbles(message: Outbound) -> list[Bubble]:
    """Return the message objects that *message* is sent as, in order.

    LINE has no message for files: they go as a text with the link, and so do a film without a
    preview picture and a sound of unknown length, which LINE would refuse.

    Raises:
        RejectedError: As `outgoing.pieces`; `bad_content`: a sticker without its package.
    """
    last = message.parts[-1] if message.parts else None

    def shows(part: ChoicesPart) -> bool:
        return _is_template(part) or (part is last and _is_quick_reply(part))

    made = [_bubble(piece) for piece in pieces(message, RULES, shows)]
    quoting = next((bubble for bubble in made if bubble["type"] in _QUOTING), None)
    if message.quote_token and quoting is not None:
        quoting["quoteToken"] = message.quote_token
    return made


def _bubble(piece: Piece) -> Bubble:
    if isinstance(piece, TextPart):
        return {"type": "text", "text": piece.text}
    if isinstance(piece, LocationPart):
        return _place(piece)
    if isinstance(piece, ChoicesPart):
        return _template(piece) if _is_template(piece) else _quick_reply(piece)
    if isinstance(piece, MediaPiece):
        return _media(piece)
    raise RejectedError(f"{type(piece).__name__} cannot be sent", reason="bad_content")


# --- files, stickers, places -------------------------------------------------------------------


def _media(piece: MediaPiece) -> Bubble:
    file = piece.file
    if file is None:
        return _sticker(piece)
    if piece.kind == "image":
        return _seen("image", file, file.preview_link or file.link)
    if piece.kind == "video" and file.preview_link:
        return _seen("video", file, file.preview_link)
    if piece.kind == "audio" and file.duration_ms:
        return {"type": "audio", "originalContentUrl": file.link, "duration": file.duration_ms}
    return {"type": "text", "text": f"{sendable(file.name)}\n{file.link}".lstrip()}


def _seen(kind: str, file: OutgoingFile, preview: str) -> Bubble:
    return {"type": kind, "originalContentUrl": file.link, "previewImageUrl": preview}


def _sticker(piece: MediaPiece) -> Bubble:
    if not piece.sticker_set:
        raise RejectedError("a sticker needs its package", reason="bad_content")
    return {"type": "sticker", "packageId": piece.sticker_set, "stickerId": piece.sticker_id}


def _place(place: LocationPart) -> Bubble:
    """Return a place; LINE demands both title and address."""
    where = f"{place.latitude:.6f}, {place.longitude:.6f}"
    name, address = _clip(sendable(place.name), _PLACE), _clip(sendable(place.address), _PLACE)
    if not name.strip() and not address.strip():
        name, address = where, place_text(place).rpartition("\n")[2]
    return {
        "type": "location",
        "title": name or address,
        "address": address or where,
        "latitude": place.latitude,
        "longitude": place.longitude,
    }


def _clip(text: str, limit: int) -> str:
    kept = ""
    for cluster in clusters(text):
        if len(kept) + len(cluster) > limit:
            break
        kept += cluster
    return kept


# --- things to tap -----------------------------------------------------------------------------


def _is_template(part: ChoicesPart) -> bool:
    """Tell whether it fits a confirm or buttons template, which stay in the conversation."""
    count, size = len(part.choices), len(sendable(part.text).strip())
    described = any(choice.description for choice in part.choices)
    room = _CONFIRM_TEXT if count == CONFIRM_BUTTONS else _TEMPLATE_TEXT
    fits = 0 < size <= room and 0 < count <= BUTTONS and not described
    return part.style != "quick_reply" and fits and all(map(_is_action, part.choices))


def _is_quick_reply(part: ChoicesPart) -> bool:
    """Tell whether it fits below a text; shown only there where that is the newest bubble."""
    size = measure(_quick_text(part), "utf16")
    fits = 0 < size <= RULES.text_limit and 0 < len(part.choices) <= QUICK_REPLIES
    return fits and bool(part.text.strip()) and all(map(_is_action, part.choices))


def _is_action(choice: Choice) -> bool:
    title = sendable(choice.title).strip()
    fits = 0 < sum(1 for _ in clusters(title)) <= _LABEL
    return fits and len(choice.payload or title) <= _DATA and len(choice.url) <= _URL


def _template(part: ChoicesPart) -> Bubble:
    text = sendable(part.text).strip()
    actions = [_action(choice) for choice in part.choices]
    kind = "confirm" if len(actions) == CONFIRM_BUTTONS else "buttons"
    template = {"type": kind, "text": text, "actions": actions}
    return {"type": "template", "altText": text, "template": template}


def _quick_reply(part: ChoicesPart) -> Bubble:
    items = [{"type": "action", "action": _action(choice)} for choice in part.choices]
    return {"type": "text", "text": _quick_text(part), "quickReply": {"items": items}}


def _quick_text(part: ChoicesPart) -> str:
    """Return the text above the choices, with what LINE's buttons have no room for."""
    described = any(choice.description for choice in part.choices)
    return choices_text(part) if described else sendable(part.text)


def _action(choice: Choice) -> Bubble:
    title = sendable(choice.title).strip()
    if choice.url:
        return {"type": "uri", "label": title, "uri": choice.url}
    data = sendable(choice.payload) or title
    return {"type": "postback", "label": title, "data": data, "displayText": title}
