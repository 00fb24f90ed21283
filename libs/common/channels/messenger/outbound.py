"""From a message of ours to Messenger's Send API."""

from __future__ import annotations

from typing import Any

from libs.common.channel import Account, Exchange, HttpCall, HttpReply, Outbound, Sent
from libs.common.outgoing import texts_of
from libs.common.providers import graph

TEXT_LIMIT = 2000
_REFERENCE = "user_ref:"


def send(account: Account, outbound: Outbound) -> Exchange:
    """Send the text to one person, in pieces of at most 2,000 characters.

    The Send API has no retry key. Every piece carries our message id as `metadata`, which its
    echo returns; only the first quotes `reply_to`.
    """
    pieces = texts_of(outbound, TEXT_LIMIT, "characters")

    def make(piece: str, first: bool) -> HttpCall:
        payload = _payload(outbound, piece, first=first)
        return graph.call(account, outbound, (account.external_id, "messages"), payload)

    ids = yield from graph.send_pieces(pieces, make, _message_id)
    return Sent(provider_ids=ids, via="message")


def _payload(outbound: Outbound, piece: str, *, first: bool) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "recipient": _recipient(outbound.recipient),
        "messaging_type": "RESPONSE",
        "message": {"text": piece, "metadata": outbound.message_id},
    }
    if first and outbound.reply_to:
        payload["reply_to"] = {"mid": outbound.reply_to}
    return payload


def _recipient(visitor: str) -> dict[str, str]:
    if visitor.startswith(_REFERENCE):  # ticked the checkbox plugin, and has not written yet
        return {"user_ref": visitor.removeprefix(_REFERENCE)}
    return {"id": visitor}


def _message_id(reply: HttpReply) -> str:
    return graph.given_id(graph.accepted(reply, graph.PAGE_CODES), "message_id")
