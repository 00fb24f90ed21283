"""Sending to the web plugin's visitor, which needs no provider."""

from __future__ import annotations

from libs.common.channel import Account, Exchange, Outbound, Sent, Signal, SignalExchange
from libs.common.errors import RejectedError
from libs.common.events import ContentPart, MediaPart
from libs.common.outgoing import Rules

TEXT_LIMIT = 10_000
"""Characters of one message; ours to choose."""

RULES = Rules(
    text_limit=TEXT_LIMIT,
    carries=frozenset(
        (
            "text",
            "image",
            "audio",
            "video",
            "file",
            "location",
            "contact",
            "choices",
            "template",
            "quote",
            "typing",
            "seen",
        )
    ),
)


def send(_account: Account, message: Outbound) -> Exchange:
    """Ask for no call at all: the sender's shell publishes to the `VISITORS` stream itself.

    It does so before it reports the outcome, with the message id as the stream's message id; a
    `wire.VisitorMessage` goes to the visitor's event stream, at once or when they come back.

    Raises:
        RejectedError: `bad_content`: there is nothing in it, or media that only another provider
            has; `file_missing`.
    """
    if not message.parts:
        raise RejectedError("nothing to send", reason="bad_content")
    for part in message.parts:
        _refuse_absent(message, part)
    yield from ()
    return Sent(provider_ids=(message.message_id,), via="web")


def signal(_account: Account, _given: Signal) -> SignalExchange:
    """Ask for no call at all: the event streams take signals where the sender takes them."""
    yield from ()


def _refuse_absent(message: Outbound, part: ContentPart) -> None:
    if not isinstance(part, MediaPart):
        return
    if not part.attachment:
        raise RejectedError(f"a {part.kind} without a file of ours", reason="bad_content")
    if part.attachment not in message.files:
        raise RejectedError("a file that is not stored", reason="file_missing")
