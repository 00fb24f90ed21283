"""Looking after what timers and time leave behind of replies to visitors who have left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from libs.common.awaited import AWAITED, WRITTEN, Awaited
from libs.common.errors import RetryableError
from libs.common.store.api import Collection, Cursor, Page, Range, Store, cursor

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
        await self._forget(AWAITED, workspace, now - KEPT)
        await self._forget(WRITTEN, workspace, now - COUNTED)

    async def _forget(self, of: Collection[Any], workspace: str, before: datetime) -> None:
        """Delete what was last changed *before*, but for what something is still due of."""
        after: Cursor | None = None
        while True:
            page = Page(order="updated", limit=_AT_ONCE, after=after)
            found = await self._store.find(of, workspace, {"updated_at": Range(lt=before)}, page)
            for doc in found:
                if getattr(doc, "due_at", None) is None:
                    await self._store.delete(of, workspace, doc.id)
            if len(found) < _AT_ONCE:
                return
            after = cursor(of, "updated", found[-1])


async def _rest(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(EVERY_S):
            await stop.wait()
    except TimeoutError:
        return
