"""The end of what is idle: its timer, armed as seldom as can be, and what it does. Pure.

Each message puts the end off, but not the timer: one that comes too early is armed again. So a
message costs a look at the policy, and where the switch is off no timer.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from libs.common.commands import Actor, FireTimer
from libs.common.documents import EndedFrom, Session
from libs.common.errors import InvalidInputError, NotPermittedError
from libs.common.events import TextPart
from libs.common.idle import Idle, idle_end, idle_since
from libs.common.switches import IdleRule, Termination
from libs.common.termination import TERMINATED
from services.router.decisions import line
from services.router.draft import Draft
from services.router.room import Room
from services.router.say import answered, machine_entry, say
from services.router.transition import TIMER, Step, end

FAREWELL = Actor(kind="automation", id="auto_termination")
"""Who says farewell."""

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
_SHOWN = 2


def watch(draft: Draft, now: datetime) -> None:
    """Keep the timer of the idle end, for this write: there is one, and it never comes too late.

    To be called once, after all else that the write does. The time that the session has in `due` is
    when the timer was armed for here; once that is over, the scheduler has armed it for later.
    """
    session = draft.session
    due = session.due.get("idle_end")
    found = idle_end(session, draft.settings)
    if found is None:
        if due is not None:
            draft.disarm("idle_end")
    elif due is None or found.due < due or due <= now < found.due:
        draft.arm("idle_end", found.due)


def terminate(draft: Draft, command: FireTimer, room: Room, now: datetime) -> None:
    """End the session if it is idle for long enough by the policy of now; else arm, or let be.

    What is due exactly when the timer was to come is due although it is early by *now*: the
    server's clock may be ahead of ours.
    """
    found = idle_end(draft.session, room.policy.settings)
    if found is None:
        draft.disarm("idle_end")
    elif found.due > now and found.due != command.due:
        draft.arm("idle_end", found.due)
    else:
        _end(draft, found, room, now)


def _end(draft: Draft, found: Idle, room: Room, now: datetime) -> None:
    session, termination = draft.session, room.policy.settings.termination
    why = _why(session, found.rule, termination, now)
    unsaid = _say_farewell(draft, found.rule, room, now)
    session.ended_from = EndedFrom(
        list=session.list,
        until=now + timedelta(seconds=termination.undo_s),
        bot=session.bot,
        bot_id=session.bot_id,
        switched=session.switched,
        assignees=session.assignees,
        waiting_since=session.waiting_since,
    )
    step = Step(TIMER, now, TERMINATED)
    end(draft, step)
    line(draft, step, "ended", why + unsaid)


def _say_farewell(draft: Draft, rule: IdleRule, room: Room, now: datetime) -> str:
    """Say what the rule says at the end; return in words why that was not possible, or nothing."""
    if not rule.farewell:
        return ""
    key = f"{draft.session.id}:{draft.rev}:farewell"
    entry = machine_entry(draft.session, key, now, "automation", FAREWELL.id)
    try:
        say(draft, entry, answered((TextPart(text=rule.farewell),), FAREWELL.kind), room.reach, now)
    except (NotPermittedError, InvalidInputError) as error:
        return f"; the farewell was not sent: {error.detail}"
    return ""


def _why(session: Session, rule: IdleRule, termination: Termination, now: datetime) -> str:
    """Say for a person why the session ends."""
    idle_s = int((now - idle_since(session)).total_seconds())
    number = termination.rules.index(rule) + 1
    text = (
        f"ended automatically: no message for {duration(idle_s)} "
        f"(rule {number}: after {duration(rule.idle_s)} in {session.list.replace('_', ' ')})"
    )
    spoke = session.newest.get("spoke")
    last = spoke.at if spoke is not None else idle_since(session)
    if session.outside_at is not None and session.outside_at > last:
        text += f"; answered outside at {moment(session.outside_at)}"
    return text


def duration(seconds: int) -> str:
    """Return *seconds* in words, by the two largest units: `1 day 2 hours`."""
    words: list[str] = []
    for name, size in _UNITS:
        number, seconds = divmod(seconds, size)
        if number:
            words.append(f"{number} {name}{'s' if number > 1 else ''}")
        if len(words) == _SHOWN or (words and not number):
            break
    return " ".join(words) or "0 seconds"


def moment(at: datetime) -> str:
    """Return *at* as a line of the timeline says it: in UTC, as each reader has another zone."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
