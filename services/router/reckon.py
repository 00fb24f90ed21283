"""What reports count of a session: kept in the write that decides it; when it is stored. Pure."""

from __future__ import annotations

from datetime import datetime

from libs.common import figures
from libs.common.commands import Actor
from libs.common.documents import Message, Session
from libs.common.figures import Course, EndedBy, Held
from libs.common.termination import TERMINATED
from libs.common.windows import PERSON

OF_PEOPLE = frozenset({"unassigned", "assigned"})
BEFORE = "before"
"""Where a session began that is older than these figures: nobody knows."""

_ENDERS: dict[str, EndedBy] = {"agent": "agent", "bot": "bot", "automation": "rule"}
_MACHINES = {"bot": figures.BOT, "automation": figures.AUTOMATION}


def begun(session: Session) -> Course:
    """Return the course of *session* as it is loaded; an older one's begins with what is known."""
    if session.course.began or not session.rev or session.list == "ended":
        return session.course
    held = tuple(Held(one.agent, one.since) for one in session.assignees[:1])
    return Course(
        began=BEFORE,
        people=True,
        waits=int(session.waiting_since is not None),
        waits_since=session.waiting_since,
        held=held,
        holder=session.owner or "",
    )


def heard(session: Session, at: datetime) -> None:
    """Count a visitor's message that came at *at*: among people it needs one of them."""
    course = figures.counted(session.course, at, figures.INBOUND)
    if session.list in OF_PEOPLE:
        course = figures.asked_for(course, at)
    session.course = course


def outside(session: Session, at: datetime) -> None:
    """Count what was typed elsewhere."""
    session.course = figures.counted(session.course, at, figures.OUTSIDE)


def said(course: Course, entry: Message) -> Course:
    """Return *course* with *entry*, a message of ours."""
    if entry.sender != PERSON:
        who = _MACHINES.get(entry.sender, figures.AUTOMATION)
        return figures.counted(course, entry.received_at, who)
    course = figures.counted(course, entry.received_at, f"{figures.AGENT}{entry.sender_id}")
    return figures.answered(course, entry.received_at, entry.sender_id)


def place(session: Session, at: datetime) -> None:
    """Note where the session stands from *at* on."""
    session.course = figures.placed(session.course, session.list, session.owner or "", at)


def handed(session: Session, previous: str, actor: Actor, at: datetime) -> None:
    """Note that a bot's session went to people at *at*; who takes it unasked is not needed."""
    left = previous == "bot_hosted" and session.list in OF_PEOPLE and session.inbound > 0
    if left and (session.list == "unassigned" or actor.kind != PERSON):
        session.course = figures.asked_for(session.course, at)


def end(session: Session, actor: Actor, at: datetime, because: str) -> None:
    """Note who ended it, at *at*."""
    by = "automatic" if because == TERMINATED else _ENDERS.get(actor.kind, "system")
    session.course = figures.ended(session.course, at, by)


def is_due(session: Session, base: Session) -> bool:
    """Tell whether the write that makes *session* of *base* changes what reports count."""
    if session.list != "ended":
        return base.list == "ended"
    return base.list != "ended" or (session.course, session.survey) != (base.course, base.survey)
