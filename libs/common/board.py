"""The health of all accounts, as the processes that see it tell: watched from its bucket.

With it comes when the webhooks of each come as a rule, and so whether they have stopped.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import msgspec

from libs.common.bus.client import Bus
from libs.common.health import Seen, together
from libs.common.rhythm import Expectation, Rhythm, Silence
from libs.common.subjects import HEALTH_KV, RHYTHM_KV

log = logging.getLogger(__name__)

LIFE = timedelta(seconds=HEALTH_KV.ttl_s)
FIRST_S = 1.0
"""Seconds that the first look waits for what the bucket holds."""

_decode = msgspec.json.Decoder(Seen).decode
_rhythm = msgspec.json.Decoder(Rhythm).decode


class Board:
    """What is known by account; looking never asks anybody."""

    def __init__(self) -> None:
        self._seen: defaultdict[str, dict[str, Seen]] = defaultdict(dict)
        self._rhythms: dict[str, Rhythm] = {}
        self._expected: dict[str, Expectation] = {}
        self.complete = asyncio.Event()

    def put(self, key: str, value: bytes | None) -> None:
        """Apply one change of the bucket; None removes."""
        account, _, writer = key.partition(".")
        self._seen[account].pop(writer, None)
        if value is not None:
            with suppress(ValueError):  # of a newer version: not known here
                self._seen[account][writer] = _decode(value)

    def put_rhythm(self, account: str, value: bytes | None) -> None:
        """Apply one change of the bucket `rhythm`; None removes."""
        self._rhythms.pop(account, None)
        self._expected.pop(account, None)
        if value is not None:
            with suppress(ValueError):
                self._rhythms[account] = _rhythm(value)

    def silence(self, account: str, now: datetime) -> Silence | None:
        """Return that the webhooks of *account* have stopped, if they have, see `rhythm`."""
        rhythm = self._rhythms.get(account)
        if rhythm is None:
            return None
        expected = self._expected.get(account)
        if expected is None:
            expected = self._expected[account] = Expectation(rhythm)
        seen = self.now(account, now)
        last_at = max(rhythm.last_at, seen.webhook_at or rhythm.last_at) if seen else rhythm.last_at
        return expected.silence(last_at, now, rhythm.on_since)

    async def of(self, account: str, now: datetime) -> Seen | None:
        """Return what was seen of *account* since the bucket's memory begins, or None."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_S):
                await self.complete.wait()
        self.complete.set()  # one wait is enough: without NATS, what is known is shown
        return self.now(account, now)

    def now(self, account: str, now: datetime) -> Seen | None:
        """Return the same as `of` without waiting for what the bucket holds."""
        return together(
            seen for seen in self._seen.get(account, {}).values() if now - seen.at < LIFE
        )


@asynccontextmanager
async def watched_health(bus: Bus, *, rhythms: bool = True) -> AsyncIterator[Board]:
    """Keep a board up to date until the block ends; without *rhythms* nothing is ever silent."""
    board = Board()
    follow = (_follow, _follow_rhythms) if rhythms else (_follow,)
    tasks = [asyncio.create_task(each(bus, board)) for each in follow]
    try:
        yield board
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(bus: Bus, board: Board) -> None:
    async for entry in bus.kv_watch(HEALTH_KV):
        if entry is None:
            board.complete.set()
        else:
            board.put(entry.key, entry.value)


async def _follow_rhythms(bus: Bus, board: Board) -> None:
    async for entry in bus.kv_watch(RHYTHM_KV):
        if entry is not None:
            board.put_rhythm(entry.key, entry.value)
