"""Asks the providers what they say of each account, once a day or hour, one replica at a time.

The answer lies in the bucket `health` under `<account>.provider`, where everybody adds it to what
the processes have seen. The entry is the lease as well: whoever asks writes it first, by
compare-and-set, with `pending`; so a restart asks nobody, and of several replicas one asks.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import msgspec

from libs.common.bus.client import Bus
from libs.common.channel import Account, HttpCall, HttpReply
from libs.common.errors import BusUnavailableError, GatewayError, StaleRevisionError
from libs.common.health import Seen
from libs.common.http import Door, allowed_base
from libs.common.provider_words import Questions, Told, every, questions
from libs.common.subjects import HEALTH_KV

log = logging.getLogger(__name__)

WRITER = "provider"
LOOK_EVERY_S = 5.0
FIRST_S = (30.0, 90.0)
"""After an account is first seen, or was changed: spread, so that a start asks no flood."""
SPREAD = (0.9, 1.1)
LEASE = timedelta(seconds=60)
AT_ONCE = 8

Perform = Callable[[Account, HttpCall], Awaitable[HttpReply]]


class Word(Seen, frozen=True, kw_only=True, omit_defaults=True):
    """The bucket's entry: `of` names what was asked, `pending` that the answer is still awaited."""

    of: str = ""
    pending: bool = False


class _Turn(msgspec.Struct, kw_only=True):
    """When an account is asked next, and with what it is asked."""

    of: str
    at: datetime


class Asking:
    """Asks for all accounts of this process's directory.

    Args:
        bus: Has the bucket.
        accounts: Those that are switched on.
        perform: Makes a call for an account.
        now: The clock, UTC.
        spread: Draws a number between two.
    """

    def __init__(
        self,
        bus: Bus,
        accounts: Callable[[], Iterable[Account]],
        perform: Perform,
        now: Callable[[], datetime],
        spread: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._bus = bus
        self._accounts = accounts
        self._perform = perform
        self._now = now
        self._spread = spread
        self._turns: dict[str, _Turn] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    async def look(self) -> None:
        """Ask for each account whose turn it is.

        Raises:
            BusUnavailableError: The bucket does not answer.
        """
        now = self._now()
        present = {account.slug: account for account in self._accounts()}
        for gone in self._turns.keys() - present.keys():
            del self._turns[gone]
        due = [account for account in present.values() if self._is_due(account, now)]
        for begin in range(0, len(due), AT_ONCE):
            await asyncio.gather(*(self._turn(each) for each in due[begin : begin + AT_ONCE]))

    def _is_due(self, account: Account, now: datetime) -> bool:
        turn = self._turns.get(account.slug)
        mark = _mark(account)
        if turn is None or turn.of != mark:
            at = now + timedelta(seconds=self._spread(*FIRST_S))
            turn = self._turns[account.slug] = _Turn(of=mark, at=at)
        return now >= turn.at

    async def _turn(self, account: Account) -> None:
        """Ask, unless another replica has asked or is asking; say when to look again."""
        turn = self._turns[account.slug]
        asked = questions(account, self._now())
        if asked is None:
            await self._forget(account)
            turn.at = self._now() + every(account.channel)
            return
        word, revision = await self._read(account)
        wait = self._wait(account, word)
        if wait > timedelta():
            turn.at = self._now() + wait
            return
        turn.at = self._now() + every(account.channel) * self._spread(*SPREAD)
        before = word if word.of == turn.of else Word(at=self._now(), of=turn.of)
        with suppress(StaleRevisionError):  # another replica is quicker, or the account changed
            claim = msgspec.structs.replace(before, at=self._now(), pending=True)
            revision = await self._write(account, claim, revision)
            told = await self._ask(account, asked)
            await self._write(account, _word(before, told, self._now()), revision)

    def _wait(self, account: Account, word: Word) -> timedelta:
        """Return how long nobody has to ask."""
        if word.of != _mark(account):
            return timedelta()
        life = LEASE if word.pending else every(account.channel) * SPREAD[0]
        return word.at + life - self._now()

    async def _ask(self, account: Account, asked: Questions) -> Told:
        """Make the calls; what fails has said nothing, and is tried at the next turn."""
        try:
            call = next(asked)
            while True:
                call = asked.send(await self._reply(account, call))
        except StopIteration as end:
            return end.value if isinstance(end.value, Told) else Told()
        except GatewayError as error:  # it has no token
            log.info("account.not_asked", extra={"account": account.slug, "code": error.code})
            return Told()

    async def _reply(self, account: Account, call: HttpCall) -> HttpReply | None:
        try:
            reply = await self._perform(account, call)
        except GatewayError as error:
            log.info("account.not_told", extra={"account": account.slug, "code": error.code})
            return None
        if reply.status >= 400:  # noqa: PLR2004 (an HTTP error)
            code = f"status_{reply.status}"
            log.info("account.not_told", extra={"account": account.slug, "code": code})
        return reply

    async def _read(self, account: Account) -> tuple[Word, int]:
        entry = await self._bus.kv_get(HEALTH_KV, _key(account))
        word = Word(at=self._now())
        if entry is not None and entry.value:
            with suppress(ValueError):  # of another version: asked anew
                word = msgspec.json.decode(entry.value, type=Word)
        return word, entry.revision if entry else 0

    async def _write(self, account: Account, word: Word, revision: int) -> int:
        value = msgspec.json.encode(word)
        return await self._bus.kv_put(HEALTH_KV, _key(account), value, expected_revision=revision)

    async def _forget(self, account: Account) -> None:
        """Take away what was said of what the account was before."""
        word, revision = await self._read(account)
        if word.token_expires_at or word.quota_at:
            with suppress(StaleRevisionError):
                await self._write(account, Word(at=self._now()), revision)


@asynccontextmanager
async def asking(
    bus: Bus,
    accounts: Callable[[], Iterable[Account]],
    door: Door,
    now: Callable[[], datetime],
    timeout_s: float,
) -> AsyncIterator[None]:
    """Ask until the block ends."""

    async def perform(account: Account, call: HttpCall) -> HttpReply:
        allow = allowed_base(account.api_base)
        return await door.perform(call, timeout_s=timeout_s, allow=allow)

    task = asyncio.create_task(_run(Asking(bus, accounts, perform, now)))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _run(asking: Asking) -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        with suppress(BusUnavailableError):
            await asking.look()


def _word(before: Word, told: Told, now: datetime) -> Word:
    """Return the entry after an answer; what was not said again stands as it was said."""
    word = Word(
        at=now,
        of=before.of,
        token_expires_at=before.token_expires_at,
        quota_used=before.quota_used,
        quota_at=before.quota_at,
    )
    if told.token_told:
        word = msgspec.structs.replace(word, token_expires_at=told.token_expires_at)
    if told.quota_told:
        word = msgspec.structs.replace(word, quota_used=told.quota_used, quota_at=now)
    return word


def _mark(account: Account) -> str:
    """Return what changes with anything that decides the answer; it reveals none of it."""
    secrets = [account.secrets.get(name, "") for name in ("access_token", "app_id", "app_secret")]
    parts = [account.channel, account.api_base, account.secrets.get("page_id", ""), *secrets]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def _key(account: Account) -> str:
    return f"{account.slug}.{WRITER}"
