"""Whom a session is given to automatically."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from libs.common.policy import Candidate, Case, Member, Policy, Standing
from libs.common.rules.lookup import Fit, lookup, on_duty, roster
from libs.common.switches import Strategy

Free = tuple[Member, Standing]
Choice = tuple[str, tuple[Candidate, ...]]
"""Who gets it ("" for nobody), and everybody who was looked at, in the policy's order."""

_ABSENT = Standing(id="", online=False, load=0, idle_since=datetime.min.replace(tzinfo=UTC))


def choose(
    case: Case, policy: Policy, standings: Sequence[Standing], now: datetime, *, anyone: bool = True
) -> Choice:
    """Choose an agent who can take the session now.

    The agent that the case names comes first, alone. Where that one cannot, or none is named, the
    members of its team and skill do; without `anyone` (auto-assign is off) nobody else does, and
    neither does where an agent is named without a team: it waits. A team or agent that the policy
    does not have is no wish at all, nor is a skill that no member has: as otherwise the visitor
    would wait for ever.
    """
    known = lookup(policy)
    seen = {standing.id: standing for standing in standings}
    named = known.members.get(case.agent)
    team = case.team if case.team in known.teams else ""
    looked: tuple[Candidate, ...] = ()
    if named is not None:
        alone = msgspec.structs.replace(case, team="")
        free, looked = _looked_at(roster(policy, agent=named.id), seen, _Look(alone, policy, now))
        if free or not team:
            return (named.id if free else ""), looked
    if not anyone:
        return "", looked
    look = _Look(msgspec.structs.replace(case, team=team), policy, now)
    skill = case.skill if any(case.skill in one.skills for one in policy.members) else ""
    others: Iterable[Fit] = roster(policy, team=team, skill=skill)
    if named is not None:
        others = [fit for fit in others if fit[0] is not named]
    free, more = _looked_at(others, seen, look)
    return best(free, case, strategy_for(case, policy)), looked + more


def strategy_for(case: Case, policy: Policy) -> Strategy:
    """Return the workspace's strategy, which may be another one for returning contacts."""
    settings = policy.settings
    return (case.returning and settings.strategy_returning) or settings.strategy


def best(free: Iterable[Free], case: Case, strategy: Strategy) -> str:
    """Return the id of the best of those who can, or "" of none."""
    able = list(free)
    if strategy == "sticky" and any(member.id == case.last_owner for member, _ in able):
        return case.last_owner
    return min(able, key=_ORDERS[strategy])[0].id if able else ""


_Order = Callable[[Free], tuple[object, ...]]


def _least_loaded(free: Free) -> tuple[object, ...]:
    member, standing = free
    return standing.load, standing.idle_since, member.id


def _round_robin(free: Free) -> tuple[object, ...]:
    member, standing = free
    return standing.turn, standing.idle_since, member.id


def _priority(free: Free) -> tuple[object, ...]:
    return -free[0].priority, *_least_loaded(free)


_ORDERS: dict[Strategy, _Order] = {
    "least_loaded": _least_loaded,
    "sticky": _least_loaded,
    "round_robin": _round_robin,
    "priority": _priority,
}


class _Look:
    """What one look at the agents goes by; the hours are read once a set of teams."""

    def __init__(self, case: Case, policy: Policy, now: datetime) -> None:
        self._policy = policy
        self._team = case.team
        self._place = case.channel, case.account
        self._now = now
        self._removed = frozenset(agent for agent, until in case.removed.items() if until > now)
        self._duty: dict[tuple[str, ...], bool] = {}

    def unable(self, member: Member, standing: Standing) -> str:
        """Return why the member, who may have the session, can take nothing at this moment."""
        found = self._shut_out(member) or _busy(member, standing)
        if found:
            return found
        open_now = self._duty.get(member.teams)
        if open_now is None:
            open_now = on_duty(self._policy, member.teams, self._team, self._now)
            self._duty[member.teams] = open_now
        return "" if open_now else "out_of_hours"

    def _shut_out(self, member: Member) -> str:
        if not member.covers(*self._place):
            return "out_of_scope"
        return "removed" if member.id in self._removed else ""


def _busy(member: Member, standing: Standing) -> str:
    if standing.away:
        return "away"
    if not standing.online:
        return "offline"
    return "full" if standing.load >= member.limit else ""


def _looked_at(
    roster: Iterable[Fit], seen: dict[str, Standing], look: _Look
) -> tuple[list[Free], tuple[Candidate, ...]]:
    free: list[Free] = []
    candidates: list[Candidate] = []
    for member, unfit in roster:
        standing = seen.get(member.id, _ABSENT)
        excluded = unfit or look.unable(member, standing)
        if not excluded:
            free.append((member, standing))
        candidates.append(
            Candidate(
                agent=member.id,
                name=member.name,
                load=standing.load,
                limit=member.limit,
                excluded=excluded,
            )
        )
    return free, tuple(candidates)
