"""Learning when the webhooks of each account come, and judging by it whether they have stopped.

What is learned lies in the bucket `rhythm`, an entry an account, written once an hour. Replicas
need not agree: each has heard the same, and whoever sees an hour learned does not learn it again.
An hour that no replica has watched from its begin to its end is not learned.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec

from libs.common.bus.client import Bus
from libs.common.errors import GatewayError
from libs.common.rhythm import HOUR_S, Expectation, Rhythm, Silence, hour_of, learn, span_of
from libs.common.subjects import RHYTHM_KV

log = logging.getLogger(__name__)

SETTLED_S = 60
"""So long after its end an hour is learned: webhooks are told of a little later."""
GAP_S = 240.0
"""A longer pause between two looks may miss a span: the hour it is in is not learned."""
WRITES = 100
"""Entries that are written after one look; the others after the next ones."""

_decode = msgspec.json.Decoder(Rhythm).decode


class _Known:
    """What is known of an account: its rhythm as stored, and the spans heard since."""

    __slots__ = ("expectation", "last_at", "marks", "on_since", "rhythm")

    def __init__(self) -> None:
        self.rhythm: Rhythm | None = None
        self.expectation: Expectation | None = None
        self.last_at: datetime | None = None
        self.on_since: datetime | None = None
        self.marks: dict[int, int] = {}

    def hear(self, at: datetime) -> None:
        """Note the time of a webhook, the last one or one before."""
        if self.last_at is None or at > self.last_at:
            self.last_at = at
        hour = hour_of(at)
        self.marks[hour] = self.marks.get(hour, 0) | 1 << span_of(at)

    def keep(self, rhythm: Rhythm) -> None:
        """Take over what is stored; spans of hours that are learned count no more."""
        self.rhythm, self.expectation = rhythm, Expectation(rhythm)
        self.last_at = _later(self.last_at, rhythm.last_at)
        self.on_since = _later(self.on_since, rhythm.on_since)
        for hour in [hour for hour in self.marks if hour <= rhythm.upto]:
            del self.marks[hour]

    def silence(self, now: datetime) -> Silence | None:
        """Return that the account is silent, if it is."""
        if self.expectation is None or self.last_at is None:
            return None
        return self.expectation.silence(self.last_at, now, self.on_since)

    def learned(self, hour: int, now: datetime) -> Rhythm:
        """Return what is known once *hour* is over.

        An account that is silent teaches nothing: it would be learned as its rhythm.
        """
        assert self.last_at is not None, "it is due"  # noqa: S101
        before = msgspec.structs.replace(
            self.rhythm or Rhythm(last_at=self.last_at),
            last_at=self.last_at,
            on_since=self.on_since,
        )
        if self.silence(now) is not None:
            return msgspec.structs.replace(before, upto=hour)
        return learn(before, hour, self.marks.get(hour, 0).bit_count())


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((time for time in (one, other) if time), default=None)


class Rhythms:
    """The rhythms of all accounts; looking asks nobody."""

    def __init__(self) -> None:
        self.complete = asyncio.Event()
        """Set once all that is stored has been seen."""
        self._known: dict[str, _Known] = {}
        self._looked_at: datetime | None = None
        self._whole_from = 0
        """The first hour of which nothing was missed."""

    def put(self, account: str, value: bytes | None) -> None:
        """Apply one change of the bucket; None removes."""
        if value is None:
            self._known.pop(account, None)
            return
        try:
            self._known.setdefault(account, _Known()).keep(_decode(value))
        except ValueError:  # of a newer version, which its replica writes
            log.warning("rhythm.unreadable", extra={"account": account})

    def begin(self, now: datetime) -> None:
        """Note that a look is made: between two of them nothing may be missed."""
        if self._looked_at is None or (now - self._looked_at).total_seconds() > GAP_S:
            self._whole_from = -(-int(now.timestamp()) // HOUR_S)
        self._looked_at = now

    def look(self, account: str, webhook_at: datetime | None, now: datetime) -> Silence | None:
        """Note when the account's last webhook came; return that it is silent, if it is."""
        known = self._known.setdefault(account, _Known())
        if webhook_at is not None and webhook_at <= now:
            known.hear(webhook_at)
        return known.silence(now)

    def switched_on(self, account: str, now: datetime) -> None:
        """Count its silence from now on: it had been switched off."""
        self._known.setdefault(account, _Known()).on_since = now

    def last_at(self, account: str) -> datetime | None:
        """Return when the account's last webhook came, as far as is known."""
        known = self._known.get(account)
        return known.last_at if known else None

    async def learn(self, bus: Bus, accounts: Iterable[str], now: datetime) -> int:
        """Learn the last hour that is over, of some accounts; return how many were written."""
        hour = (int(now.timestamp()) - SETTLED_S) // HOUR_S - 1
        if hour < self._whole_from or not self.complete.is_set():
            return 0
        due = [slug for slug in accounts if self._is_due(slug, hour)][:WRITES]
        written = await asyncio.gather(*(self._write(bus, slug, hour, now) for slug in due))
        return sum(written)

    def _is_due(self, account: str, hour: int) -> bool:
        known = self._known.get(account)
        if known is None or known.last_at is None:
            return False
        return known.rhythm is None or known.rhythm.upto < hour

    async def _write(self, bus: Bus, account: str, hour: int, now: datetime) -> bool:
        known = self._known[account]
        after = known.learned(hour, now)
        try:
            await bus.kv_put(RHYTHM_KV, account, msgspec.json.encode(after))
        except GatewayError as error:  # the next look tries again
            log.info("rhythm.not_written", extra={"account": account, "reason": error.detail})
            return False
        known.keep(after)
        return True

    async def forget(self, bus: Bus, is_known: Callable[[str], bool]) -> None:
        """Remove what was learned of accounts that are not there any more.

        Raises:
            BusUnavailableError: Not confirmed.
        """
        for account in [slug for slug in self._known if not is_known(slug)]:
            await bus.kv_delete(RHYTHM_KV, account)
            self._known.pop(account, None)


@asynccontextmanager
async def watched_rhythms(bus: Bus) -> AsyncIterator[Rhythms]:
    """Keep the rhythms up to date until the block ends."""
    rhythms = Rhythms()
    task = asyncio.create_task(_follow(bus, rhythms))
    try:
        yield rhythms
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _follow(bus: Bus, rhythms: Rhythms) -> None:
    async for entry in bus.kv_watch(RHYTHM_KV):
        if entry is None:
            rhythms.complete.set()
        else:
            rhythms.put(entry.key, entry.value)
