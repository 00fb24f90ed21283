"""How a session changes hands: the few changes of list, owner and bot there are. Pure.

Every change goes through `move`, which keeps the rules that hold at every instant: one list; the
owner is the first assignee; only an assigned session has assignees; only an open session has an
open key; each change of list, owner or bot raises the epoch once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Literal, NamedTuple

from libs.common.commands import Actor
from libs.common.documents import Assignee, ListName, Session
from services.router.draft import Draft

OpenList = Literal["bot_hosted", "unassigned", "assigned"]


def name_of(actor: Actor) -> str:
    """Return what to call *actor* in the timeline."""
    return actor.name or actor.id


def tag(actor: Actor) -> str:
    """Return *actor* as facts name it."""
    return f"{actor.kind}:{actor.id}"


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
) -> bool:
    """Put the session into list *to*; tell whether anything changed.

    *assignees* are kept only in `assigned`.
    """
    session = draft.session
    before = (session.list, session.owner, session.assignees, session.bot)
    session.list = to
    session.assignees = assignees if to == "assigned" else ()
    session.assignee_ids = tuple(assignee.agent for assignee in session.assignees)
    session.owner = session.assignee_ids[0] if session.assignee_ids else None
    session.bot = bot
    if before == (session.list, session.owner, session.assignees, session.bot):
        return False
    _announce(draft, step, before)
    return True


def end(draft: Draft, step: Step) -> None:
    """End the session for good; who had it last stays readable."""
    session = draft.session
    previous: ListName = session.list
    session.list = "ended"
    session.bot = False
    session.open_key = None
    session.ended_at = step.at
    session.end_reason = step.because
    session.epoch += 1
    draft.touch(step.at)
    draft.tell(
        "session.ended",
        step.at,
        actor=tag(step.actor),
        because=step.because,
        previous_list=previous,
    )


def read(draft: Draft, actor: Actor, now: datetime, up_to: int | None = None) -> bool:
    """Mark the visitor's messages read for *actor*, never backwards; tell whether it changed."""
    session = draft.session
    wanted = session.inbound if up_to is None else min(up_to, session.inbound)
    if wanted <= session.reads.get(actor.id, 0):
        return False
    session.reads[actor.id] = wanted
    draft.tell("session.read", now, actor=tag(actor))
    return True


_State = tuple[ListName, str | None, tuple[Assignee, ...], bool]


def _announce(draft: Draft, step: Step, before: _State) -> None:
    session, now = draft.session, step.at
    previous_list, previous_owner, previous_assignees, previous_bot = before
    if (previous_list, previous_owner, previous_bot) != (session.list, session.owner, session.bot):
        session.epoch += 1
    draft.touch(now)
    say = partial(draft.tell, at=now, actor=tag(step.actor), because=step.because)
    if previous_list != session.list:
        say("session.moved", previous_list=previous_list, previous_owner=previous_owner or "")
    if previous_assignees != session.assignees:
        say("session.assigned", previous_owner=previous_owner or "")
    if previous_bot != session.bot:
        say("session.bot")
