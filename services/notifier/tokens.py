"""Fetched access tokens: one process at a time fetches for an account, all others read.

The token lies sealed in the bucket `tokens` beside the lease of whoever fetches it; both change by
compare-and-set. A provider that invalidates the old token with each fetch thus never sees two
fetchers race.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec

from libs.common.bus.client import Bus
from libs.common.channel import Account, FetchToken, Token
from libs.common.errors import (
    AmbiguousSendError,
    GatewayError,
    NotSentError,
    SealError,
    StaleRevisionError,
)
from libs.common.seal import Sealer
from libs.common.subjects import TOKENS_KV
from services.notifier import metrics
from services.notifier.deliver import Perform, Transcript, drive

log = logging.getLogger(__name__)

REFRESH_AT = 0.8
"""Part of a token's life after which it is fetched anew, while the old one still works."""
LEASE_S = 20.0
"""How long a fetcher that died keeps others waiting; above the time-out of its call."""
POLL_S = 0.1

_PAST = datetime(1970, 1, 1, tzinfo=UTC)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The bucket's value; `sealed` is empty before the first fetch."""

    sealed: str = ""
    refresh_at: datetime = _PAST
    expires_at: datetime = _PAST
    leased_until: datetime = _PAST


class _Fetch(msgspec.Struct, frozen=True, kw_only=True):
    """Whose token is wanted and how it is fetched; `refused` is one that does not work."""

    account: Account
    exchange: FetchToken
    perform: Perform
    refused: str | None

    def __repr__(self) -> str:
        return f"_Fetch({self.account!r})"


class Tokens:
    """The access tokens of all accounts that need one fetched.

    Args:
        bus: Has the bucket.
        sealer: Seals and opens them.
        now: The clock, UTC.
        expires: Told (slug, time) when a token that is used now ends.
    """

    def __init__(
        self,
        bus: Bus,
        sealer: Sealer,
        *,
        now: Callable[[], datetime],
        expires: Callable[[str, datetime], None] = lambda _slug, _at: None,
    ) -> None:
        self._bus = bus
        self._sealer = sealer
        self._now = now
        self._expires = expires
        self._cache: dict[str, tuple[str, datetime]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(
        self,
        account: Account,
        exchange: FetchToken,
        perform: Perform,
        *,
        refused: str | None = None,
    ) -> str:
        """Return a token that works, other than *refused*.

        Raises:
            NotSentError: It cannot be had now; nothing of any message was sent.
            RejectedError: The provider refuses the account's own credential.
            BusUnavailableError: The bucket does not answer.
        """
        fetch = _Fetch(account=account, exchange=exchange, perform=perform, refused=refused)
        async with self._locks[account.slug]:
            value, refresh_at = self._cache.get(account.slug, ("", _PAST))
            if value and value != refused and self._now() < refresh_at:
                return value
            try:
                async with asyncio.timeout(LEASE_S + POLL_S):
                    while not (value := await self._look(fetch)):  # noqa: ASYNC110 (another process)
                        await asyncio.sleep(POLL_S)
            except TimeoutError:
                raise NotSentError("the token is being fetched elsewhere") from None
            return value

    async def present(self, account: Account) -> str:
        """Return the token in use without fetching one; empty where there is none.

        Raises:
            BusUnavailableError: The bucket does not answer.
        """
        value, refresh_at = self._cache.get(account.slug, ("", _PAST))
        if value and self._now() < refresh_at:
            return value
        entry = await self._bus.kv_get(TOKENS_KV, account.slug)
        kept = _decoded(entry.value if entry else None)
        return self._opened(account, kept) if self._now() < kept.expires_at else ""

    async def _look(self, fetch: _Fetch) -> str:
        """Read, or fetch where nobody else does; empty: look again soon."""
        entry = await self._bus.kv_get(TOKENS_KV, fetch.account.slug)
        kept = _decoded(entry.value if entry else None)
        now = self._now()
        value = self._opened(fetch.account, kept) if now < kept.expires_at else ""
        if value == fetch.refused:
            value = ""
        if value and (now < kept.refresh_at or now < kept.leased_until):
            self._use(fetch.account, value, kept)
            return value
        if now < kept.leased_until:
            return ""
        leased = msgspec.structs.replace(kept, leased_until=now + timedelta(seconds=LEASE_S))
        try:
            revision = await self._put(fetch.account, leased, entry.revision if entry else 0)
        except StaleRevisionError:
            return ""
        return await self._fetch(fetch, kept, revision) or value

    async def _fetch(self, fetch: _Fetch, kept: Kept, revision: int) -> str:
        """Fetch under our lease; empty where that failed while the old token still works."""
        channel = metrics.channel_label(fetch.account.channel)
        try:
            token = await _told(fetch)
        except GatewayError as error:
            metrics.TOKEN_FETCHES.labels(channel, "failed").inc()
            log.warning(
                "token.not_fetched",
                extra={"account": fetch.account.slug, "reason": error.code},
            )
            with suppress(StaleRevisionError):
                await self._put(fetch.account, kept, revision)
            if self._now() < kept.expires_at and fetch.refused is None:
                return ""
            raise
        metrics.TOKEN_FETCHES.labels(channel, "fetched").inc()
        now = self._now()
        fetched = Kept(
            sealed=self._sealer.seal(token.value, _context(fetch.account)),
            refresh_at=now + timedelta(seconds=token.expires_in_s * REFRESH_AT),
            expires_at=now + timedelta(seconds=token.expires_in_s),
        )
        with suppress(StaleRevisionError):  # our lease ran out: another fetches, ours works too
            await self._put(fetch.account, fetched, revision)
        self._use(fetch.account, token.value, fetched)
        return token.value

    def _use(self, account: Account, value: str, kept: Kept) -> None:
        self._cache[account.slug] = (value, kept.refresh_at)
        self._expires(account.slug, kept.expires_at)

    async def _put(self, account: Account, kept: Kept, revision: int) -> int:
        return await self._bus.kv_put(
            TOKENS_KV, account.slug, msgspec.json.encode(kept), expected_revision=revision
        )

    def _opened(self, account: Account, kept: Kept) -> str:
        try:
            return self._sealer.open(kept.sealed, _context(account)) if kept.sealed else ""
        except SealError:  # sealed under a key that is gone: fetch another
            return ""


async def _told(fetch: _Fetch) -> Token:
    """Run the channel's exchange once.

    Raises:
        NotSentError: Whatever the network did: fetching a token sends no message.
        GatewayError: As the channel classified the answer.
    """
    try:
        return await drive(fetch.exchange(fetch.account), fetch.perform, Transcript())
    except AmbiguousSendError as error:
        raise NotSentError(f"no token: {error.detail}") from None


def _decoded(value: bytes | None) -> Kept:
    try:
        return msgspec.json.decode(value, type=Kept) if value else Kept()
    except ValueError:
        return Kept()


def _context(account: Account) -> str:
    return f"token:{account.workspace}/{account.slug}"
