"""The undoing of an automatic end: the session stands again where it stood. Pure."""

from __future__ import annotations

from libs.common.commands import RestoreSession
from libs.common.documents import Message
from libs.common.errors import AnotherOpenError, NotRestorableError
from services.router.context import Context
from services.router.draft import Draft
from services.router.idle import TERMINATED, moment
from services.router.lines import write_line
from services.router.transition import Step, name_of, reopen

RESTORED = "restored"


def restore(draft: Draft, command: RestoreSession, context: Context) -> Message | None:
    """Open the session again in its list, with its bot or its agents; an open one is so already.

    Raises:
        NotRestorableError: It did not end by itself, or too long ago.
        AnotherOpenError: The visitor has another one by now.
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
    reopen(draft, Step(command.actor, now, RESTORED), origin, open_key)
    text = f"restored by {name_of(command.actor)}: its automatic end is undone"
    return write_line(draft, command, now, RESTORED, text)


def another_open(session: str) -> AnotherOpenError:
    """Return why nothing is restored where *session* (id) is open."""
    return AnotherOpenError("the visitor has another open session", session=session)
