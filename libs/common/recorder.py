"""Keeps what this process sees of each account, and writes it to the bucket `health` meanwhile.

Taking note is a few assignments and never waits; one task writes what has changed every few
seconds. While NATS is away the notes grow no further than one an account, and wait.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import msgspec

from libs.common.bus.client import Bus
from libs.common.errors import BusUnavailableError, PermanentError
from libs.common.health import Seen, State
from libs.common.subjects import HEALTH_KV

log = logging.getLogger(__name__)

WRITE_EVERY_S = 5.0
LAST_WRITE_S = 1.0
MOST_AT_ONCE = 500
"""Entries of one round: whoever makes every account change cannot make us write without end."""
REFRESH_EVERY_S = 24 * 3600.0
"""So often all is written again, as the bucket forgets what nobody writes."""

_REPLICA_BYTES = 4


class Notes:
    """What was seen of one account; fields as in `health.Seen`."""

    __slots__ = (
        "errors",
        "failed_at",
        "failed_code",
        "quota_at",
        "quota_used",
        "refused",
        "refused_at",
        "sent",
        "sent_at",
        "state",
        "state_at",
        "token_expires_at",
        "webhook_at",
    )

    def __init__(self) -> None:
        self.webhook_at: datetime | None = None
        self.refused_at: datetime | None = None
        self.refused = 0
        self.sent_at: datetime | None = None
        self.failed_at: datetime | None = None
        self.failed_code = ""
        self.errors: dict[str, int] = {}
        self.sent: dict[str, int] = {}
        self.state: State = "unknown"
        self.state_at: datetime | None = None
        self.token_expires_at: datetime | None = None
        self.quota_used: float | None = None
        self.quota_at: datetime | None = None

    def seen(self, at: datetime) -> Seen:
        """Return the value that is written."""
        return Seen(at=at, **{name: getattr(self, name) for name in self.__slots__})


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Recorder:
    """The notes of one process about all accounts, by slug.

    Args:
        service: Names the writer in the key, with an id of this process.
        now: The clock, UTC.
    """

    def __init__(self, service: str, now: Callable[[], datetime] = _utc_now) -> None:
        self.writer = f"{service}.{secrets.token_hex(_REPLICA_BYTES)}"
        """Our part of the keys, behind the account's."""
        self._now = now
        self._notes: dict[str, Notes] = {}
        self._changed: dict[str, None] = {}  # in order, so that every account has its turn
        self._writing = asyncio.Lock()
        self.before_write: list[Callable[[], None]] = []
        """Called before each round, to note what is cheaper to add up than to note each time."""

    def of(self, account: str) -> Notes:
        """Return the account's notes, to be changed at once: they count as changed."""
        self._changed[account] = None
        notes = self._notes.get(account)
        if notes is None:
            notes = self._notes[account] = Notes()
        return notes

    def webhook(self, account: str, at: datetime) -> None:
        """Note a webhook that was accepted."""
        self.of(account).webhook_at = at

    def refused(self, accounts: Iterable[str], at: datetime, count: int = 1) -> None:
        """Note webhooks with a bad signature, for each account they may have been meant for."""
        for account in accounts:
            notes = self.of(account)
            notes.refused += count
            notes.refused_at = at

    def sent(self, account: str, way: str, at: datetime) -> None:
        """Note a message that the provider took."""
        notes = self.of(account)
        notes.sent[way] = notes.sent.get(way, 0) + 1
        notes.sent_at = at

    def failed(self, account: str, code: str, at: datetime) -> None:
        """Note a try that failed."""
        notes = self.of(account)
        notes.errors[code] = notes.errors.get(code, 0) + 1
        notes.failed_at, notes.failed_code = at, code

    def token(self, account: str, expires_at: datetime) -> None:
        """Note when the fetched token ends that is used now."""
        self.of(account).token_expires_at = expires_at

    def quota(self, account: str, used: float | None, at: datetime) -> None:
        """Note which share of its allowance the provider says is used; None: it is not full."""
        notes = self.of(account)
        notes.quota_used, notes.quota_at = used, at

    async def write(self, bus: Bus | None) -> None:
        """Write what has changed, at most `MOST_AT_ONCE`; what cannot be written stays changed."""
        if bus is None or not bus.connected:
            return
        async with self._writing:
            for prepare in self.before_write:
                prepare()
            unwritten = dict.fromkeys(list(self._changed)[:MOST_AT_ONCE])
            for account in unwritten:
                del self._changed[account]
            try:
                for account in await asyncio.gather(*(self._put(bus, each) for each in unwritten)):
                    unwritten.pop(account, None)
            finally:
                self._changed |= unwritten

    async def _put(self, bus: Bus, account: str) -> str:
        """Write one entry; return its account, or nothing where the bus did not confirm."""
        value = msgspec.json.encode(self._notes[account].seen(self._now()))
        try:
            await bus.kv_put(HEALTH_KV, f"{account}.{self.writer}", value)
        except BusUnavailableError:
            return ""
        except PermanentError as error:
            log.error(  # noqa: TRY400 (no trace is needed to see what is wrong with a key)
                "health.not_written", extra={"account": account, "reason": error.code}
            )
        return account

    async def run(self, bus: Callable[[], Bus | None]) -> None:
        """Write every few seconds until cancelled; *bus* returns the connection, if any."""
        refresh_at = asyncio.get_running_loop().time() + REFRESH_EVERY_S
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            if asyncio.get_running_loop().time() >= refresh_at:
                self._changed |= dict.fromkeys(self._notes)
                refresh_at += REFRESH_EVERY_S
            await self.write(bus())


@asynccontextmanager
async def recording(recorder: Recorder, bus: Callable[[], Bus | None]) -> AsyncIterator[None]:
    """Write now and then until the block ends, and once more then."""
    task = asyncio.create_task(recorder.run(bus))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WRITE_S):
                await recorder.write(bus())
