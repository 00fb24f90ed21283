"""From a message of ours to WhatsApp's Cloud API."""

from __future__ import annotations

import re
from typing import Any

from libs.common.channel import Account, Exchange, HttpCall, HttpReply, Outbound, Sent
from libs.common.channels.whatsapp.codes import CODES
from libs.common.outgoing import texts_of
from libs.common.providers import graph

TEXT_LIMIT = 4096
_BSUID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_PHONE = re.compile(r"\+?[0-9]{4,20}")


def send(account: Account, outbound: Outbound) -> Exchange:
    """Send the text to one person or group, in pieces of at most 4,096 characters.

    There is no retry key. Every piece carries our message id as `biz_opaque_callback_data`, which
    every status of it returns; only the first quotes `reply_to`.
    """
    pieces = texts_of(outbound, TEXT_LIMIT, "characters")
    aliases: list[str] = []

    def make(piece: str, first: bool) -> HttpCall:
        payload = _payload(outbound, piece, first=first)
        return graph.call(account, outbound, (account.external_id, "messages"), payload)

    def read(reply: HttpReply) -> str:
        answer = graph.accepted(reply, CODES)
        aliases.append(graph.first_text(answer, "contacts", 0, "user_id"))
        aliases.append(graph.first_text(answer, "contacts", 0, "wa_id"))
        return graph.given_id(answer, "messages", 0, "id")

    ids = yield from graph.send_pieces(pieces, make, read)
    others = [alias for alias in aliases if alias and alias != outbound.recipient]
    return Sent(provider_ids=ids, via="message", linked_visitor=others[0] if others else "")


def _payload(outbound: Outbound, piece: str, *, first: bool) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "messaging_product": "whatsapp",
        **_recipient(outbound.recipient),
        "type": "text",
        "text": {"body": piece, "preview_url": False},
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
