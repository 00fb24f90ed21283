"""From a message of ours to Instagram's Send API.

Source: Meta for Developers, "Instagram messaging: send a message", "upload media" (read 2026-09).
"""

from __future__ import annotations

from libs.common.channel import (
    Account,
    Exchange,
    HttpCall,
    Outbound,
    Sent,
    Signal,
    SignalExchange,
)
from libs.common.events import MediaKind
from libs.common.outgoing import Piece, Rules
from libs.common.providers import graph
from libs.common.providers.messaging import outbound as api

HOST = "https://graph.instagram.com"
"""Of accounts that are connected by Instagram login, without a page."""

_MB = 1024 * 1024
_LIMITS: dict[MediaKind, int] = {
    "image": 8 * _MB,
    "audio": 25 * _MB,
    "video": 25 * _MB,
    "file": 25 * _MB,
}
_TYPES: dict[MediaKind, frozenset[str]] = {
    "image": frozenset({"image/png", "image/jpeg", "image/gif"}),
    "audio": frozenset({"audio/mp4", "audio/aac", "audio/wav"}),
    "video": frozenset({"video/mp4", "video/webm", "video/quicktime"}),
    "file": frozenset({"application/pdf"}),
}

RULES = Rules(
    text_limit=1000,
    text_unit="bytes",
    carries=frozenset(
        {
            "text", "image", "audio", "video", "file", "location", "choices",
            "quote", "typing", "seen",
        }
    ),
    media_limits=_LIMITS,
    media_types=_TYPES,
    needs_link=True,
)  # fmt: skip


def send(account: Account, outbound: Outbound) -> Exchange:
    """Send the message to one person, each text, file or set of choices as a message of its own.

    Instagram fetches files from their links. There is no retry key.
    """
    made = api.messages_of(outbound, RULES)
    node, host = _writer(account)

    def make(piece: Piece, first: bool) -> HttpCall:
        payload = api.payload(outbound, piece, api.by_link, first=first)
        return graph.call(account, outbound, (node, "messages"), payload, host)

    ids = yield from graph.send_pieces(made, make, api.message_id)
    return Sent(provider_ids=ids, via="message")


def signal(account: Account, shown: Signal) -> SignalExchange:
    """Show typing (for about 20 s) or that the messages were read."""
    node, host = _writer(account)
    return api.signalled(account, shown, node, host)


def _writer(account: Account) -> tuple[str, str]:
    """Return who writes, and where: the linked page, or else the professional account itself."""
    page = account.secrets.get("page_id", "")
    return (page, graph.HOST) if page else (account.external_id, HOST)
