"""From a message of ours to a public reply below a comment."""

from __future__ import annotations

from libs.common.channel import Account, Exchange, HttpCall, HttpReply, Outbound, Sent
from libs.common.errors import RejectedError
from libs.common.outgoing import texts_of
from libs.common.providers import graph

TEXT_LIMIT = 8000


def send(account: Account, outbound: Outbound) -> Exchange:
    """Answer the comment publicly; a longer text becomes several replies below it.

    The answered comment is `reply_to`, or else the thread's. There is no retry key and nothing
    to carry our message id: the reply comes back as an echo with the id that the call returned.

    Raises:
        RejectedError: The message names no comment.
    """
    comment = outbound.reply_to or (outbound.thread.comment if outbound.thread else "")
    if not comment.strip("."):  # empty, or a step up in the URL's path
        raise RejectedError("no comment to answer", reason="bad_recipient")
    pieces = texts_of(outbound, TEXT_LIMIT, "characters")

    def make(piece: str, first: bool) -> HttpCall:  # noqa: ARG001  # all pieces are alike
        return graph.call(account, outbound, (comment, "comments"), {"message": piece})

    ids = yield from graph.send_pieces(pieces, make, _comment_id)
    return Sent(provider_ids=ids, via="comment")


def _comment_id(reply: HttpReply) -> str:
    return graph.given_id(graph.accepted(reply, graph.PAGE_CODES), "id")
