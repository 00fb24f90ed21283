"""What was scheduled goes out: into the session as it is, which it neither moves nor opens. Pure.

It counts for nobody's answer, and into a session that has ended it goes quietly: the session stays
where it is in its list. A visitor without any session gets one that has ended already, to hold it;
their first message then opens a session as it does for any newcomer.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.common.commands import SendScheduled
from libs.common.documents import Message, Session
from libs.common.errors import InvalidInputError, NotPermittedError, RepliedError, SessionOverError
from libs.common.events import ContentPart
from libs.common.openings import wrote_since
from services.router.context import Context, refuse_moved
from services.router.draft import Draft
from services.router.lines import entry_for
from services.router.permit import Answering
from services.router.say import compose
from services.router.traced import trace

HELD_MOST = 100
"""Messages that may wait in one session for the visitor to write."""
BECAUSE = "scheduled"
"""Why a session ended that was made only to hold what was sent to somebody without any."""

_WAITS = frozenset({"window_closed", "no_window", "count_used_up"})
"""Refusals that end when the visitor writes."""


def made_for(command: SendScheduled, now: datetime) -> Session:
    """Return the ended session that holds the message for a visitor who never had one."""
    return Session(
        id=command.session,
        workspace=command.workspace,
        account=command.account,
        channel=command.channel,
        visitor=command.visitor,
        contact=command.contact,
        list="ended",
        open_key=None,
        created_at=now,
        updated_at=now,
        ended_at=now,
        end_reason=BECAUSE,
        because=BECAUSE,
    )


def send(draft: Draft, command: SendScheduled, context: Context) -> Message | None:
    """Write what is due into the session and ask for it to be sent; None: it is held.

    Raises:
        CommandError: The visitor wrote since, the session moved or is not the one to write into,
            or the channel does not allow it now.
    """
    session = draft.session
    if not command.parts:
        raise InvalidInputError("a message needs content", field="parts")
    _refuse_over(session, command, context)
    refuse_moved(session, command.epoch)
    wrote = session.last_inbound_at
    if command.since is not None and wrote is not None and wrote_since(session, command.since):
        raise RepliedError("the visitor has written since", at=wrote.isoformat())
    try:
        return _say(draft, command, command.parts, context)
    except NotPermittedError as error:
        if error.code not in _WAITS:
            raise
        if command.template is not None:
            return _say(draft, command, (command.template,), context)
        if not command.hold or not hold(session, command.actor.id):
            raise
        return None


def hold(session: Session, ref: str) -> bool:
    """Let *ref* wait in *session* for the visitor to write; tell whether there is room for it."""
    if ref not in session.held:
        if len(session.held) >= HELD_MOST:
            return False
        session.held = (*session.held, ref)
    return True


def refuse_elsewhere(session: Session, other: str | None) -> None:
    """Return unless the visitor has the session *other*, and *session* is over.

    Raises:
        SessionOverError: It has to go there.
    """
    if other is not None and other != session.id:
        raise SessionOverError("the visitor has another session by now", session=other)


def _refuse_over(session: Session, command: SendScheduled, context: Context) -> None:
    if session.list == "ended" and session.rev and not command.over:
        raise SessionOverError("the session has ended")
    refuse_elsewhere(session, context.elsewhere)


def _say(
    draft: Draft, command: SendScheduled, parts: tuple[ContentPart, ...], context: Context
) -> Message:
    """Write *parts*; the reply token is left to whoever answers the visitor.

    Only what was to go by the epoch is held back when a person takes over before it is out.
    """
    session, now = draft.session, context.now
    entry = entry_for(session, command, now, "message")
    entry.origin = command.origin
    answering = Answering(parts=parts, actor_kind=command.actor.kind)
    request = compose(draft, entry, answering, context.room.reach, now)
    epoch = session.epoch if command.epoch is not None else None
    draft.send(msgspec.structs.replace(request, epoch=epoch, bulk=command.bulk))
    trace(draft, entry)
    session.held = tuple(ref for ref in session.held if ref != command.actor.id)
    if session.list != "ended":
        draft.touch(now)
    return entry
