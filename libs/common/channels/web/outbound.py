"""Sending to the web plugin's visitor, which needs no provider."""

from __future__ import annotations

from libs.common.channel import Account, Exchange, Outbound, Sent
from libs.common.errors import RejectedError

TEXT_LIMIT = 10_000
"""Characters of one message; ours to choose."""


def send(_account: Account, message: Outbound) -> Exchange:
    """Ask for no call at all: the sender's shell publishes to the `VISITORS` stream itself.

    It does so before it reports the outcome, with the message id as the stream's message id; a
    `wire.VisitorMessage` goes to the visitor's event stream, at once or when they come back.

    Raises:
        RejectedError: `bad_content`: there is nothing in it.
    """
    if not message.parts:
        raise RejectedError("nothing to send", reason="bad_content")
    yield from ()
    return Sent(provider_ids=(message.message_id,), via="web")
