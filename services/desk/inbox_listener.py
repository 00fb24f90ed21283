"""A console that listens to its inbox: what it was told and has not taken, one thing each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from services.desk.inbox_told import Point, Telling, event

AHEAD = 1000
"""Things of which something may wait for one listener."""


class UnreadNow(msgspec.Struct, frozen=True, kw_only=True):
    """The agent's unread visitor messages, in all and by account."""

    total: int
    accounts: dict[str, int]


class Listener:
    """A console that listens, and what it was told and has not taken."""

    def __init__(self, point: Point, place: int) -> None:
        self.point = point
        self.joined_at = place
        """Everything up to here came before, everything behind it is told."""
        self.place = place
        """Who has taken all that waits has been told everything up to here."""
        self._waiting: dict[str, Telling] = {}
        self._stirred = asyncio.Event()
        self._dropped = False
        self._unread: UnreadNow | None = None

    @property
    def over(self) -> bool:
        """Whether it is told nothing more."""
        return self._dropped

    @property
    def waits(self) -> bool:
        """Whether something was told that was not taken."""
        return bool(self._waiting)

    def tell(self, told: Iterable[Telling]) -> None:
        """Let it wait, in place of what waits and is older."""
        for one in told:
            before = self._waiting.get(one.key)
            if before is None or before.rev <= one.rev:
                self._waiting.pop(one.key, None)
                self._waiting[one.key] = one
                self._stirred.set()
        if len(self._waiting) > AHEAD:
            self.drop()

    def count(self, unread: dict[str, int]) -> None:
        """Tell what is unread, where that has changed."""
        now = UnreadNow(total=sum(unread.values()), accounts=unread)
        if now != self._unread:
            self._unread = now
            self.tell([Telling("u", 0, event("unread", now))])

    def drop(self) -> None:
        """Tell it nothing more: what waits is not told either, so that no place is told too far."""
        self._waiting.clear()
        self._dropped = True
        self._stirred.set()

    def stir(self) -> None:
        """Have `wait` return."""
        self._stirred.set()

    def take(self) -> bytes:
        """Take all that waits."""
        texts = [one.text for one in self._waiting.values()]
        self._waiting.clear()
        return b"".join(texts)

    async def wait(self, within_s: float) -> None:
        """Wait until something waits, or the time is up."""
        if not self._waiting and not self._dropped:
            self._stirred.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._stirred.wait()
