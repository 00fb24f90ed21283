"""LINE's loading animation and read mark.

Source: LINE Messaging API reference, "Display a loading animation", "Mark messages as read", read
2026-10.
"""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.channel import Account, HttpCall, Signal, SignalExchange
from libs.common.channels.line.calls import headers, host
from libs.common.outgoing import raise_for_status

LOADING_S = 20
"""Between 5 and 60 in steps of 5; it ends with our next message."""


def signal(account: Account, given: Signal) -> SignalExchange:
    """Show that we write, in conversations of two only, or mark as read what has a token for it.

    Where neither can be shown no call is made.

    Raises:
        CredentialError, ThrottledError, AmbiguousSendError, RejectedError: See `raise_for_status`.
    """
    wanted = _wanted(given)
    if wanted is None:
        return
    path, body = wanted
    reply = yield HttpCall(
        url=f"{host(account)}{path}",
        headers=headers(account),
        body=msgspec.json.encode(body),
        harmless=True,
    )
    raise_for_status(reply)


def _wanted(given: Signal) -> tuple[str, dict[str, Any]] | None:
    if given.kind == "typing" and given.recipient.startswith("U"):
        return "/v2/bot/chat/loading/start", {
            "chatId": given.recipient,
            "loadingSeconds": LOADING_S,
        }
    if given.kind == "seen" and given.read_token:
        return "/v2/bot/chat/markAsRead", {"markAsReadToken": given.read_token}
    return None
