"""Webhooks in which nothing happens: those of a test, which are no traffic of an account.

Source: LINE Developers, "Verify webhook URL": the console's button posts an empty `events` (read
2026-09). The others are ours: no provider posts them by itself.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from libs.common.channel import Account

_EMPTY: Mapping[str, bytes] = {
    "messenger": b'{"object":"page","entry":[]}',
    "fb_comment": b'{"object":"page","entry":[]}',
    "instagram": b'{"object":"instagram","entry":[]}',
    "whatsapp": b'{"object":"whatsapp_business_account","entry":[]}',
    "telegram": b'{"update_id":0,"message_reaction_count":{"chat":{"id":0,"type":"private"},'
    b'"message_id":0,"date":0,"reactions":[]}}',
    "web": b'{"messages":[]}',
}
"""A body of each channel in which nothing happens. Of WeChat the handshake proves as much."""
_WHOLE = frozenset(_EMPTY.values())
_OF_LINE = b'"events":[]}'
_LONGEST = 256
"""Bytes; what is longer is none, and is not looked at further."""


def empty_body(account: Account) -> bytes | None:
    """Return a body for the account in which nothing happens; None where its channel has none."""
    if account.channel == "line":  # as the Verify button of LINE's console posts it
        return msgspec.json.encode({"destination": account.external_id, "events": []})
    return _EMPTY.get(account.channel)


def is_empty(body: bytes) -> bool:
    """Tell whether *body* is a test's: nobody wrote, and the account may be silent all the same."""
    return len(body) <= _LONGEST and (body in _WHOLE or body.endswith(_OF_LINE))
