"""The storm breaker: how many separate alerts of an agent a minute holds; the rest is a summary.

It counts in this process. What it said is written into the watches, so a repeat changes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, NamedTuple

import msgspec

Kind = Literal["at_once", "email"]

MINUTE_S = 60.0
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
    """When an agent was alerted in the last minute, and the sessions held back, by their end."""

    told: list[float] = []
    held: OrderedDict[str, float] = msgspec.field(default_factory=OrderedDict)


class Breaker:
    """See the module."""

    def __init__(self) -> None:
        self._tallies: OrderedDict[Whose, _Tally] = OrderedDict()

    def ask(self, whose: Whose, session: str, most: int, now_s: float) -> int:
        """Take a place of the minute; return 0, or how many sessions are held back with this one.

        Args:
            whose: Who is to be alerted, and how.
            session: What of.
            most: Places of a minute.
            now_s: Seconds of any steady clock, or of the calendar.
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
        tally.held[session] = now_s
        tally.held.move_to_end(session)
        return self.held(whose, now_s)

    def held(self, whose: Whose, now_s: float) -> int:
        """Return how many sessions were held back in the last minute."""
        tally = self._tallies.get(whose)
        if tally is None:
            return 0
        while tally.held:
            oldest = next(iter(tally.held))
            if now_s - tally.held[oldest] < 2 * MINUTE_S and len(tally.held) <= SESSIONS:
                break
            del tally.held[oldest]
        return len(tally.held)


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

    def held(self, kind: Kind, agent: str, now_s: float) -> int:
        """See `Breaker.held`."""
        return self._breaker.held(Whose(kind, self._workspace, agent), now_s)
