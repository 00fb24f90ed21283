"""Who is there: agents say so, and colleagues see it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.common.documents import Role
from libs.common.presence import LAPSE_S
from services.desk.api.route import Call, Reply
from services.desk.presence import Who

State = Literal["online", "away", "offline"]


class PresenceSaid(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the caller is there; said again within a minute, or else it lapses."""

    state: State


class PresenceNow(msgspec.Struct, frozen=True, kw_only=True):
    """How the caller is there now, since when, and in how many seconds it lapses."""

    state: State
    since: datetime
    lapses_s: Annotated[int, Meta(ge=0)]


class AgentPresence(msgspec.Struct, frozen=True, kw_only=True):
    """A colleague and whether they are there; `since` is null for who is not."""

    agent: str
    name: str
    role: Role
    state: State
    since: datetime | None


class PresenceList(msgspec.Struct, frozen=True, kw_only=True):
    """Every agent of the workspace who is not disabled, by address."""

    items: tuple[AgentPresence, ...]
    next: str | None = None


async def say(call: Call) -> Reply:
    """Say how the caller is there.

    Raises:
        BusUnavailableError: It could not be said.
    """
    said: PresenceSaid = call.body
    who = Who(call.who.workspace, call.who.agent)
    present = await call.desk.live.attendance.say(who, said.state)
    lapses_s = int(LAPSE_S)
    return Reply(body=PresenceNow(state=said.state, since=present.since, lapses_s=lapses_s))


async def presence(call: Call) -> Reply:
    """List who is there."""
    workspace = call.who.workspace
    found = await call.desk.store.all_agents(workspace)
    there = call.desk.live.presences.of(workspace)
    items = []
    for agent in found:
        if agent.disabled:
            continue
        present = there.get(agent.id)
        items.append(
            AgentPresence(
                agent=agent.id,
                name=agent.name,
                role=agent.role,
                state=present.state if present else "offline",
                since=present.since if present else None,
            )
        )
    return Reply(body=PresenceList(items=tuple(items)))
