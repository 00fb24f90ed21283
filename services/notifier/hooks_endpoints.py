"""The endpoints of workspaces as last read, so that most events cost no look at the store.

They are read again when desk says that they have changed, and after `FRESH_S` in any case.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from libs.common.store.api import Page, Store
from libs.common.webhooks import ENDPOINTS, MOST_ENDPOINTS, WebhookEndpoint

FRESH_S = 30.0


class Endpoints:
    """What is known of the endpoints.

    Args:
        store: Has the collection open.
        clock: Seconds that only rise.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, tuple[float, tuple[WebhookEndpoint, ...]]] = {}
        self._reading: dict[str, asyncio.Lock] = {}
        self._turn = 0
        """Raised by `forget`: what is being read meanwhile may be older than that."""

    def forget(self, workspace: str) -> None:
        """Have a workspace read again when it is asked for next."""
        self._turn += 1
        self._known.pop(workspace, None)

    def workspaces(self) -> Iterable[str]:
        """Return those that have endpoints, as far as is known."""
        return [workspace for workspace, (_, found) in self._known.items() if found]

    async def of(self, workspace: str) -> tuple[WebhookEndpoint, ...]:
        """Return all endpoints of a workspace, also those that are off.

        Raises:
            StoreUnavailableError: They are to be read, and the store is away.
        """
        found = self._fresh(workspace)
        if found is not None:
            return found
        lock = self._reading.setdefault(workspace, asyncio.Lock())
        try:
            async with lock:
                found = self._fresh(workspace)
                return await self._read(workspace) if found is None else found
        finally:
            if not lock.locked():
                self._reading.pop(workspace, None)

    async def one(self, workspace: str, endpoint: str) -> WebhookEndpoint | None:
        """Return an endpoint that is on; one that seems not to be is looked at in the store.

        Raises:
            StoreUnavailableError: The store is away.
        """
        for known in await self.of(workspace):
            if known.id == endpoint and known.enabled:
                return known
        return await self._store.get(ENDPOINTS, workspace, endpoint)

    def _fresh(self, workspace: str) -> tuple[WebhookEndpoint, ...] | None:
        until, found = self._known.get(workspace, (0.0, ()))
        return found if self._clock() < until else None

    async def _read(self, workspace: str) -> tuple[WebhookEndpoint, ...]:
        turn = self._turn
        page = Page(order="created", limit=2 * MOST_ENDPOINTS)
        found = tuple(await self._store.find(ENDPOINTS, workspace, {}, page))
        if turn == self._turn:
            self._known[workspace] = (self._clock() + FRESH_S, found)
        return found
