"""Whether a message of ours may go out now, and how. Pure: what the shell knows comes in `Reach`.

Where an account is not known here, or its channel is not, nothing is refused for the window: the
provider decides, and its refusal is shown with the message.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from libs.common.channel import Account, Channel
from libs.common.documents import Message, Session
from libs.common.errors import InvalidInputError, NotPermittedError
from libs.common.events import ContentPart, Way
from libs.common.outgoing import calls_of
from libs.common.windows import Comment, Permit, Refusal, Wish, comment_of, permitted
from services.router.access import answer_privately, count_send
from services.router.draft import Draft


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """The channel and the account of a session, as far as they are known."""

    channel: Channel | None = None
    account: Account | None = None


class Answering(msgspec.Struct, frozen=True, kw_only=True):
    """What a message is made of: its parts, the way, the message that it quotes, who sends it.

    `comment` is the comment to answer where that is not the quoted one or the session's; `offline`
    is how it reaches a web visitor who has left (empty: by the settings).
    """

    parts: tuple[ContentPart, ...]
    actor_kind: str
    way: Way = ""
    quoted: Message | None = None
    comment: Comment | None = None
    offline: Literal["", "email", "plugin"] = ""


def permit(draft: Draft, answering: Answering, reach: Reach, entry: Message) -> Permit:
    """Return how *entry* may go out, and note in the session what it uses up.

    Sets the entry's way, and the comment that it stands below or answers.

    Raises:
        NotPermittedError: The window is closed, the visitor blocked us, the template is not
            known, the private reply is used up, ...
        InvalidInputError: A way is given where there is no comment.
    """
    session = draft.session
    comment = answering.comment or _comment(session, answering.quoted)
    if answering.way == "public" and comment is None:
        raise InvalidInputError("only a comment is answered publicly", field="way")
    found = _permit(session, answering, reach, comment, entry)
    entry.way = answering.way
    entry.thread = (answering.quoted and answering.quoted.thread) or session.thread
    if comment is not None and (answering.way == "private" or answering.comment is not None):
        entry.thread = comment.thread
    if answering.way == "private" and comment is not None:
        answer_privately(session, comment.thread.comment)
    if reach.channel is not None and reach.channel.window.most_sends is not None:
        calls = calls_of(reach.channel, answering.parts, answering.way)
        count_send(session, entry.id, entry.received_at, calls)
    return found


def _permit(
    session: Session, answering: Answering, reach: Reach, comment: Comment | None, entry: Message
) -> Permit:
    if reach.channel is None:
        return Permit(way=answering.way)
    wish = Wish(
        parts=answering.parts,
        actor_kind=answering.actor_kind,
        way=answering.way,
        comment=comment,
    )
    found = permitted(session, reach.channel, reach.account, wish, entry.received_at)
    if isinstance(found, Refusal):
        raise NotPermittedError(found.code, found.detail, **found.facts)
    return found


def _comment(session: Session, quoted: Message | None) -> Comment | None:
    """Return the comment to answer: the quoted one, else the one that the session stands at."""
    if quoted is None or quoted.thread is None or quoted.direction != "in":
        return comment_of(session)
    return Comment(thread=quoted.thread, at=quoted.occurred_at)
