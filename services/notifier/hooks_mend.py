"""What nobody else would come to: a lost timer, what waited too long, and the end of the log.

Every replica does it; twice has the effect of once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from libs.common.bus.client import Bus
from libs.common.errors import GatewayError
from libs.common.store.api import Page, Range, Store, Where, cursor
from libs.common.webhook_queue import arm
from libs.common.webhooks import DELIVERIES, KEPT, WebhookDelivery, WebhookEndpoint
from services.notifier import metrics
from services.notifier.hooks_endpoints import Endpoints
from services.notifier.hooks_lane import Lanes
from services.notifier.hooks_parked import Parking, end
from services.notifier.hooks_retry import overdue

log = logging.getLogger(__name__)

EVERY_S = 30 * 60.0
COUNTED_EVERY_S = 60.0
LATE = timedelta(minutes=5)
"""What is later than this has lost its timer."""
_PAGE = 200
_COUNTED = 1000


class Mender:
    """Looks at all workspaces now and again.

    Args:
        bus: Where timers are armed.
        store: Where deliveries are.
        endpoints: Those known here.
        lanes: What is under way.
        workspaces: Returns those to look at.
        now: UTC.
    """

    def __init__(
        self,
        bus: Bus,
        store: Store,
        endpoints: Endpoints,
        lanes: Lanes,
        *,
        workspaces: Callable[[], Iterable[str]],
        now: Callable[[], datetime],
    ) -> None:
        self._bus = bus
        self._store = store
        self._endpoints = endpoints
        self._lanes = lanes
        self._workspaces = workspaces
        self._now = now
        self._parking = Parking(bus, store, endpoints, lanes, now)

    async def run(self, stop: asyncio.Event, *, every_s: float = EVERY_S) -> None:
        """Mend at once and every *every_s* seconds, and count each minute, until *stop*."""
        loop = asyncio.get_running_loop()
        mend_at = 0.0
        while not stop.is_set():
            try:
                if loop.time() >= mend_at:
                    mend_at = loop.time() + every_s
                    await self.mend()
                await self.count()
            except GatewayError as error:
                log.warning("hooks.not_mended", extra={"reason": error.code})
            try:
                async with asyncio.timeout(min(COUNTED_EVERY_S, every_s)):
                    await stop.wait()
            except TimeoutError:
                continue

    async def mend(self) -> None:
        """Look once at every workspace.

        Raises:
            StoreUnavailableError, BusUnavailableError: Some were not looked at.
        """
        for workspace in {*self._workspaces(), *self._endpoints.workspaces()}:
            for endpoint in await self._endpoints.of(workspace):
                await self._parking.mend(endpoint)
            await self._late(workspace)
            await self._sweep(workspace)

    async def count(self) -> None:
        """Set the gauges.

        Raises:
            StoreUnavailableError: They are as before.
        """
        pending, disabled, oldest = 0, 0, 0.0
        for workspace in self._endpoints.workspaces():
            known = await self._endpoints.of(workspace)
            disabled += sum(one.disabled_reason in {"failing", "gone"} for one in known)
            where: Where = {"state": "pending"}
            pending += await self._store.count(DELIVERIES, workspace, where, limit=_COUNTED)
            for one in known:
                if one.enabled:
                    oldest = max(oldest, await self._age_s(one))
        metrics.HOOKS_PENDING.set(pending)
        metrics.HOOKS_DISABLED.set(disabled)
        metrics.HOOKS_OLDEST.set(oldest)
        metrics.HOOKS_IN_FLIGHT.set_function(self._lanes.under_way)
        metrics.HOOKS_RESTING.set_function(self._lanes.resting)

    async def _age_s(self, endpoint: WebhookEndpoint) -> float:
        where: Where = {"endpoint": endpoint.id, "state": "pending"}
        page = Page(order="state", limit=1)
        found = await self._store.find(DELIVERIES, endpoint.workspace, where, page)
        return (self._now() - found[0].queued_at).total_seconds() if found else 0.0

    async def _late(self, workspace: str) -> None:
        """Have what is late tried, or end it."""
        where: Where = {"state": "pending", "next_at": Range(lt=self._now() - LATE)}
        page = Page(order="due", limit=_PAGE)
        while True:
            found = await self._store.find(DELIVERIES, workspace, where, page)
            for doc in found:
                await self._mended(doc)
            if len(found) < _PAGE:
                return
            page = Page(order="due", limit=_PAGE, after=cursor(DELIVERIES, "due", found[-1]))

    async def _mended(self, doc: WebhookDelivery) -> None:
        endpoint = await self._endpoints.one(doc.workspace, doc.endpoint)
        now = self._now()
        if endpoint is None:
            await end(self._store, doc, "cancelled", now)
        elif overdue(doc, now):
            await end(self._store, doc, "failed", now)
        else:
            await arm(self._bus, doc, now)

    async def _sweep(self, workspace: str) -> None:
        """Delete what is older than the log goes back."""
        where: Where = {"created_at": Range(lt=self._now() - KEPT)}
        while True:
            page = Page(order="created", limit=_PAGE)
            found = await self._store.find(DELIVERIES, workspace, where, page)
            for doc in found:
                await self._store.delete(DELIVERIES, workspace, doc.id)
            if len(found) < _PAGE:
                return
