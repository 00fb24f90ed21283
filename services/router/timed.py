"""What a timer does when it is due; who arms them, does so as part of its own write. Pure.

A timer that comes decides nothing by itself: it acts only where the session still has its kind in
`due`, and then takes it out in the same write, so that it acts once however often it comes. The
idle end alone acts by the policy, see `idle`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from libs.common.commands import FireTimer
from libs.common.documents import Session
from libs.common.events import SessionTimer, TextPart
from libs.common.policy import Policy
from libs.common.rules.lookup import lookup, switch
from services.router.botting import late
from services.router.decisions import hand_off, line
from services.router.draft import Draft
from services.router.idle import terminate
from services.router.room import Room
from services.router.say import machine_entry
from services.router.snooze import come
from services.router.transition import TIMER, Step, move, tag

SILENT_OWNER: SessionTimer = "silent_owner"
_LEADING = frozenset({"lead", "admin", "owner"})
_NAMED = 3
"""So many names stand in a line."""


class Fired(NamedTuple):
    """That a timer came: when, and for when it was armed."""

    now: datetime
    due: datetime


def fire(draft: Draft, command: FireTimer, room: Room, now: datetime) -> None:
    """Let the session's timer of the command's kind act if it is due at *now*.

    One that was moved to later is armed again; one that was taken back does nothing. One that was
    not moved acts although it is early by *now*: it came by the server's clock, to which its time
    is over, so that arming it again would bring it again at once, until the clocks agree.
    """
    if command.kind == "idle_end":
        terminate(draft, command, room, now)
        return
    due = draft.session.due.get(command.kind)
    if due is None:
        return
    if due > now and due != command.due:
        draft.arm(command.kind, due)
        return
    draft.disarm(command.kind)
    _ACTS[command.kind](draft, room, Fired(now, due))


# --- the silent owner --------------------------------------------------------------------------


def _silent_owner(draft: Draft, room: Room, fired: Fired) -> None:
    """Do what the workspace has set for an owner who has not answered in time."""
    session, settings = draft.session, room.policy.settings
    if session.list != "assigned" or session.awaiting_since is None or not settings.silent_owner_s:
        return
    owner = session.owner or ""
    if settings.silent_owner == "remind":
        _notice(draft, room, fired, (owner,))
    elif settings.silent_owner == "alert_lead":
        _notice(draft, room, fired, leads(room.policy, session) or (owner,))
    else:
        _give_back(draft, room, fired.now)


def leads(policy: Policy, session: Session) -> tuple[str, ...]:
    """Return who leads the session's team; without a team, or where it has none, everybody's."""
    found = [member for member in policy.members if member.role in _LEADING]
    own = [member for member in found if session.team and session.team in member.teams]
    return tuple(member.id for member in own or found)


def _notice(draft: Draft, room: Room, fired: Fired, agents: tuple[str, ...]) -> None:
    """Tell *agents*, and leave a line that says so; one timer leaves one line."""
    session = draft.session
    key = f"{session.id}:{SILENT_OWNER}:{fired.due.isoformat()}"
    entry = machine_entry(session, key, fired.now, "system", TIMER.id)
    entry.kind = "system"
    entry.what = SILENT_OWNER
    entry.sequence = draft.written
    silent = _owner_name(session)
    reminded = f"reminded {silent}: no answer in time"
    alerted = f"alerted {_names(room.policy, agents)}: {silent} did not answer in time"
    entry.parts = (TextPart(text=reminded if agents == (session.owner,) else alerted),)
    draft.write(entry)
    draft.tell("session.notice", fired.now, actor=tag(TIMER), because=SILENT_OWNER, notify=agents)


def _owner_name(session: Session) -> str:
    return session.assignees[0].name or session.owner or ""


def _names(policy: Policy, agents: Sequence[str]) -> str:
    members = lookup(policy).members
    names = [members[agent].name or agent if agent in members else agent for agent in agents]
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _give_back(draft: Draft, room: Room, now: datetime) -> None:
    """Let the session wait for somebody else: who was silent does not get it back by itself.

    To `reassign` it where nothing is given automatically, everybody is asked to take it.
    """
    session, settings = draft.session, room.policy.settings
    owner, name = session.owner or "", _owner_name(session)
    until = now + timedelta(seconds=settings.removed_for_s)
    session.removed = {**session.removed, owner: until}
    if session.wanted == owner:
        session.wanted = ""  # nobody else might have it
    step = Step(TIMER, now, SILENT_OWNER)
    move(draft, step, "unassigned")
    line(draft, step, "unassigned", f"returned to Unassigned: {name} did not answer in time")
    given, _level = switch(settings, "auto_assign", session.channel, session.account)
    if settings.silent_owner == "reassign" and not given:
        draft.tell("session.handoff", now, actor=tag(TIMER), because=SILENT_OWNER)


# --- bots --------------------------------------------------------------------------------------


def _bot_deadline(draft: Draft, room: Room, fired: Fired) -> None:
    """Ask for a human where a webhook bot has not answered in time."""
    if draft.session.list == "ended" or not draft.session.bot_asked:
        return
    draft.session.bot_asked = ""
    hand_off(draft, room, fired.now, "bot_silent", TIMER)


def _flow_wait(draft: Draft, room: Room, fired: Fired) -> None:
    """Let a flow go on without the answer it waited for."""
    if draft.session.list == "ended":
        return
    because = late(draft, room, fired.now)
    if because:
        hand_off(draft, room, fired.now, because, TIMER)


def _snooze(draft: Draft, _room: Room, fired: Fired) -> None:
    """Take back what was put aside until now."""
    come(draft, fired.now)


_ACTS: dict[SessionTimer, Callable[[Draft, Room, Fired], None]] = {
    "silent_owner": _silent_owner,
    "bot_deadline": _bot_deadline,
    "flow_wait": _flow_wait,
    "snooze": _snooze,
}
