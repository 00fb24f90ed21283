"""How a session changes hands: the few changes of list, owner and bot there are. Pure.

Every change goes through `move`, which keeps the rules that hold at every instant: one list; the
owner is the first assignee; only an assigned session has assignees; only an open session has an
open key; each change of list, owner or bot raises the epoch once. What goes with a place comes and
goes with it: the queue's key in `unassigned`, automation in `assigned`, the bot and what it knows
where a bot answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Literal, NamedTuple, get_args

from libs.common.commands import Actor
from libs.common.documents import Assignee, EndedFrom, ListName, Session
from libs.common.events import SessionTimer
from libs.common.figures import restored
from libs.common.rules.lookup import switch
from libs.common.windows import PERSON
from services.router import reckon
from services.router.draft import Draft

OpenList = Literal["bot_hosted", "unassigned", "assigned"]

_FIRST = 500
"""More than any priority: the number before a key's time falls as the priority rises."""


TIMER = Actor(kind="system", id="timer")
"""Who does what was armed for its time."""


def name_of(actor: Actor) -> str:
    """Return what to call *actor* in the timeline."""
    return actor.name or actor.id


def tag(actor: Actor) -> str:
    """Return *actor* as facts name it."""
    return f"{actor.kind}:{actor.id}" if actor.id else actor.kind


def seat(
    session: Session, agents: Sequence[tuple[str, str]], now: datetime
) -> tuple[Assignee, ...]:
    """Return *agents*, given as (id, name), as assignees; who sat there before keeps the time."""
    since = {assignee.agent: assignee for assignee in session.assignees}
    return tuple(
        since.get(agent) or Assignee(agent=agent, name=name, since=now) for agent, name in agents
    )


class Step(NamedTuple):
    """Who changes the session, when, and by which rule."""

    actor: Actor
    at: datetime
    because: str


def move(
    draft: Draft,
    step: Step,
    to: OpenList,
    *,
    assignees: tuple[Assignee, ...] = (),
    bot: bool = False,
    bot_id: str = "",
) -> bool:
    """Put the session into list *to*; tell whether anything changed.

    *assignees* are kept only in `assigned`. With *bot* on, it is *bot_id*, or the one it was.
    """
    before = _state(draft.session)
    place(draft, step.at, to, assignees=assignees, bot=bot, bot_id=bot_id)
    if before == _state(draft.session):
        return False
    reckon.handed(draft.session, before[0], step.actor, step.at)
    _announce(draft, step, before)
    return True


def place(
    draft: Draft,
    at: datetime,
    to: OpenList,
    *,
    assignees: tuple[Assignee, ...] = (),
    bot: bool = False,
    bot_id: str = "",
) -> None:
    """Let the session stand in list *to* without saying so; see `move`."""
    session = draft.session
    entered = session.list != to
    session.list = to
    session.assignees = assignees if to == "assigned" else ()
    session.assignee_ids = tuple(assignee.agent for assignee in session.assignees)
    session.owner = session.assignee_ids[0] if session.assignee_ids else None
    if session.bot and not bot and session.switched:  # what a person had switched on goes with it
        session.switched, entered = None, True
    session.bot = bot
    reckon.place(session, at)
    _automate(draft, entered=entered)
    _host(draft, bot_id)
    _queue(session, at)


def end(draft: Draft, step: Step) -> None:
    """End the session for good; who had it last stays readable."""
    session = draft.session
    previous: ListName = session.list
    session.list = "ended"
    session.bot = session.automation = False
    session.waiting_since = session.queue_key = session.awaiting_since = None
    session.open_key = session.snoozed_until = None
    session.snoozed_by = ""
    session.ended_at = step.at
    reckon.end(session, step.actor, step.at, step.because)
    session.end_reason = session.because = step.because
    session.epoch += 1
    if step.actor.kind == PERSON:
        session.hushed = session.epoch
    _host(draft, "")
    for kind in get_args(SessionTimer):
        draft.disarm(kind)
    draft.touch(step.at)
    draft.tell(
        "session.ended",
        step.at,
        actor=tag(step.actor),
        because=step.because,
        previous_list=previous,
    )


