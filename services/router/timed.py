"""What a timer does when it is due; who arms them, does so as part of its own write. Pure.

A timer that comes decides nothing by itself: it acts only where the session still has its kind in
`due`, and then takes it out in the same write, so that it acts once however often it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from libs.common.commands import Actor, FireTimer
from libs.common.documents import Session
from libs.common.events import TimerKind
from libs.common.policy import Policy
from libs.common.switches import Settings
from services.router.botting import late
from services.router.decisions import hand_off, line
from services.router.draft import Draft
from services.router.room import Room
from services.router.transition import Step, move, tag

SILENT_OWNER: TimerKind = "silent_owner"
TIMER = Actor(kind="system", id="timer")
_LEADING = frozenset({"lead", "admin", "owner"})


def fire(draft: Draft, command: FireTimer, room: Room, now: datetime) -> None:
    """Let the session's timer of the command's kind act if it is due at *now*.

    One that was moved to later is armed again; one that was taken back does nothing. One that was
    not moved acts although it is early by *now*: it came by the server's clock, to which its time
    is over, so that arming it again would bring it again at once, until the clocks agree.
    """
    due = draft.session.due.get(command.kind)
    if due is None:
        return
    if due > now and due != command.due:
        draft.arm(command.kind, due)
        return
    draft.disarm(command.kind)
    _ACTS[command.kind](draft, room, now)


# --- the silent owner --------------------------------------------------------------------------


def _silent_owner(draft: Draft, room: Room, now: datetime) -> None:
    """Do what the workspace has set for an owner who has not answered in time."""
    session, settings = draft.session, room.policy.settings
    if session.list != "assigned" or session.awaiting_since is None or not settings.silent_owner_s:
        return
    owner = session.owner or ""
    if settings.silent_owner == "remind":
        _notice(draft, now, (owner,))
    elif settings.silent_owner == "alert_lead":
        _notice(draft, now, leads(room.policy, session) or (owner,))
    else:
        _give_back(draft, settings, now)


def leads(policy: Policy, session: Session) -> tuple[str, ...]:
    """Return who leads the session's team; without a team, or where it has none, everybody's."""
    found = [member for member in policy.members if member.role in _LEADING]
    own = [member for member in found if session.team and session.team in member.teams]
    return tuple(member.id for member in own or found)


def _notice(draft: Draft, now: datetime, agents: tuple[str, ...]) -> None:
    draft.tell("session.notice", now, actor=tag(TIMER), because=SILENT_OWNER, notify=agents)


def _give_back(draft: Draft, settings: Settings, now: datetime) -> None:
    """Let the session wait for somebody else: who was silent does not get it back by itself."""
    session = draft.session
    owner = session.owner or ""
    name = session.assignees[0].name or owner
    until = now + timedelta(seconds=settings.removed_for_s)
    session.removed = {**session.removed, owner: until}
    if session.wanted == owner:
        session.wanted = ""  # nobody else might have it
    step = Step(TIMER, now, SILENT_OWNER)
    move(draft, step, "unassigned")
    line(draft, step, "unassigned", f"returned to Unassigned: {name} did not answer in time")


# --- bots --------------------------------------------------------------------------------------


def _bot_deadline(draft: Draft, room: Room, now: datetime) -> None:
    """Ask for a human where a webhook bot has not answered in time."""
    if draft.session.list == "ended" or not draft.session.bot_asked:
        return
    draft.session.bot_asked = ""
    hand_off(draft, room, now, "bot_silent", TIMER)


def _flow_wait(draft: Draft, room: Room, now: datetime) -> None:
    """Let a flow go on without the answer it waited for."""
    if draft.session.list == "ended":
        return
    because = late(draft, room, now)
    if because:
        hand_off(draft, room, now, because, TIMER)


_ACTS: dict[TimerKind, Callable[[Draft, Room, datetime], None]] = {
    "silent_owner": _silent_owner,
    "bot_deadline": _bot_deadline,
    "flow_wait": _flow_wait,
}
