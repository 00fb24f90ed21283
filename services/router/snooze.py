"""A session that is put aside until a time, and what takes it back. Pure.

It stays in its list and with its agents, but nobody waits for anything in it: it is out of the
queue, its owner is not silent, and it is not idle. A visitor's message takes it back, an agent's
reply, an agent, its end, or the time.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from libs.common.commands import Actor, Snooze
from libs.common.documents import Message
from libs.common.errors import InvalidInputError
from services.router.context import Context, refuse_ended
from services.router.decisions import line
from services.router.draft import Draft
from services.router.idle import moment
from services.router.lines import write_line
from services.router.transition import TIMER, Step, name_of, requeue, tag

LONGEST = timedelta(days=365)
SNOOZED = "snoozed"
TAKEN_BACK = "taken_back"
VISITOR_WROTE = "visitor_wrote"
AGENT_REPLIED = "agent_reply"
TIME_CAME = "snooze_over"

_WOKEN = {
    VISITOR_WROTE: "woken: the visitor wrote",
    AGENT_REPLIED: "woken: an agent answered",
    TIME_CAME: "woken: the time has come",
}


def snooze(draft: Draft, command: Snooze, context: Context) -> Message | None:
    """Put the session aside until a time, or take it back."""
    session, now, until = draft.session, context.now, command.until
    refuse_ended(session)
    if until is None:
        return _take_back(draft, command, now)
    if until.tzinfo is None or not now < until <= now + LONGEST:
        raise InvalidInputError(
            "a session is snoozed until a time in the future, at most a year ahead",
            field="until",
            after=now.isoformat(),
            latest=(now + LONGEST).isoformat(),
        )
    if (session.snoozed_until, session.snoozed_by) == (until, command.actor.id):
        return None
    session.snoozed_until, session.snoozed_by = until, command.actor.id
    draft.arm("snooze", until)
    requeue(session)
    draft.touch(now)
    draft.tell("session.snoozed", now, actor=tag(command.actor), because=SNOOZED, due=until)
    text = f"snoozed by {name_of(command.actor)} until {moment(until)}"
    return write_line(draft, command, now, "snoozed", text)


def wake(draft: Draft, actor: Actor, because: str, now: datetime) -> None:
    """Take the session back, if it is put aside, for one of the reasons that have a line."""
    if draft.session.snoozed_until is None:
        return
    step = Step(actor, now, because)
    _clear(draft, step)
    line(draft, step, "woken", _WOKEN[because])


def watch(draft: Draft, now: datetime) -> None:
    """Take the session back where an agent answers in this write; before the other clocks."""
    if draft.session.snoozed_until is not None and draft.base.snoozed_until is not None:
        agent = next((entry.sender_id for entry in draft.answers), None)
        if agent is not None:
            wake(draft, Actor(kind="agent", id=agent), AGENT_REPLIED, now)


def come(draft: Draft, now: datetime) -> None:
    """Take the session back at its time, and tell those who have it; it was armed for this."""
    if draft.session.snoozed_until is None:
        return
    wake(draft, TIMER, TIME_CAME, now)
    agents = draft.session.assignee_ids
    if agents:
        draft.tell("session.notice", now, actor=tag(TIMER), because=TIME_CAME, notify=agents)


def _take_back(draft: Draft, command: Snooze, now: datetime) -> Message | None:
    if draft.session.snoozed_until is None:
        return None
    _clear(draft, Step(command.actor, now, TAKEN_BACK))
    return write_line(draft, command, now, "woken", f"woken: by {name_of(command.actor)}")


def _clear(draft: Draft, step: Step) -> None:
    """Let the session be as any other; it is idle from now on."""
    session = draft.session
    session.snoozed_until, session.snoozed_by = None, ""
    draft.disarm("snooze")
    requeue(session)
    draft.begin_anew(step.at)
    draft.touch(step.at)
    draft.tell("session.snoozed", step.at, actor=tag(step.actor), because=step.because)
