"""A file that this process is fetching, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import msgspec

from libs.common.documents import ATTACHMENTS, Attachment
from libs.common.errors import GatewayError, StaleRevisionError, StoreUnavailableError
from libs.common.store.api import Store

LEASE = timedelta(seconds=10)
RENEW_S = 3.0


class Claim:
    """Holds `fetch_at` a lease ahead, so that nobody else takes the file.

    Attributes:
        doc: The document as it stands.
        lost: Somebody else has it: whatever we do with it is void.
    """

    def __init__(self, store: Store, doc: Attachment, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._writing = asyncio.Lock()
        self.doc = doc
        self.lost = False

    async def take(self) -> bool:
        """Claim it; tell whether we were the first.

        Raises:
            StoreUnavailableError: Perhaps claimed: it is free again when the lease is over.
        """
        try:
            await self._write(fetch_at=self._now() + LEASE, tries=self.doc.tries + 1)
        except StaleRevisionError:
            return False
        return True

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renew the lease while the block runs; cancel it when the claim is lost."""
        working = asyncio.current_task()
        assert working is not None  # noqa: S101 (a coroutine runs in a task)
        renewing = asyncio.create_task(self._renew(working))
        try:
            yield
        finally:
            async with self._writing:  # a write that is under way counts
                renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def settle(self, ended: Attachment) -> None:
        """Write what came of it.

        Raises:
            StaleRevisionError: The claim is lost.
            StoreUnavailableError: Not written, as far as is known.
        """
        ended = msgspec.structs.replace(ended, rev=self.doc.rev)
        self.doc = await self._store.replace(ATTACHMENTS, ended)

    async def give_back(self) -> None:
        """Let others take it at once."""
        if not self.lost:
            with suppress(GatewayError):
                await self._write(fetch_at=self._now())

    async def _renew(self, working: asyncio.Task[object]) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            async with self._writing:
                try:
                    await self._write(fetch_at=self._now() + LEASE)
                except StaleRevisionError:
                    self.lost = True
                    working.cancel()
                    return
                except StoreUnavailableError:
                    continue

    async def _write(self, **changes: object) -> None:
        changed = msgspec.structs.replace(self.doc, **changes)
        self.doc = await self._store.replace(ATTACHMENTS, changed)
