"""From a message of ours to Messenger's Send API."""

from __future__ import annotations

from collections.abc import Generator, Sequence

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
from libs.common.events import MediaKind
from libs.common.outgoing import MediaPiece, Piece, Rules
from libs.common.providers import graph
from libs.common.providers.messaging import outbound as api

_MB = 1024 * 1024
_LIMITS: dict[MediaKind, int] = {
    "image": 8 * _MB,
    "audio": 25 * _MB,
    "video": 25 * _MB,
    "file": 25 * _MB,
}
_TYPES: dict[MediaKind, frozenset[str]] = {
    "image": frozenset({"image/png", "image/jpeg", "image/gif"}),
    "audio": frozenset({"audio/mpeg", "audio/mp4", "audio/aac", "audio/wav"}),
    "video": frozenset({"video/mp4", "video/webm", "video/quicktime", "video/3gpp"}),
    "sticker": frozenset(),  # of the provider's own only; one of ours is a picture
}

RULES = Rules(
    text_limit=2000,
    carries=frozenset(
        {
            "text", "image", "audio", "video", "file", "sticker", "location", "choices",
            "quote", "typing", "seen",
        }
    ),
    media_limits=_LIMITS,
    media_types=_TYPES,
)  # fmt: skip


def send(account: Account, outbound: Outbound) -> Exchange:
    """Send the message to one person, each text, file or set of choices as a message of its own.

    Files are brought to the provider first, all of them, so that none is missing once something
    shows. The Send API has no retry key.
    """
    made = api.messages_of(outbound, RULES)
    uploads = yield from _uploads(account, outbound, made)

    def place(piece: MediaPiece) -> dict[str, str]:
        return {"attachment_id": uploads[_name(piece)]}

    def make(piece: Piece, first: bool) -> HttpCall:
        payload = api.payload(outbound, piece, place, first=first)
        return graph.call(account, outbound, (account.external_id, "messages"), payload)

    ids = yield from graph.send_pieces(made, make, api.message_id)
    return Sent(provider_ids=ids, via="message")


def signal(account: Account, shown: Signal) -> SignalExchange:
    """Show typing (for about 20 s) or that the messages were read."""
    return api.signalled(account, shown, account.external_id, graph.HOST)


def _uploads(
    account: Account, outbound: Outbound, made: Sequence[Piece]
) -> Generator[HttpCall, HttpReply, dict[str, str]]:
    """Upload every file once and return attachment ids, which live 90 days."""
    ids: dict[str, str] = {}
    for piece in made:
        if not isinstance(piece, MediaPiece) or piece.file is None or _name(piece) in ids:
            continue
        about = {"attachment": {"type": piece.kind, "payload": {"is_reusable": True}}}
        fields = {"message": msgspec.json.encode(about).decode()}
        content = Upload(file=piece.file, field="filedata", fields=fields)
        path = (account.external_id, "message_attachments")
        found = yield from graph.uploaded(account, outbound, path, content, graph.PAGE_CODES)
        ids[_name(piece)] = found
    return ids


def _name(piece: MediaPiece) -> str:
    return f"{piece.kind} {piece.file.id if piece.file else ''}"
