"""What is unread in a workspace, by agent and account: sums that each change moves. Pure.

An agent's unread messages are those that visitors wrote in open sessions that are not snoozed,
less what the agent has read of them. Both are kept as sums by place, so that an answer costs as
much as there are accounts and teams, however many sessions are open.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from libs.common.documents import Session
from services.desk.filters import OPEN
from services.desk.scope import Scope


class Spot(NamedTuple):
    """Where unread messages stand, as far as it matters to who sees them."""

    channel: str
    account: str
    team: str


class Counted(NamedTuple):
    """What is counted of one session; `reads` as far as they count."""

    rev: int
    spot: Spot
    inbound: int
    reads: dict[str, int]
    assignees: tuple[str, ...]


class Tally:
    """The unread messages of one workspace; sessions are put in whenever they have changed."""

    def __init__(self) -> None:
        self._counted: dict[str, Counted] = {}
        self._gone: dict[str, int] = {}
        self._written: Counter[Spot] = Counter()
        self._read: defaultdict[str, Counter[Spot]] = defaultdict(Counter)
        self._on: defaultdict[str, set[str]] = defaultdict(set)
        self.filling = True
        """Whether sessions are still being read in, so that an older state may come later."""

    def put(self, session: Session) -> None:
        """Count *session* as it is in this state, unless a newer one was counted."""
        before = self._counted.get(session.id)
        if max(before.rev if before else 0, self._gone.get(session.id, 0)) >= session.rev:
            return
        self._take_out(session.id)
        if session.list not in OPEN or session.snoozed_until is not None:
            if self.filling:
                self._gone[session.id] = session.rev
            return
        reads = {who: min(n, session.inbound) for who, n in session.reads.items() if n > 0}
        spot = Spot(session.channel, session.account, session.team)
        now = Counted(session.rev, spot, session.inbound, reads, session.assignee_ids)
        self._counted[session.id] = now
        self._count(session.id, now, 1)

    def drop(self, session: str) -> None:
        """Count a session no more that is not there any more."""
        self._take_out(session)

    def filled(self) -> None:
        """Note that every session has been read in."""
        self.filling = False
        self._gone.clear()

    def unread(self, agent: str, scope: Scope) -> dict[str, int]:
        """Return what *agent* has not read of what they see, by account, without noughts."""
        read = self._read.get(agent, Counter())
        found: Counter[str] = Counter()
        for spot, written in self._written.items():
            if _sees(scope, spot):
                found[spot.account] += written - read[spot]
        if scope.teams is not None:  # of other teams, those that they are on
            for session in self._on.get(agent, ()):
                counted = self._counted[session]
                if not _sees(scope, counted.spot) and _reaches(scope, counted.spot):
                    unread = counted.inbound - counted.reads.get(agent, 0)
                    found[counted.spot.account] += unread
        return {account: n for account, n in sorted(found.items()) if n > 0}

    def _take_out(self, session: str) -> None:
        before = self._counted.pop(session, None)
        if before is not None:
            self._count(session, before, -1)

    def _count(self, session: str, counted: Counted, times: int) -> None:
        _add(self._written, counted.spot, times * counted.inbound)
        for agent, read in counted.reads.items():
            _add(self._read[agent], counted.spot, times * read)
            if not self._read[agent]:
                del self._read[agent]
        for agent in counted.assignees:
            (self._on[agent].add if times > 0 else self._on[agent].discard)(session)
            if not self._on[agent]:
                del self._on[agent]


def _add(sums: Counter[Spot], spot: Spot, number: int) -> None:
    sums[spot] += number
    if not sums[spot]:
        del sums[spot]


def _reaches(scope: Scope, spot: Spot) -> bool:
    return scope.account(spot.channel, spot.account)


def _sees(scope: Scope, spot: Spot) -> bool:
    ours = scope.teams is None or not spot.team or spot.team in scope.teams
    return ours and _reaches(scope, spot)
