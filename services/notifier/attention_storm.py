"""The storm breaker: how many separate alerts of an agent a minute holds; the rest is a summary.

It counts in this process. What it said is written into the watches, so a repeat changes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, NamedTuple

import msgspec

Kind = Literal["at_once", "email"]

MINUTE_S = 60.0
KEPT_S = 900.0
"""How long a session that was held back is remembered as one."""
AGENTS = 20_000
"""Agents remembered at most; those longest without an alert are forgotten first."""
SESSIONS = 5_000
"""Held sessions of one agent that are counted at most."""


class Whose(NamedTuple):
    """An agent, and what of them is counted."""

    kind: Kind
    workspace: str
    agent: str


class _Tally(msgspec.Struct):
    """When an agent was alerted in the last minute, and what was held back.

    `held` has since when by session, the oldest first; `minutes` the sessions by the minute of the
    calendar, of the last two.
    """

    told: list[float] = []
    held: OrderedDict[str, float] = msgspec.field(default_factory=OrderedDict)
    minutes: dict[int, set[str]] = {}


class Breaker:
    """See the module."""

    def __init__(self) -> None:
        self._tallies: OrderedDict[Whose, _Tally] = OrderedDict()

    def ask(self, whose: Whose, session: str, most: int, now_s: float) -> int:
        """Take a place of the minute; return 0, or how many were held back in this one.

        Args:
            whose: Who is to be alerted, and how.
            session: What of; it counts as held back, too.
            most: Places in any 60 seconds.
            now_s: Seconds of the calendar.
        """
        tally = self._tallies.setdefault(whose, _Tally())
        self._tallies.move_to_end(whose)
        if len(self._tallies) > AGENTS:
            self._tallies.popitem(last=False)
        tally.told = [at for at in tally.told if now_s - at < MINUTE_S]
        if len(tally.told) < most:
            tally.told.append(now_s)
            tally.held.pop(session, None)
            return 0
        _hold(tally, session, now_s)
        return len(tally.minutes[int(now_s // MINUTE_S)])

    def held(self, whose: Whose, minute: int | None) -> int:
        """Return how many sessions were held back in this minute; None: lately, in all."""
        tally = self._tallies.get(whose)
        if tally is None:
            return 0
        return len(tally.held) if minute is None else len(tally.minutes.get(minute, ()))


def _hold(tally: _Tally, session: str, now_s: float) -> None:
    minute = int(now_s // MINUTE_S)
    tally.minutes = {at: found for at, found in tally.minutes.items() if at >= minute - 1}
    tally.minutes.setdefault(minute, set()).add(session)
    tally.held[session] = now_s
    tally.held.move_to_end(session)
    while len(tally.held) > SESSIONS or next(iter(tally.held.values())) < now_s - KEPT_S:
        tally.held.popitem(last=False)


class Permits:
    """The breaker's words while one session's facts are handled: the same word over all tries."""

    def __init__(self, breaker: Breaker, workspace: str, session: str, most: int) -> None:
        self._breaker = breaker
        self._workspace = workspace
        self._session = session
        self._most = most
        self._said: dict[tuple[Kind, str], int] = {}

    def ask(self, kind: Kind, agent: str, now_s: float) -> int:
        """See `Breaker.ask`."""
        if (kind, agent) not in self._said:
            whose = Whose(kind, self._workspace, agent)
            said = self._breaker.ask(whose, self._session, self._most, now_s)
            self._said[kind, agent] = said
        return self._said[kind, agent]

    def held(self, agent: str, minute: int | None = None, kind: Kind = "at_once") -> int:
        """See `Breaker.held`."""
        return self._breaker.held(Whose(kind, self._workspace, agent), minute)
