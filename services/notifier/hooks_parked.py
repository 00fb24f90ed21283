"""What waits for a place of its endpoint, or for that to be switched on: in the store, untimed.

One timer for each endpoint has it taken up, as much as there is room for; so what waits costs
nothing meanwhile, however much it is. Taking up is a write under the guard of `rev`, so two who do
it at the same time have it sent once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from libs.common.bus.client import Bus
from libs.common.errors import StaleRevisionError
from libs.common.store.api import Store
from libs.common.webhook_queue import arm_all, arm_parked
from libs.common.webhooks import (
    DELIVERIES,
    DeliveryState,
    WebhookDelivery,
    WebhookEndpoint,
    first_parked,
    parked,
    taken_up,
)
from services.notifier import metrics
from services.notifier.hooks_endpoints import Endpoints
from services.notifier.hooks_lane import Lanes
from services.notifier.hooks_retry import ended, overdue

_PAGE = 200


class Parking:
    """Parks deliveries and takes them up.

    Args:
        bus: Where timers are armed.
        store: Where deliveries are.
        endpoints: Where they go.
        lanes: How much room there is.
        now: UTC.
    """

    def __init__(
        self,
        bus: Bus,
        store: Store,
        endpoints: Endpoints,
        lanes: Lanes,
        now: Callable[[], datetime],
    ) -> None:
        self._bus = bus
        self._store = store
        self._endpoints = endpoints
        self._lanes = lanes
        self._now = now

    async def park(self, doc: WebhookDelivery) -> None:
        """Have *doc* wait without a timer; nothing, where somebody changed it meanwhile.

        Raises:
            StoreUnavailableError: Perhaps it does not.
        """
        if doc.parked_at is not None:
            return
        try:
            await self._store.replace(DELIVERIES, parked(doc, self._now()))
        except StaleRevisionError:
            return

    async def wake(self, endpoint: WebhookEndpoint, in_s: float) -> None:
        """Have what is parked for *endpoint* looked at in *in_s* seconds.

        Raises:
            BusUnavailableError: Perhaps it is not.
        """
        await arm_parked(self._bus, endpoint, self._now() + timedelta(seconds=in_s))

    async def take_up(self, workspace: str, endpoint_id: str) -> None:
        """Have as much of what is parked tried as there is room for, the oldest first.

        Raises:
            BusUnavailableError, StoreUnavailableError: Not all of it; repeat it.
        """
        endpoint = await self._endpoints.one(workspace, endpoint_id)
        if endpoint is None:
            await self._cancel(workspace, endpoint_id)
            return
        if not endpoint.enabled:
            return
        lane = self._lanes.of(endpoint)
        late_s = lane.busy_s()
        if late_s:
            await self.wake(endpoint, late_s)
            return
        room, now = lane.room, self._now()
        found = await self._first(workspace, endpoint_id, room + 1)
        lane.more = len(found) > room
        if lane.more:  # should none of those that are taken up come back to this process
            await self.wake(endpoint, lane.look_again_s)
        due = [taken_up(one, now) for one in found[:room]]
        refused = await self._store.replace_many(DELIVERIES, due) if due else {}
        await arm_all(self._bus, [one for one in due if one.id not in refused], now)

    async def mend(self, endpoint: WebhookEndpoint) -> None:
        """End what waited too long, and see that the rest has a timer.

        Raises:
            BusUnavailableError, StoreUnavailableError: Not all was looked at.
        """
        while True:
            found = await self._first(endpoint.workspace, endpoint.id, _PAGE)
            late = [one for one in found if overdue(one, self._now())]
            for one in late:
                await end(self._store, one, "failed", self._now())
            if not late:
                break
        if found and endpoint.enabled:
            await self.wake(endpoint, 0.0)

    async def _cancel(self, workspace: str, endpoint_id: str) -> None:
        while found := await self._first(workspace, endpoint_id, _PAGE):
            for one in found:
                await end(self._store, one, "cancelled", self._now())

    async def _first(self, workspace: str, endpoint_id: str, limit: int) -> list[WebhookDelivery]:
        where, page = first_parked(endpoint_id, limit)
        return await self._store.find(DELIVERIES, workspace, where, page)


async def end(
    store: Store, doc: WebhookDelivery, state: DeliveryState, now: datetime
) -> WebhookDelivery | None:
    """End a delivery that is not tried any more; None when somebody was faster.

    Raises:
        StoreUnavailableError: Perhaps not ended.
    """
    try:
        done = await store.replace(DELIVERIES, ended(doc, state, now))
    except StaleRevisionError:
        return None
    metrics.HOOKS.labels(state).inc()
    return done
