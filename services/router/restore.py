"""The undoing of an automatic end: the session stands again where it stood. Pure."""

from __future__ import annotations

import msgspec

from libs.common.commands import RestoreSession
from libs.common.documents import Assignee, EndedFrom, Message, Session
from libs.common.errors import AnotherOpenError, NotRestorableError
from libs.common.rules.lookup import lookup
from libs.common.termination import TERMINATED
from services.router.context import Context
from services.router.draft import Draft
from services.router.hosts import host
from services.router.idle import moment
from services.router.lines import write_line
from services.router.room import Room
from services.router.transition import Step, name_of, reopen

RESTORED = "restored"


def restore(draft: Draft, command: RestoreSession, context: Context) -> Message | None:
    """Open the session again in its list, with its bot or its agents; an open one is so already.

    Agents and bots that are gone by now do not get it back: with none left it waits in the queue.

    Raises:
        NotRestorableError: It did not end by itself, or too long ago.
        AnotherOpenError: The visitor has another one since, open or not: the newest of their
            sessions is the one that is open, by which all others find it.
    """
    session, now, origin = draft.session, context.now, draft.session.ended_from
    if session.list != "ended":
        return None
    if origin is None or session.end_reason != TERMINATED:
        raise NotRestorableError("only what ended automatically can be restored")
    if now > origin.until:
        raise NotRestorableError(
            f"it could be restored until {moment(origin.until)}", until=origin.until.isoformat()
        )
    if context.elsewhere:
        raise another_open(context.elsewhere)
    session.visitor = context.visitor or session.visitor
    open_key = f"{session.account}|{session.visitor}"
    place = _place(origin, session, context.room)
    reopen(draft, Step(command.actor, now, RESTORED), place, open_key)
    text = f"restored by {name_of(command.actor)}: its automatic end is undone"
    return write_line(draft, command, now, RESTORED, text)


def another_open(session: str) -> AnotherOpenError:
    """Return why nothing is restored where the visitor has *session* (id) since."""
    return AnotherOpenError("the visitor has another session since", session=session)


def _place(origin: EndedFrom, ended: Session, room: Room) -> EndedFrom:
    """Return where it stands now: as it did, as far as those who had it are still there."""
    replace = msgspec.structs.replace
    queue = replace(origin, list="unassigned", assignees=(), bot=False, bot_id="", switched=None)
    is_gone = bool(origin.bot_id) and origin.bot_id not in room.bots
    bot_id = "" if is_gone else origin.bot_id
    if origin.list == "bot_hosted" and is_gone:
        other = host(ended, room)  # the channel's
        return queue if other is None else replace(origin, bot_id=other.id)
    if origin.list == "assigned":
        left = tuple(seat for seat in origin.assignees if _may_sit(seat, room))
        bot = origin.bot and not is_gone
        return replace(origin, assignees=left, bot=bot, bot_id=bot_id) if left else queue
    return origin


def _may_sit(seat: Assignee, room: Room) -> bool:
    """Tell whether the agent may have sessions; who is disabled is not in the policy."""
    member = lookup(room.policy).members.get(seat.agent)
    return member is not None and member.role != "read_only"
