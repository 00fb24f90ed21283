"""From a message of ours to a public reply below a comment, or a private one to its author.

Source: Graph API, "Comment: replies"; Messenger Platform, "Private replies" (read 2026-09).
"""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.channel import Account, Exchange, HttpCall, HttpReply, Outbound, Sent
from libs.common.errors import RejectedError
from libs.common.outgoing import MediaPiece, Piece, Rules, pieces
from libs.common.providers import graph
from libs.common.providers.messaging import outbound as api

_MB = 1024 * 1024
_ALREADY_REPLIED = "10900"

RULES = Rules(
    text_limit=8000,
    carries=frozenset({"text", "image", "location", "quote", "private_reply"}),
    media_limits={"image": 8 * _MB},
    media_types={"image": frozenset({"image/png", "image/jpeg", "image/gif"})},
    needs_link=True,
    captions={"image": 8000},
)
"""Of public replies."""

PRIVATE = msgspec.structs.replace(RULES, text_limit=2000, captions={})
"""Of private replies, which are messages."""

_ONE = f"a private reply is one text of at most {PRIVATE.text_limit} characters, or one picture"


def send(account: Account, outbound: Outbound) -> Exchange:
    """Answer the comment publicly or, where `way` is `private`, in a message to its author.

    The answered comment is `reply_to`, or else the thread's.

    Raises:
        RejectedError: The message names no comment, or cannot be carried.
    """
    comment = outbound.reply_to or (outbound.thread.comment if outbound.thread else "")
    if not comment.strip("."):  # empty, or a step up in the URL's path
        raise RejectedError("no comment to answer", reason="bad_recipient")
    answer = _privately if outbound.way == "private" else _publicly
    return (yield from answer(account, outbound, comment))


def count_calls(outbound: Outbound) -> int:
    """Return how many replies *outbound* becomes; a private one is one, or none at all.

    Raises:
        RejectedError: It cannot be carried.
    """
    private = outbound.way == "private"
    return len(_one(outbound) if private else pieces(api.readable(outbound), RULES))


def _publicly(account: Account, outbound: Outbound, comment: str) -> Exchange:
    """Reply below the comment; a longer text becomes several replies.

    There is no retry key and nothing to carry our message id: the reply comes back as an echo
    with the id that the call returned.
    """
    made = pieces(api.readable(outbound), RULES)

    def make(piece: Piece, first: bool) -> HttpCall:  # noqa: ARG001  # all pieces are alike
        return graph.call(account, outbound, (comment, "comments"), _reply(piece))

    ids = yield from graph.send_pieces(made, make, _comment_id)
    return Sent(provider_ids=ids, via="comment")


def _privately(account: Account, outbound: Outbound, comment: str) -> Exchange:
    """Write to the comment's author, once: Meta takes exactly one message for a comment.

    So the call may be repeated whenever its end is unclear: what was taken before answers 10900,
    which is as good as done, only without an id. The answer reveals the author's PSID.

    Raises:
        RejectedError: `bad_content`: it takes more than one message.
    """
    made = _one(outbound)
    authors: list[str] = []

    def make(piece: Piece, first: bool) -> HttpCall:  # noqa: ARG001  # there is only one
        payload = {
            "recipient": {"comment_id": comment},
            "messaging_type": "RESPONSE",
            "message": {**api.content(piece, api.by_link), "metadata": outbound.message_id},
        }
        call = graph.call(account, outbound, (account.external_id, "messages"), payload)
        return msgspec.structs.replace(call, idempotent=True)

    def read(reply: HttpReply) -> str:
        answer = graph.accepted(reply, graph.PAGE_CODES)
        authors.append(graph.first_text(answer, "recipient_id"))
        return graph.given_id(answer, "message_id")

    try:
        ids = yield from graph.send_pieces(made, make, read)
    except RejectedError as error:
        if error.provider_code.partition("/")[0] != _ALREADY_REPLIED:
            raise
        return Sent(via="private_reply")
    return Sent(provider_ids=ids, via="private_reply", linked_visitor=authors[0])


def _one(outbound: Outbound) -> list[Piece]:
    made = pieces(api.readable(outbound), PRIVATE)
    if len(made) > 1:
        raise RejectedError(_ONE, reason="bad_content")
    return made


def _reply(piece: Piece) -> dict[str, Any]:
    if not isinstance(piece, MediaPiece):
        return {"message": api.content(piece, api.by_link)["text"]}
    picture = {"attachment_url": api.by_link(piece)["url"]}
    return {"message": piece.caption, **picture} if piece.caption else picture


def _comment_id(reply: HttpReply) -> str:
    return graph.given_id(graph.accepted(reply, graph.PAGE_CODES), "id")