def reopen(draft: Draft, step: Step, origin: EndedFrom, open_key: str) -> None:
    """Let a session that has ended stand again where it stood, in its old place of the queue."""
    session = draft.session
    if origin.list == "ended":
        raise ValueError("a session that has ended did not end from there")
    before = _state(session)
    session.open_key = open_key
    session.ended_at = session.ended_from = None
    session.end_reason = ""
    session.switched = origin.switched
    session.waiting_since = origin.waiting_since
    session.course = restored(session.course, step.at)
    place(
        draft,
        step.at,
        origin.list,
        assignees=origin.assignees,
        bot=origin.bot,
        bot_id=origin.bot_id,
    )
    _announce(draft, step, before)


def queue_key(session: Session) -> str | None:
    """Return what orders the session in the queue, as text: high priority first, then waiting time.

    None: it does not wait, is snoozed, or another application holds the conversation.
    """
    if session.waiting_since is None or session.standby or session.snoozed_until is not None:
        return None
    waiting = session.waiting_since.astimezone(UTC)
    return f"{_FIRST - session.priority:03d} {waiting:%Y-%m-%dT%H:%M:%S.%f}"


def requeue(session: Session) -> None:
    """Let the queue know what changed of a session besides its list: priority, standby, snooze."""
    session.queue_key = queue_key(session)


def read(draft: Draft, actor: Actor, now: datetime, up_to: int | None = None) -> bool:
    """Mark the visitor's messages read for *actor*, never backwards; tell whether it changed."""
    session = draft.session
    wanted = session.inbound if up_to is None else min(up_to, session.inbound)
    if wanted <= session.reads.get(actor.id, 0):
        return False
    session.reads[actor.id] = wanted
    draft.tell("session.read", now, actor=tag(actor))
    return True


_State = tuple[ListName, str | None, tuple[Assignee, ...], bool, str, bool]


def _state(session: Session) -> _State:
    return (
        session.list,
        session.owner,
        session.assignees,
        session.bot,
        session.bot_id,
        session.automation,
    )


def _automate(draft: Draft, *, entered: bool) -> None:
    """Let automation run in `assigned` alone: as session hosting says, or as a person said."""
    session = draft.session
    if session.list != "assigned":
        session.automation = False
    elif session.switched is not None:
        session.automation = session.switched
    elif entered:
        hosting, _level = switch(
            draft.settings, "session_hosting", session.channel, session.account
        )
        session.automation = hosting


def _host(draft: Draft, bot_id: str) -> None:
    """Settle which bot answers; another one, or none, begins afresh and is waited for no more."""
    session = draft.session
    answers = session.bot or session.automation
    wanted = (bot_id or session.bot_id) if answers else ""
    another = wanted != session.bot_id
    if another or not answers:
        session.bot_id = wanted
        session.bot_state = {}
        draft.disarm("flow_wait")
    if another or not session.bot:
        session.bot_asked = ""
        draft.disarm("bot_deadline")


def _queue(session: Session, at: datetime) -> None:
    if session.list != "unassigned":
        session.waiting_since = None
    elif session.waiting_since is None:
        session.waiting_since = at
    requeue(session)


def _announce(draft: Draft, step: Step, before: _State) -> None:
    session, now = draft.session, step.at
    previous_list, previous_owner, previous_assignees, previous_bot, bot_id, automation = before
    held = (previous_list, previous_owner, previous_bot, bot_id)
    if held != (session.list, session.owner, session.bot, session.bot_id):
        session.epoch += 1
        if step.actor.kind == PERSON and not (session.bot and not previous_bot):
            session.hushed = session.epoch
    if held[:2] != (session.list, session.owner):
        session.because = step.because
        draft.begin_anew(now)
    draft.touch(now)
    say = partial(draft.tell, at=now, actor=tag(step.actor), because=step.because)
    if previous_list != session.list:
        say("session.moved", previous_list=previous_list, previous_owner=previous_owner or "")
    if previous_assignees != session.assignees:
        was = {assignee.agent for assignee in previous_assignees}
        joined = tuple(agent for agent in session.assignee_ids if agent not in was)
        say("session.assigned", previous_owner=previous_owner or "", joined=joined)
    switched = (previous_bot, bot_id, automation) != _switches(session)
    if previous_bot != session.bot or (switched and previous_list == session.list):
        say("session.bot", bot_id=session.bot_id)


def _switches(session: Session) -> tuple[bool, str, bool]:
    return session.bot, session.bot_id, session.automation
