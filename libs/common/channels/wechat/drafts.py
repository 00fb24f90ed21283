"""A message of ours as WeChat's customer-service messages.

Source: WeChat Official Account documentation, "Customer service messages", "Upload temporary
media", read 2026-10. The limits of `msgmenu` are those of WeChat's customer-service product, whose
documentation has the same message: none are told for Official Accounts.
"""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.channel import Outbound, OutgoingFile
from libs.common.errors import RejectedError
from libs.common.events import Choice, ChoicesPart, LocationPart, TextPart
from libs.common.outgoing import MediaPiece, Piece, Rules, pieces, place_text, sendable
from libs.common.text import measure

TEXT_LIMIT = 1600
"""Characters; the documented limit is in bytes and not confirmed."""
LONGEST_VOICE_MS = 60_000
MENU_ENTRIES = 10
_MENU_HEAD = 1024  # bytes, as the next two
_MENU_ID = 64
_MENU_TITLE = 128

RULES = Rules(
    text_limit=TEXT_LIMIT,
    carries=frozenset(("text", "image", "audio", "video", "file", "location", "choices", "typing")),
    media_limits={"image": 10 * 1024**2, "audio": 2 * 1024**2, "video": 10 * 1024**2},
    media_types={
        "image": frozenset({"image/jpeg", "image/png", "image/gif"}),
        "audio": frozenset({"audio/mpeg", "audio/amr"}),
        "video": frozenset({"video/mp4"}),
    },
)

_MEDIA_TYPES = {"image": "image", "audio": "voice", "video": "video"}


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """One call of `custom/send`: `type` is the msgtype, and names the object with `content`.

    With `file`, the `media_id` of its upload goes into the content.
    """

    type: str
    content: dict[str, Any]
    file: OutgoingFile | None = None


def drafts_of(message: Outbound) -> list[Draft]:
    """Return what *message* is sent as, in order.

    WeChat has no message for files and places: they go as a text with a link.

    Raises:
        RejectedError: As `outgoing.pieces`; `file_needs_link`: a file has none.
    """
    return [_draft(piece) for piece in pieces(message, RULES, _is_menu)]


def count_calls(message: Outbound) -> int:
    """Return how many customer-service messages *message* becomes.

    Raises:
        RejectedError: As `drafts_of`.
    """
    return len(drafts_of(message))


def _draft(piece: Piece) -> Draft:
    if isinstance(piece, TextPart):
        return _text(piece.text)
    if isinstance(piece, LocationPart):
        return _text(place_text(piece))
    if isinstance(piece, ChoicesPart):
        return _menu(piece)
    if isinstance(piece, MediaPiece) and piece.file is not None:
        return _media(piece.kind, piece.file)
    raise RejectedError(f"{type(piece).__name__} cannot be sent", reason="bad_content")


def _text(text: str) -> Draft:
    return Draft(type="text", content={"content": text})


def _media(kind: str, file: OutgoingFile) -> Draft:
    named = _MEDIA_TYPES.get(kind)
    too_long = kind == "audio" and (file.duration_ms or 0) > LONGEST_VOICE_MS
    if named is None or too_long:
        return _linked(file)
    # The picture in front of a film is optional in practice: clients left it out for years.
    content = {"title": sendable(file.name)} if named == "video" else {}
    return Draft(type=named, content=content, file=file)


def _linked(file: OutgoingFile) -> Draft:
    if not file.link:
        raise RejectedError("no public link to the file", reason="file_needs_link")
    return _text(f"{sendable(file.name)}\n{file.link}".lstrip())


# --- things to tap -----------------------------------------------------------------------------


def _is_menu(part: ChoicesPart) -> bool:
    """Tell whether it fits a menu message, whose entries are tapped; they open no pages."""
    head = measure(sendable(part.text), "bytes")
    fits = 0 < len(part.choices) <= MENU_ENTRIES and head <= _MENU_HEAD
    return fits and bool(part.text.strip()) and all(map(_is_entry, part.choices))


def _is_entry(choice: Choice) -> bool:
    title = sendable(choice.title)
    plain = bool(title.strip()) and not choice.url and not choice.description
    return plain and measure(title, "bytes") <= _MENU_TITLE and len(_entry_id(choice)) <= _MENU_ID


def _entry_id(choice: Choice) -> bytes:
    return sendable(choice.payload or choice.title).encode()


def _menu(part: ChoicesPart) -> Draft:
    entries = [
        {"id": _entry_id(choice).decode(), "content": sendable(choice.title)}
        for choice in part.choices
    ]
    return Draft(
        type="msgmenu",
        content={"head_content": sendable(part.text), "list": entries, "tail_content": ""},
    )
