"""The Send API of Messenger and Instagram: payloads, ids, typing and reading.

Source: Messenger Platform, "Send API", "Quick replies", "Button template", "Sender actions" (read
2026-09).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from libs.common.channel import Account, HttpReply, Outbound, Signal, SignalExchange
from libs.common.events import Choice, ChoicesPart, LocationPart, TextPart
from libs.common.outgoing import MediaPiece, Piece, Rules, pieces, place_text, sendable
from libs.common.providers import graph
from libs.common.text import measure

TITLE_LIMIT = 20
PAYLOAD_LIMIT = 1000
MOST_QUICK_REPLIES = 13
MOST_BUTTONS = 3
BUTTON_TEXT_LIMIT = 640

REFERENCE = "user_ref:"
"""Stands before the visitor of whom only the checkbox plugin's reference is known."""

_ACTIONS = {"typing": "typing_on", "seen": "mark_seen"}

Place = Callable[[MediaPiece], dict[str, str]]
"""Says where a file lies: `{"attachment_id": ...}` or `{"url": ...}`."""


def messages_of(outbound: Outbound, rules: Rules) -> list[Piece]:
    """Return what goes out as a message of its own; places are texts that open a map.

    Raises:
        RejectedError: As `pieces`.
    """
    return pieces(readable(outbound), rules, lambda part: _shows(part, rules))


def readable(outbound: Outbound) -> Outbound:
    """Return the message with its places as texts: the Send API cannot send a place."""
    parts = tuple(
        TextPart(text=place_text(part)) if isinstance(part, LocationPart) else part
        for part in outbound.parts
    )
    return msgspec.structs.replace(outbound, parts=parts)


def payload(outbound: Outbound, piece: Piece, place: Place, *, first: bool) -> dict[str, Any]:
    """Return the body of one call; only the first quotes `reply_to`.

    Every piece carries our message id as `metadata`, which its echo returns.
    """
    kind = {"messaging_type": "RESPONSE"}
    if outbound.human_agent:
        kind = {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}
    made: dict[str, Any] = {
        "recipient": recipient(outbound.recipient),
        **kind,
        "message": {**content(piece, place), "metadata": outbound.message_id},
    }
    if first and outbound.reply_to:
        made["reply_to"] = {"mid": outbound.reply_to}
    return made


def content(piece: Piece, place: Place) -> dict[str, Any]:
    """Return the `message` object of one piece."""
    if isinstance(piece, MediaPiece):
        if piece.file is None:
            return {"sticker_id": piece.sticker_id}
        return {"attachment": {"type": piece.kind, "payload": place(piece)}}
    if isinstance(piece, ChoicesPart):
        return _quick(piece) if piece.style == "quick_reply" else _buttons(piece)
    return {"text": piece.text if isinstance(piece, TextPart) else ""}


def by_link(piece: MediaPiece) -> dict[str, str]:
    """Let the provider fetch the file."""
    return {"url": piece.file.link if piece.file else ""}


def recipient(visitor: str) -> dict[str, str]:
    """Return who is written to."""
    if visitor.startswith(REFERENCE):  # ticked the checkbox plugin, and has not written yet
        return {"user_ref": visitor.removeprefix(REFERENCE)}
    return {"id": visitor}


def message_id(reply: HttpReply) -> str:
    """Return the id of a message that the provider took.

    Raises:
        GatewayError: As `graph.accepted` and `graph.given_id`.
    """
    return graph.given_id(graph.accepted(reply, graph.PAGE_CODES), "message_id")


def signalled(account: Account, signal: Signal, node: str, host: str) -> SignalExchange:
    """Show *signal* to the visitor; `node` is the page or professional account that writes.

    Raises:
        GatewayError: As `graph.accepted`.
    """
    action = {"recipient": recipient(signal.recipient), "sender_action": _ACTIONS[signal.kind]}
    call = graph.call(account, signal, (node, "messages"), action, host)
    reply = yield msgspec.structs.replace(call, harmless=True)
    graph.accepted(reply, graph.PAGE_CODES)


def _shows(part: ChoicesPart, rules: Rules) -> bool:
    """Tell whether the choices can be tapped: few, short, and nothing of them is left out."""
    if not part.text.strip() or not all(map(_short, part.choices)):
        return False
    if part.style == "quick_reply":
        fits = measure(part.text, rules.text_unit) <= rules.text_limit
        tapped = not any(choice.url for choice in part.choices)
        return fits and tapped and len(part.choices) <= MOST_QUICK_REPLIES
    fits = measure(part.text, rules.text_unit) <= min(BUTTON_TEXT_LIMIT, rules.text_limit)
    return fits and len(part.choices) <= MOST_BUTTONS


def _short(choice: Choice) -> bool:
    titled = bool(choice.title.strip()) and len(choice.title) <= TITLE_LIMIT
    return titled and len(choice.payload) <= PAYLOAD_LIMIT and not choice.description


def _quick(part: ChoicesPart) -> dict[str, Any]:
    replies = [
        {"content_type": "text", "title": sendable(choice.title), "payload": _payload(choice)}
        for choice in part.choices
    ]
    return {"text": sendable(part.text), "quick_replies": replies}


def _buttons(part: ChoicesPart) -> dict[str, Any]:
    buttons = [_button(choice) for choice in part.choices]
    template = {"template_type": "button", "text": sendable(part.text), "buttons": buttons}
    return {"attachment": {"type": "template", "payload": template}}


def _button(choice: Choice) -> dict[str, str]:
    title = sendable(choice.title)
    if choice.url:
        return {"type": "web_url", "title": title, "url": choice.url}
    return {"type": "postback", "title": title, "payload": _payload(choice)}


def _payload(choice: Choice) -> str:
    return sendable(choice.payload or choice.title)
