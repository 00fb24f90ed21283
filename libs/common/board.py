"""The health of all accounts, as the processes that see it tell: watched from its bucket."""

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
from libs.common.subjects import HEALTH_KV

log = logging.getLogger(__name__)

LIFE = timedelta(seconds=HEALTH_KV.ttl_s)
FIRST_S = 1.0
"""Seconds that the first look waits for what the bucket holds."""

_decode = msgspec.json.Decoder(Seen).decode


class Board:
    """What is known by account; looking never asks anybody."""

    def __init__(self) -> None:
        self._seen: defaultdict[str, dict[str, Seen]] = defaultdict(dict)
        self.complete = asyncio.Event()

    def put(self, key: str, value: bytes | None) -> None:
        """Apply one change of the bucket; None removes."""
        account, _, writer = key.partition(".")
        self._seen[account].pop(writer, None)
        if value is not None:
            with suppress(ValueError):  # of a newer version: not known here
                self._seen[account][writer] = _decode(value)

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
async def watched_health(bus: Bus) -> AsyncIterator[Board]:
    """Keep a board up to date until the block ends."""
    board = Board()
    task = asyncio.create_task(_follow(bus, board))
    try:
        yield board
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _follow(bus: Bus, board: Board) -> None:
    async for entry in bus.kv_watch(HEALTH_KV):
        if entry is None:
            board.complete.set()
        else:
            board.put(entry.key, entry.value)
