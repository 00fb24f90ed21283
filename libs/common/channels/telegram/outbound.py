"""Sending through a Telegram bot.

Source: Telegram Bot API 10, "Available methods" and "Sending files" (read 2026-09).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

import msgspec

from libs.common.channel import (
    Account,
    Exchange,
    HttpCall,
    HttpReply,
    Outbound,
    Sent,
    Signal,
    SignalExchange,
)
from libs.common.channels.telegram import answers, calls, keyboard
from libs.common.channels.telegram.cards import contact_call, readable
from libs.common.channels.telegram.places import address, message_key, number_of
from libs.common.errors import AmbiguousSendError, NotSentError, RejectedError
from libs.common.events import ChoicesPart, ContactPart, LocationPart, TemplatePart, TextPart
from libs.common.outgoing import MediaPiece, Piece, Rules, pieces, sendable

_MIB = 1024 * 1024
_CAPTION = 1024

RULES = Rules(
    text_limit=keyboard.TEXT_LIMIT,
    text_unit="utf16",
    carries=frozenset(
        {
            "text", "image", "audio", "video", "file", "sticker", "location", "contact",
            "choices", "quote", "typing", "seen",
        }
    ),
    media_limits={
        "image": 10 * _MIB, "audio": 50 * _MIB, "video": 50 * _MIB, "file": 50 * _MIB,
        "sticker": 512 * 1024,
    },
    media_types={
        "image": frozenset({"image/jpeg", "image/png", "image/gif"}),
        "audio": frozenset({"audio/mpeg", "audio/mp4", "audio/ogg"}),
        "video": frozenset({"video/mp4"}),
        "sticker": frozenset({"image/webp", "video/webm", "application/x-tgsticker"}),
    },
    captions=dict.fromkeys(("image", "audio", "video", "file"), _CAPTION),
)  # fmt: skip
"""Counted in UTF-16 units, which is never more than Telegram's own count of characters."""


_TRIES = 3
"""Of a piece: as it is, to where the group moved, and as a document."""


class _Method(NamedTuple):
    """A method that sends a file, and the field that takes it."""

    name: str
    field: str


_METHODS = {
    "image": _Method("sendPhoto", "photo"),
    "audio": _Method("sendAudio", "audio"),
    "video": _Method("sendVideo", "video"),
    "file": _Method("sendDocument", "document"),
    "sticker": _Method("sendSticker", "sticker"),
}
_BY_TYPE = {
    ("image", "image/gif"): _Method("sendAnimation", "animation"),
    ("audio", "audio/ogg"): _Method("sendVoice", "voice"),
}


def send(account: Account, message: Outbound) -> Exchange:
    """Send the parts in order, each in a call of its own; the first quotes `reply_to`.

    There is no retry key. A group that became a supergroup is followed to its new id, which
    `Sent.linked_visitor` tells.

    Raises:
        RejectedError, CredentialError, ThrottledError, AmbiguousSendError: See `answers.read`.
    """
    laid_out = pieces(message, RULES, keyboard.can_show)
    todo = [readable(one) if isinstance(one, ContactPart) else one for one in laid_out]
    visitor = message.recipient
    sent: list[str] = []
    for piece in todo:
        quoted = "" if sent else message.reply_to
        try:
            visitor, number = yield from _shown(account, visitor, piece, quoted)
            sent.append(message_key(visitor, number))
        except (NotSentError, RejectedError, AmbiguousSendError) as error:
            error.provider_ids = tuple(sent)
            raise
    moved = visitor if visitor != message.recipient else ""
    return Sent(provider_ids=tuple(sent), via="message", linked_visitor=moved)


def _shown(
    account: Account, visitor: str, piece: Piece, quoted: str
) -> Generator[HttpCall, HttpReply, tuple[str, str]]:
    """Send one piece and return where it went, and its number.

    What proves that nothing was sent and how it can be is followed: a group that moved, a picture
    of a shape that only a document may have.
    """
    for _ in range(_TRIES):
        answer = answers.read((yield _piece_call(account, visitor, piece, quoted)))
        if answer.moved_to:
            visitor, quoted = answer.moved_to, ""
        elif answer.no_photo and isinstance(piece, MediaPiece) and piece.kind == "image":
            piece = msgspec.structs.replace(piece, kind="file")
        else:
            return visitor, answers.message_id(answer)
    raise RejectedError("the group moves on", reason="bad_recipient", provider_code="400")


def _piece_call(account: Account, visitor: str, piece: Piece, quoted: str) -> HttpCall:
    common = {**address(visitor), **_quoting(quoted)}
    if isinstance(piece, MediaPiece):
        return _file_call(account, piece, common)
    if isinstance(piece, ContactPart):
        return contact_call(account, piece, common)
    if isinstance(piece, LocationPart):
        return _place_call(account, piece, common)
    if isinstance(piece, ChoicesPart):
        fields = {"text": keyboard.text_of(piece), "reply_markup": keyboard.markup(piece)}
        return calls.call(account, "sendMessage", {**common, **fields})
    return calls.call(account, "sendMessage", {**common, "text": _text_of(piece)})


def _text_of(piece: TextPart | TemplatePart) -> str:
    if isinstance(piece, TemplatePart):
        raise RejectedError("templates cannot be sent", reason="bad_content")
    return piece.text


def _quoting(key: str) -> dict[str, Any]:
    """Quote a message where it is known and still there; nothing is lost where it is not."""
    number = number_of(key)
    if number is None:
        return {}
    return {"reply_parameters": {"message_id": number, "allow_sending_without_reply": True}}


def _file_call(account: Account, piece: MediaPiece, common: Mapping[str, Any]) -> HttpCall:
    caption = {"caption": piece.caption} if piece.caption else {}
    if piece.file is None:  # a sticker that Telegram has
        fields = {**common, "sticker": piece.sticker_id}
        return calls.call(account, "sendSticker", fields)
    method = _BY_TYPE.get((piece.kind, piece.file.mime_type), _METHODS[piece.kind])
    return calls.upload(account, method.name, {**common, **caption}, method.field, piece.file)


def _place_call(account: Account, piece: LocationPart, common: Mapping[str, Any]) -> HttpCall:
    where = {**common, "latitude": piece.latitude, "longitude": piece.longitude}
    name, place = sendable(piece.name), sendable(piece.address)
    if not (name or place):
        return calls.call(account, "sendLocation", where)
    titles = {"title": name or place, "address": place or name}
    return calls.call(account, "sendVenue", {**where, **titles})


def signal(account: Account, shown: Signal) -> SignalExchange:
    """Show typing for about 5 s; for reading, take the waiting sign off a tapped button.

    Bots report no reading but in business chats. A button that was tapped too long ago is refused,
    which harms nothing.
    """
    where = address(shown.recipient)
    if shown.kind == "typing":
        fields = {**where, "action": "typing"}
        answers.read((yield calls.call(account, "sendChatAction", fields, harmless=True)))
        return
    if shown.read_token:
        fields = {"callback_query_id": shown.read_token}
        reply = yield calls.call(account, "answerCallbackQuery", fields, harmless=True)
        if reply.status != 400:  # "query is too old"
            answers.read(reply)
    number = number_of(shown.message_id)
    if number is not None and "business_connection_id" in where:
        fields = {**where, "message_id": number}
        answers.read((yield calls.call(account, "readBusinessMessage", fields, harmless=True)))
