"""When a bot is not called for a while, and how many calls of it are under way. No I/O.

A bot that failed `FAILURES` times in a row rests: its visitors go to people at once. After the
rest one call is let through: its success closes the breaker, its failure doubles the rest. A bot
that says 410 rests longest. A change of the bot's document begins anew.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from libs.common.documents import Bot

FAILURES = 5
"""Failures in a row."""
FIRST_REST_S = 10.0
LONGEST_REST_S = 300.0
MOST_BREAKERS = 10_000
AT_ONCE = 128
AT_ONCE_PER_BOT = 16

State = Literal["closed", "open", "half_open"]


class Breaker:
    """The breaker of one bot; times are seconds of a clock that only rises.

    Args:
        rev: Of the bot's document.
        first_s: The first rest.
        longest_s: No rest is longer.
    """

    def __init__(
        self, rev: int, first_s: float = FIRST_REST_S, longest_s: float = LONGEST_REST_S
    ) -> None:
        self.rev = rev
        self._first_s = first_s
        self._longest_s = longest_s
        self._failures = 0
        self._rest_s = first_s
        self._open_until: float | None = None
        self._probing = False

    def state(self, now: float) -> State:
        """Return what it does with a call."""
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "half_open"

    def left_s(self, now: float) -> float:
        """Return how long it rests still; 0 where it does not."""
        return max(0.0, (self._open_until or 0.0) - now)

    def admits(self, now: float) -> bool:
        """Tell whether a call may be made; while half open, one at a time."""
        state = self.state(now)
        if state == "half_open":
            if self._probing:
                return False
            self._probing = True
        return state != "open"

    def succeeded(self) -> None:
        """The bot answered as it should."""
        self._failures, self._rest_s = 0, self._first_s
        self._open_until, self._probing = None, False

    def failed(self, now: float, *, for_good: bool = False) -> None:
        """The bot did not answer, or not as it should; *for_good*: it wants no more calls."""
        self._failures += 1
        was_probe, self._probing = self._probing, False
        if for_good:
            self._rest_s = self._longest_s
        if for_good or was_probe or self._failures >= FAILURES:
            self._open_until = now + self._rest_s
            self._rest_s = min(2 * self._rest_s, self._longest_s)

    def spared(self) -> None:
        """The call proved nothing: it was throttled, or broken off by us."""
        self._probing = False


class Breakers:
    """The breakers of all bots; those used longest ago are forgotten above `MOST_BREAKERS`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[str, str], Breaker] = OrderedDict()

    def of(self, bot: Bot) -> Breaker:
        """Return the breaker of *bot* as it is set up now."""
        key = (bot.workspace, bot.id)
        found = self._known.pop(key, None)
        if found is None or found.rev != bot.rev:
            found = Breaker(bot.rev)
        self._known[key] = found
        if len(self._known) > MOST_BREAKERS:
            self._known.popitem(last=False)
        return found

    def count(self, state: State) -> int:
        """Return how many bots have a breaker in *state*."""
        now = self._clock()
        return sum(breaker.state(now) == state for breaker in self._known.values())


class Places:
    """How many calls are under way, in all and of each bot; who waits is served in turn."""

    def __init__(self, at_once: int = AT_ONCE, per_bot: int = AT_ONCE_PER_BOT) -> None:
        self._all = asyncio.Semaphore(at_once)
        self._per_bot = per_bot
        self._bots: dict[tuple[str, str], asyncio.Semaphore] = {}
        self._users: Counter[tuple[str, str]] = Counter()
        self.taken = 0

    @asynccontextmanager
    async def place(self, bot: Bot) -> AsyncIterator[None]:
        """Hold a place until the block ends; one waits for the bot's own before the common one."""
        key = (bot.workspace, bot.id)
        own = self._bots.setdefault(key, asyncio.Semaphore(self._per_bot))
        self._users[key] += 1
        try:
            async with own, self._all:
                self.taken += 1
                try:
                    yield
                finally:
                    self.taken -= 1
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key], self._bots[key]
