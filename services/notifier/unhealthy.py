"""Accounts that have turned bad, told once for all replicas as the fact `account.unhealthy`.

Each replica judges an account by its own calls. What the others have already judged (bucket
`health`) is no news, and the same state of an account is told at most once an hour, so that one
that comes and goes does not cry all day. Two replicas that judge in the same moment use the same
message id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import msgspec

from libs.common import subjects
from libs.common.bus.client import Bus
from libs.common.errors import BusUnavailableError
from libs.common.events import Fact
from libs.common.health import Seen, State, together
from libs.common.subjects import EVENTS, HEALTH_KV, Stream
from services.notifier import metrics

log = logging.getLogger(__name__)

BAD = frozenset({"failing", "revoked"})
AGAIN_AFTER = timedelta(hours=1)
"""So long the same state of an account is not told again."""
_PAUSE_S = 1.0
_HEALTH = Stream(name=f"KV_{HEALTH_KV.name}", subjects=(f"$KV.{HEALTH_KV.name}.>",))

_seen = msgspec.json.Decoder(Seen)
_fact = msgspec.json.Decoder(Fact)


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """An account that this process judges otherwise since `at`.

    `before` is what it knew of it, without the calls that made it change its mind; `code` is the
    stable code of the last failure.
    """

    workspace: str
    account: str
    channel: str = ""
    state: State
    code: str
    at: datetime
    before: Seen


class Unhealthy:
    """Takes note of turns at once, and tells them when the bus can take them.

    Args:
        bus: Where it is told.
        writer: Our own part of the keys in the bucket `health`.
    """

    def __init__(self, bus: Bus, writer: str) -> None:
        self._bus = bus
        self._writer = writer
        self._waiting: dict[str, Turn] = {}
        self._news = asyncio.Event()

    def turned(self, turn: Turn) -> None:
        """Take note; an account that is well again before it was told is not told."""
        self._waiting.pop(turn.account, None)
        if turn.state in BAD:
            self._waiting[turn.account] = turn
            self._news.set()

    async def run(self) -> None:
        """Tell what has turned until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                turn = next(iter(self._waiting.values()))
                try:
                    outcome = await self._tell(turn)
                except BusUnavailableError:
                    await asyncio.sleep(_PAUSE_S)
                    continue
                metrics.UNHEALTHY.labels(outcome).inc()
                if self._waiting.get(turn.account) is turn:
                    del self._waiting[turn.account]

    async def _tell(self, turn: Turn) -> str:
        if await self._known(turn):
            return "known"
        subject = subjects.fact(turn.workspace, "account.unhealthy", turn.account)
        since = turn.at - 2 * AGAIN_AFTER  # by the server's clock, which may differ from ours
        stored = await self._bus.read(EVENTS, subject, since=since)
        if any(_says(_fact.decode(each.data), turn) for each in stored):
            return "recent"
        fact = fact_of(turn)
        done = await self._bus.publish(subject, msgspec.json.encode(fact), msg_id=fact.fact_id)
        log.warning("account.unhealthy", extra={"account": turn.account, "state": turn.state})
        return "recent" if done.duplicate else "told"

    async def _known(self, turn: Turn) -> bool:
        """Tell whether all replicas together thought so already, before we did."""
        key = f"$KV.{HEALTH_KV.name}.{turn.account}"
        stored = await self._bus.read(_HEALTH, f"{key}.>")
        others = [
            _seen.decode(each.data)
            for each in stored
            if each.data and each.subject != f"{key}.{self._writer}"
        ]
        whole = together([turn.before, *others])
        return whole is not None and whole.state == turn.state


def _says(fact: Fact, turn: Turn) -> bool:
    return fact.status == turn.state and turn.at - fact.at < AGAIN_AFTER


def fact_of(turn: Turn) -> Fact:
    """Return what is told of *turn*; the same for all who judge so within an hour of the clock."""
    return Fact(
        fact_id=f"unhealthy:{turn.account}:{turn.state}:{turn.at:%Y%m%d%H}",
        type="account.unhealthy",
        workspace=turn.workspace,
        session=turn.account,
        at=turn.at,
        actor="system",
        status=turn.state,
        detail=turn.code,
        channel=turn.channel,
    )


@asynccontextmanager
async def telling(unhealthy: Unhealthy) -> AsyncIterator[None]:
    """Tell until the block ends."""
    task = asyncio.create_task(unhealthy.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
