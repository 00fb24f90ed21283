"""Whether a message of ours may be sent once more, and as what. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from libs.common.commands import Actor
from libs.common.documents import Message, Session
from libs.common.errors import ForbiddenError, NotRetryableError
from libs.common.reasons import reason
from libs.common.timeline import COMMAND_KEY, fold
from libs.common.windows import PERSON, Comment, comment_of
from services.router.permit import Answering

_NOT_FAILED = {
    "queued": "the message is still waiting to be sent",
    "unknown": "the message may have gone out: a repeat could reach the visitor twice",
}


def standing(message: Message, events: Sequence[Message], session: Session) -> Message:
    """Return *message* with the status that all reports together make, late receipts too."""
    shown = fold([message], events, session)
    if not shown:  # only an echo of one of ours
        return message
    return msgspec.structs.replace(
        message, status=shown[0].status, status_reason=shown[0].status_reason
    )


def refuse_retry(message: Message, actor: Actor) -> None:
    """Return if *message*, as it stands now, may be sent once more by *actor*.

    Raises:
        NotRetryableError: It did not certainly fail, or a repeat cannot help.
        ForbiddenError: Only a person repeats: a machine decides anew.
    """
    if actor.kind != PERSON:
        raise ForbiddenError("only a person may send a message once more")
    ours = message.direction == "out" and message.key.startswith(COMMAND_KEY)
    if not ours or message.kind != "message":
        raise NotRetryableError("only a message that was sent from here can be sent once more")
    if message.status != "failed":
        detail = _NOT_FAILED.get(message.status, "the message did go out")
        raise NotRetryableError(detail, message_status=message.status)
    why = reason(message.status_reason or "rejected")
    if not why.can_retry:
        raise NotRetryableError(f"{why.text} {why.advice}", reason=why.code)


def again(session: Session, failed: Message, actor: Actor, quoted: Message | None) -> Answering:
    """Return what to send once more: the same content, in the same way."""
    return Answering(
        parts=failed.parts,
        actor_kind=actor.kind,
        way=failed.way,
        quoted=quoted,
        comment=_comment(session, failed, quoted),
        offline=failed.offline,
    )


def _comment(session: Session, failed: Message, quoted: Message | None) -> Comment | None:
    """Return the comment that it answered; of one that is not at hand its age is not known.

    Then it passes for as old as the failed answer, and the provider decides.
    """
    if failed.thread is None:
        return None
    if quoted is not None and quoted.direction == "in" and quoted.thread == failed.thread:
        return Comment(thread=failed.thread, at=quoted.occurred_at)
    stood = comment_of(session)
    if stood is not None and stood.thread.comment == failed.thread.comment:
        return stood
    return Comment(thread=failed.thread, at=failed.occurred_at)
