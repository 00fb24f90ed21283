"""Where sessions stand as a stretch of days is gone through, and what that adds up to. Pure.

A simulation has two sides: what happened, and what would have happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from libs.common.policy import Case, Decision


class Stand(msgspec.Struct, kw_only=True):
    """Where a session stands; the fields of `Case` of the same names as its rules see them.

    `waiting_since` is when it came to wait; None: it does not.
    """

    list: str = ""
    owner: str = ""
    bot: str = ""
    team: str = ""
    skill: str = ""
    agent: str = ""
    tags: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    priority: int = 0
    waiting_since: datetime | None = None


SEEN = ("list", "team", "skill", "agent", "tags", "said")
"""What a case says of where its session stands."""


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from Unassigned to an agent, of those who came to one; and who did not."""

    assigned: int
    median_s: float
    p90_s: float
    longest_s: float
    never: int
    """Ended, or still waiting at the end."""


class Burden(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent had: sessions in all and at most at once, and alerts by rules."""

    sessions: int
    most_at_once: int
    alerts: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one side adds up to.

    Attributes:
        lists: How many sessions were in a list at any time.
        terminations: Sessions that would have ended by themselves by the proposed rules, by the
            list in which they were then.
        replies: Texts that rules and hours would have said.
    """

    lists: dict[str, int]
    waits: Waits
    agents: dict[str, Burden]
    terminations: dict[str, int]
    replies: int


class Side:
    """One side: every session that came by, and the agents' hands."""

    def __init__(self) -> None:
        self.stands: dict[str, Stand] = {}
        self.held: Counter[str] = Counter()
        self._lists: dict[str, set[str]] = {}
        self._waits: list[float] = []
        self._never = 0
        self._had: dict[str, set[str]] = {}
        self._most: Counter[str] = Counter()
        self._alerts: Counter[str] = Counter()
        self._idle: dict[str, set[str]] = {}
        self._replies = 0

    def stand(self, session: str) -> Stand:
        """Return where the session stands; nowhere yet for one that is new."""
        return self.stands.setdefault(session, Stand())

    def follow(self, session: str, decision: Decision, at: datetime, load: int = 0) -> None:
        """Let a decision take effect; *load* is what its owner had besides, for `most_at_once`."""
        stand = self.stand(session)
        stand.team, stand.skill, stand.agent = decision.team, decision.skill, decision.agent
        stand.tags = tuple(dict.fromkeys((*stand.tags, *decision.tags)))
        stand.said = tuple(dict.fromkeys((*stand.said, *decision.says)))
        if decision.priority is not None:
            stand.priority = decision.priority
        if decision.list:
            self.move(session, decision.list, decision.owner, at)
        if decision.bot:
            stand.bot = decision.bot
        if decision.owner:
            self._most[decision.owner] = max(self._most[decision.owner], load + 1)
        self._alerts.update(decision.notify)
        self._replies += len(decision.replies)

    def move(self, session: str, to: str, owner: str, at: datetime) -> None:
        """Put the session into a list, with an owner in `assigned`."""
        stand = self.stand(session)
        if stand.waiting_since is not None and to != "unassigned":
            self._waited(stand.waiting_since, at, assigned=to == "assigned")
            stand.waiting_since = None
        elif to == "unassigned" and stand.waiting_since is None:
            stand.waiting_since = at
        self._hand(session, stand.owner, owner)
        stand.list, stand.owner = to, owner
        if to != "bot_hosted":
            stand.bot = ""
        self._lists.setdefault(to, set()).add(session)

    def see(self, session: str, case: Case, at: datetime) -> None:
        """Take over where the case says that the session stands; people moved it meanwhile."""
        stand = self.stand(session)
        if case.list and stand.list != case.list:
            self.move(session, case.list, stand.owner if case.list == "assigned" else "", at)
        for name in SEEN[1:]:
            setattr(stand, name, getattr(case, name))

    def idled(self, session: str) -> None:
        """Note that the session lay idle where it would be ended for that."""
        self._idle.setdefault(self.stand(session).list, set()).add(session)

    def outcome(self) -> Outcome:
        """Add it up."""
        waiting = sum(stand.waiting_since is not None for stand in self.stands.values())
        agents = sorted({*self._had, *self._alerts})
        return Outcome(
            lists={name: len(found) for name, found in sorted(self._lists.items())},
            waits=_waits(self._waits, self._never + waiting),
            agents={
                agent: Burden(
                    sessions=len(self._had.get(agent, ())),
                    most_at_once=self._most[agent],
                    alerts=self._alerts[agent],
                )
                for agent in agents
            },
            terminations={name: len(found) for name, found in sorted(self._idle.items())},
            replies=self._replies,
        )

    def _waited(self, since: datetime, until: datetime, *, assigned: bool) -> None:
        if assigned:
            self._waits.append((until - since).total_seconds())
        else:
            self._never += 1

    def _hand(self, session: str, before: str, after: str) -> None:
        if before == after:
            return
        if before:
            self.held[before] -= 1
        if after:
            self.held[after] += 1
            self._most[after] = max(self._most[after], self.held[after])
            self._had.setdefault(after, set()).add(session)


def _waits(seconds: Iterable[float], never: int) -> Waits:
    rows = sorted(seconds)
    return Waits(
        assigned=len(rows),
        median_s=_share(rows, 0.5),
        p90_s=_share(rows, 0.9),
        longest_s=_share(rows, 1.0),
        never=never,
    )


def _share(rows: Sequence[float], share: float) -> float:
    """Return the value below or at which this share of the sorted rows lies; 0 of none."""
    if not rows:
        return 0.0
    return round(rows[max(0, min(len(rows), -int(-share * len(rows) // 1)) - 1)], 3)
