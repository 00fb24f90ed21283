"""From a message of ours to WhatsApp's Cloud API."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from typing import Any

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
    Upload,
)
from libs.common.channels.whatsapp.choices import can_show
from libs.common.channels.whatsapp.codes import CODES
from libs.common.channels.whatsapp.payloads import content, place
from libs.common.errors import RejectedError
from libs.common.events import ContactPart, TemplatePart
from libs.common.outgoing import MediaPiece, Piece, Rules, media_piece, pieces
from libs.common.providers import graph

_MB = 1024 * 1024

RULES = Rules(
    text_limit=4096,
    carries=frozenset(
        {
            "text", "image", "audio", "video", "file", "sticker", "location", "contact",
            "choices", "template", "quote", "typing", "seen",
        }
    ),
    media_limits={
        "image": 5 * _MB, "audio": 16 * _MB, "video": 16 * _MB, "file": 100 * _MB,
        "sticker": 500 * 1024,
    },
    media_types={
        "image": frozenset({"image/jpeg", "image/png"}),
        "audio": frozenset({"audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"}),
        "video": frozenset({"video/mp4", "video/3gpp"}),
        "sticker": frozenset({"image/webp"}),
    },
    captions=dict.fromkeys(("image", "video", "file"), 1024),
)  # fmt: skip

_BSUID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_PHONE = re.compile(r"\+?[0-9]{4,20}")


def send(account: Account, outbound: Outbound) -> Exchange:
    """Send each text, file, card or set of choices as a message of its own, in order.

    Files are brought to WhatsApp first, all of them, so that none is missing once something shows.
    There is no retry key. Every piece carries our message id as `biz_opaque_callback_data`, which
    every status of it returns; only the first quotes `reply_to`.
    """
    made = _laid_out(outbound)
    headers = _headers(outbound, made)
    files = [*(piece for piece in made if isinstance(piece, MediaPiece)), *headers.values()]
    uploads = yield from _uploads(account, outbound, files)
    aliases: list[str] = []

    def make(piece: Piece, first: bool) -> HttpCall:
        header = headers.get(id(piece))
        payload = {
            **_payload(outbound, first=first),
            **content(account, piece, uploads, header),
        }
        return graph.call(account, outbound, (account.external_id, "messages"), payload)

    def read(reply: HttpReply) -> str:
        answer = graph.accepted(reply, CODES)
        aliases.append(graph.first_text(answer, "contacts", 0, "user_id"))
        aliases.append(graph.first_text(answer, "contacts", 0, "wa_id"))
        return graph.given_id(answer, "messages", 0, "id")

    ids = yield from graph.send_pieces(made, make, read)
    others = [alias for alias in aliases if alias and alias != outbound.recipient]
    return Sent(
        provider_ids=ids,
        via="template" if all(isinstance(piece, TemplatePart) for piece in made) else "message",
        linked_visitor=others[0] if others else "",
    )


def signal(account: Account, shown: Signal) -> SignalExchange:
    """Mark the visitor's newest message, and all before it, as read; typing shows for 25 s.

    WhatsApp has typing only together with reading, and both only about a message.
    """
    if not shown.message_id:
        return
    payload: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": shown.message_id,
    }
    if shown.kind == "typing":
        payload["typing_indicator"] = {"type": "text"}
    call = graph.call(account, shown, (account.external_id, "messages"), payload)
    graph.accepted((yield msgspec.structs.replace(call, harmless=True)), CODES)


def _laid_out(outbound: Outbound) -> list[Piece]:
    made = pieces(outbound, RULES, can_show)
    for piece in made:
        if isinstance(piece, MediaPiece) and piece.file is None:
            raise RejectedError("a sticker that is no file", reason="bad_content")
        if isinstance(piece, ContactPart) and not "".join((*piece.phones, *piece.emails)).strip():
            raise RejectedError("a contact without number or address", reason="bad_content")
    return made


def _headers(outbound: Outbound, made: Sequence[Piece]) -> dict[int, MediaPiece]:
    """Return the files above templates, by the identity of their piece.

    Raises:
        RejectedError: `bad_content`: WhatsApp does not take the file as its kind; a template has
            no other place for it.
    """
    found: dict[int, MediaPiece] = {}
    for piece in made:
        if isinstance(piece, TemplatePart) and piece.header_media is not None:
            header = media_piece(outbound, piece.header_media, RULES)
            if header.file is None or header.kind != piece.header_media.kind:
                raise RejectedError("a header of another kind", reason="bad_content")
            found[id(piece)] = header
    return found


def _uploads(
    account: Account, outbound: Outbound, files: Sequence[MediaPiece]
) -> Generator[HttpCall, HttpReply, dict[str, str]]:
    """Upload every file once and return media ids, which live 30 days."""
    ids: dict[str, str] = {}
    for piece in files:
        if piece.file is None or place(piece) in ids:
            continue
        fields = {"messaging_product": "whatsapp", "type": piece.file.mime_type}
        body = Upload(file=piece.file, field="file", fields=fields)
        path = (account.external_id, "media")
        ids[place(piece)] = yield from graph.uploaded(account, outbound, path, body, CODES)
    return ids


def _payload(outbound: Outbound, *, first: bool) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "messaging_product": "whatsapp",
        **_recipient(outbound.recipient),
        "biz_opaque_callback_data": outbound.message_id,
    }
    if first and outbound.reply_to:
        payload["context"] = {"message_id": outbound.reply_to}
    return payload


def _recipient(visitor: str) -> dict[str, str]:
    """Address a BSUID, a phone number, or else a group; both together would mean the phone."""
    if _BSUID.fullmatch(visitor):
        return {"recipient_type": "individual", "recipient": visitor}
    kind = "individual" if _PHONE.fullmatch(visitor) else "group"
    return {"recipient_type": kind, "to": visitor}
