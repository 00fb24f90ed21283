"""The health of each connected account, as gauges: from what the other services have seen of it.

Nobody is asked: the directory and the bucket `health` are watched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import get_args

import msgspec

from libs.common.board import Board
from libs.common.bus.client import Bus
from libs.common.channel import Account
from libs.common.channels import CHANNELS
from libs.common.directory import Directory
from libs.common.errors import BusUnavailableError
from libs.common.health import FETCHED_BY_US, Seen, State
from libs.common.reasons import REASONS
from services.scheduler import watch_metrics as metrics
from services.scheduler.watch_metrics import Figures
from services.scheduler.watch_rhythm import Rhythms

MOST = 1_000
"""Accounts that are told, each with about ten lines."""
AT_ONCE = 50
"""Accounts that are looked at before others have their turn."""
STATES: tuple[State, ...] = get_args(State)


class Told(msgspec.Struct, kw_only=True):
    """What is told of the accounts: by gauge, values by labels."""

    info: dict[tuple[str, ...], float] = {}
    webhook: dict[tuple[str, ...], float] = {}
    silent: dict[tuple[str, ...], float] = {}
    state: dict[tuple[str, ...], float] = {}
    token: dict[tuple[str, ...], float] = {}
    refused: dict[tuple[str, ...], float] = {}
    errors: dict[tuple[str, ...], float] = {}
    quota: dict[tuple[str, ...], float] = {}

    def add(self, account: Account, seen: Seen | None, *, silent: bool) -> None:
        """Tell of one account; *seen* is None where nothing is known."""
        channel = account.channel if account.channel in CHANNELS else "other"
        key = (account.slug, channel)
        self.info[*key, account.workspace] = 1
        self.silent[key] = silent
        state = seen.state if seen else "unknown"
        self.state |= {(*key, name): name == state for name in STATES}
        self.refused[key] = seen.refused if seen else 0
        if seen is not None:
            self._add_seen(key, seen)

    def _add_seen(self, key: tuple[str, str], seen: Seen) -> None:
        if seen.token_expires_at and key[1] not in FETCHED_BY_US:
            self.token[key] = seen.token_expires_at.timestamp()
        if seen.quota_used is not None:
            self.quota[key] = seen.quota_used
        for code, count in seen.errors.items():
            label = (*key, code if code in REASONS else "other")
            self.errors[label] = self.errors.get(label, 0) + count


class AccountWatch:
    """Shows how the accounts are.

    Args:
        bus: Only to see whether what is watched can be new.
        directory: The accounts that are switched on.
        board: What was seen of them.
        rhythms: When their webhooks come.
        now: The clock, UTC.
    """

    gauges = (
        metrics.ACCOUNT,
        metrics.LAST_WEBHOOK,
        metrics.SILENT,
        metrics.STATE,
        metrics.TOKEN_EXPIRES,
        metrics.REFUSED,
        metrics.ERRORS,
        metrics.QUOTA,
        metrics.UNTOLD,
    )

    def __init__(
        self,
        bus: Bus,
        directory: Directory,
        board: Board,
        rhythms: Rhythms,
        now: Callable[[], datetime],
    ) -> None:
        self._bus = bus
        self._directory = directory
        self._board = board
        self._rhythms = rhythms
        self._now = now
        self._on: frozenset[str] | None = None

    async def look(self) -> None:
        """Show all accounts, and learn when their webhooks come.

        Raises:
            BusUnavailableError: Not connected, or not all has been seen yet.
        """
        ready = self._board.complete.is_set() and self._rhythms.complete.is_set()
        if not self._bus.connected or not ready:
            raise BusUnavailableError("what is known of accounts cannot be read")
        now = self._now()
        accounts = sorted(self._directory.accounts(), key=lambda account: account.slug)
        self._rhythms.begin(now)
        self._notice_switched_on({account.slug for account in accounts}, now)
        await self._show(accounts, now)
        await self._rhythms.learn(self._bus, [account.slug for account in accounts], now)
        await self._rhythms.forget(self._bus, lambda slug: self._directory.known(slug) is not None)

    def _notice_switched_on(self, on: Iterable[str], now: datetime) -> None:
        before, self._on = self._on, frozenset(on)
        for slug in self._on - before if before is not None else ():
            self._rhythms.switched_on(slug, now)

    async def _show(self, accounts: list[Account], now: datetime) -> None:
        """Tell of all; others have their turn in between."""
        told = Told()
        for place, account in enumerate(accounts):
            if place % AT_ONCE == 0:
                await asyncio.sleep(0)
            seen = self._board.now(account.slug, now)
            webhook_at = seen.webhook_at if seen else None
            silent = self._rhythms.look(account.slug, webhook_at, now) is not None
            if place >= MOST:
                continue
            told.add(account, seen, silent=silent)
            if last_at := self._rhythms.last_at(account.slug):
                told.webhook[account.slug, account.channel] = last_at.timestamp()
        shown: tuple[Figures, ...] = (
            told.info,
            told.webhook,
            told.silent,
            told.state,
            told.token,
            told.refused,
            told.errors,
            told.quota,
        )
        for gauge, figures in zip(self.gauges, shown, strict=False):
            metrics.show(gauge, figures)
            await asyncio.sleep(0)
        metrics.UNTOLD.set(max(len(accounts) - MOST, 0))
