"""The agents of a workspace, kept up to date while one process gives sessions to them.

A limit is held by `seats` alone; what is here makes good choices cheap: how everybody stands is
read once, and then follows what is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

import msgspec

from libs.common.documents import Bot, Session
from libs.common.policy import AssignToAgent, AssignToTeam, Policy, Standing
from libs.common.rules.lookup import lookup


class Crew:
    """How the agents stand. `standings` is a new value after each change."""

    def __init__(
        self,
        policy: Policy,
        standings: tuple[Standing, ...] = (),
        bots: Mapping[str, Bot] = MappingProxyType({}),
        *,
        first: str = "",
    ) -> None:
        self.policy = policy
        self.standings = standings
        self.bots = bots
        self.first = first
        """The session that is next in the queue."""
        self._given: dict[str, str] = {}

    def give(self, session: str, agent: str, at: datetime) -> None:
        """Count that the session (id) is the agent's now, and nobody else's."""
        self.take_back(session)
        if agent:
            self._given[session] = agent
            self._change(agent, +1, at)

    def take_back(self, session: str) -> None:
        """Count that a session which was given here is not, after all."""
        agent = self._given.pop(session, "")
        if agent:
            self._change(agent, -1, None)

    def fill(self, agent: str) -> None:
        """Count the agent as full: somebody else was faster."""
        member = lookup(self.policy).members.get(agent)
        full = member.limit if member else 0
        self.standings = tuple(
            msgspec.structs.replace(one, load=max(one.load, full)) if one.id == agent else one
            for one in self.standings
        )

    @property
    def has_room(self) -> bool:
        """Whether anybody is online and below the limit."""
        members = lookup(self.policy).members
        return any(
            one.online and not one.away and one.load < members[one.id].limit
            for one in self.standings
            if one.id in members
        )

    def _change(self, agent: str, by: int, at: datetime | None) -> None:
        newest = max((one.turn for one in self.standings), default=0)
        self.standings = tuple(
            _changed(one, by, at, newest) if one.id == agent else one for one in self.standings
        )


def assigns(policy: Policy) -> bool:
    """Tell whether sessions are given automatically in this workspace, in whatever way."""
    settings = policy.settings
    if not any(member.limit > 0 for member in policy.members):
        return False
    overrides = (*settings.channels.values(), *settings.accounts.values())
    return (
        settings.auto_assign
        or settings.reopen == "owner"
        or any(one.auto_assign for one in overrides)
        or any(_names_people(action) for rule in policy.rules for action in rule.actions)
    )


def limit_of(policy: Policy, agent: str) -> int:
    """Return the most sessions that the agent gets automatically."""
    member = lookup(policy).members.get(agent)
    return member.limit if member else 0


def gained(session: Session, base: Session | None) -> str:
    """Return who owns *session*, as it is to be written, and did not own it before; or nothing."""
    owner = session.owner if session.list == "assigned" else None
    before = base.owner if base is not None and base.list == "assigned" else None
    return owner if owner and owner != before else ""


def decided(session: Session, base: Session | None) -> str:
    """Return because of what a decision of this very write gave the session to its owner, if any.

    Empty: a person did.
    """
    known = {record.id for record in base.records} if base is not None else set()
    for record in reversed(session.records):
        if record.id not in known and record.decision.owner == session.owner:
            return record.decision.because
    return ""


def _names_people(action: object) -> bool:
    return isinstance(action, AssignToAgent | AssignToTeam)


def _changed(standing: Standing, by: int, at: datetime | None, newest: int) -> Standing:
    """Return the standing with *by* sessions more; who got one at *at* was in turn after all."""
    load = max(standing.load + by, 0)
    if at is None:
        return msgspec.structs.replace(standing, load=load)
    turn = max(newest + 1, int(at.timestamp() * 1_000_000))
    return msgspec.structs.replace(standing, load=load, idle_since=at, turn=turn)
