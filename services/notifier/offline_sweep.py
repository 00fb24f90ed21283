"""Looking after what timers and time leave behind of replies to visitors who have left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta

from libs.common.awaited import AWAITED, WRITTEN, Awaited
from libs.common.errors import RetryableError
from libs.common.store.api import Page, Range, Store

log = logging.getLogger(__name__)

EVERY_S = 600.0
OVERDUE = timedelta(minutes=5)
"""What is due for so long has lost its timer, with the bus's disk."""
KEPT = timedelta(days=8)
"""Longer than a message is delivered again by OUTBOUND, after which nothing repeats."""
COUNTED = timedelta(days=2)
_AT_ONCE = 200


class Sweep:
    """Looks at all workspaces now and then.

    Args:
        store: Has `awaited.OFFLINE` open.
        workspaces: Returns those to look at.
        arm: Arms the timer of a document once more.
        now: UTC.
    """

    def __init__(
        self,
        store: Store,
        workspaces: Callable[[], Iterable[str]],
        arm: Callable[[Awaited], Awaitable[None]],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._workspaces = workspaces
        self._arm = arm
        self._now = now

    async def run(self, stop: asyncio.Event) -> None:
        """Look until *stop*; while bus or store are away, the next time will do."""
        while not stop.is_set():
            try:
                for workspace in self._workspaces():
                    await self.look(workspace)
            except RetryableError as error:
                log.warning("offline.sweep_failed", extra={"reason": error.code})
            await _rest(stop)

    async def look(self, workspace: str) -> None:
        """Arm what has lost its timer, and forget what is long over.

        Raises:
            BusUnavailableError, StoreUnavailableError: Not all was looked at.
        """
        now = self._now()
        late = {"due_at": Range(lt=now - OVERDUE)}
        page = Page(order="due", limit=_AT_ONCE)
        for doc in await self._store.find(AWAITED, workspace, late, page):
            await self._arm(doc)
        page = Page(order="updated", limit=_AT_ONCE)
        old = {"updated_at": Range(lt=now - KEPT)}
        for doc in await self._store.find(AWAITED, workspace, old, page):
            if doc.due_at is None:
                await self._store.delete(AWAITED, workspace, doc.id)
        counted = {"updated_at": Range(lt=now - COUNTED)}
        for written in await self._store.find(WRITTEN, workspace, counted, page):
            await self._store.delete(WRITTEN, workspace, written.id)


async def _rest(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(EVERY_S):
            await stop.wait()
    except TimeoutError:
        return
