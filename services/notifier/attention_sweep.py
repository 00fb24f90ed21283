"""Looking after what timers and time leave behind of alerts: lost timers, and what is long over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime, timedelta

from libs.common.alerts import ATTENTION, Attention
from libs.common.documents import SESSIONS
from libs.common.errors import RetryableError
from libs.common.store.api import Page, Range, Store, Where, cursor
from services.notifier.attention_store import APART, Place

log = logging.getLogger(__name__)

EVERY_S = 600.0
OVERDUE = timedelta(minutes=5)
"""What is due for so long has lost its timer, with the bus's disk or as nobody took it in a day."""
KEPT = timedelta(days=8)
"""Longer than facts are repeated, and than an automatic end can be undone."""
_AT_ONCE = 200
_PAGES = 10


class Sweep:
    """Looks at all workspaces now and then; every replica does, twice has the effect of once.

    Args:
        store: Has sessions and attention open.
        workspaces: Returns those to look at.
        look: Does what is due of a document, see `Engine.look`.
        now: UTC.
    """

    def __init__(
        self,
        store: Store,
        workspaces: Callable[[], Iterable[str]],
        look: Callable[[Place], Awaitable[None]],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._workspaces = workspaces
        self._look = look
        self._now = now

    async def run(self, stop: asyncio.Event) -> None:
        """Look until *stop*; while bus or store are away, the next time will do."""
        while not stop.is_set():
            try:
                for workspace in tuple(self._workspaces()):
                    await self.sweep(workspace)
            except RetryableError as error:
                log.warning("attention.sweep_failed", extra={"reason": error.code})
            try:
                async with asyncio.timeout(EVERY_S):
                    await stop.wait()
            except TimeoutError:
                continue

    async def sweep(self, workspace: str) -> None:
        """Do what should have been done by a timer, and forget what is long over.

        Raises:
            BusUnavailableError, StoreUnavailableError: Not all was looked at.
        """
        now = self._now()
        async for doc in self._pages(workspace, "due", {"due_at": Range(lt=now - OVERDUE)}):
            if doc.watches:
                await self._look(Place(workspace, doc.id, is_session=not _is_apart(doc)))
        old = {"updated_at": Range(lt=now - KEPT)}
        async for doc in self._pages(workspace, "updated", old):
            if await self._is_over(doc):
                await self._forget(doc)

    async def _pages(self, workspace: str, order: str, where: Where) -> AsyncIterator[Attention]:
        """Yield what is found, the oldest first, up to a bound for one time."""
        after = None
        for _ in range(_PAGES):
            page = Page(order=order, after=after, limit=_AT_ONCE)
            found = await self._store.find(ATTENTION, workspace, where, page)
            for doc in found:
                yield doc
            if len(found) < _AT_ONCE:
                return
            after = cursor(ATTENTION, order, found[-1])

    async def _is_over(self, doc: Attention) -> bool:
        """Tell whether nothing can come of it any more; open sessions go on counting bursts."""
        if _is_apart(doc):
            return not doc.watches
        session = await self._store.get(SESSIONS, doc.workspace, doc.id)
        return session is None or session.list == "ended"

    async def _forget(self, doc: Attention) -> None:
        """Delete it, unless something has just happened to it."""
        present = await self._store.get(ATTENTION, doc.workspace, doc.id)
        if present is not None and present.rev == doc.rev:
            await self._store.delete(ATTENTION, doc.workspace, doc.id)


def _is_apart(doc: Attention) -> bool:
    """Tell whether it is about no session."""
    return doc.id.startswith(f"{APART}_")
