"""Sending what is due: one try, its record, and the timer of the next.

What finds no place at its endpoint is parked: it stays in the store without a timer, and the
endpoint has one timer for all of that (`hooks_parked`). So a backlog costs nothing while it waits.

What is due is settled behind its write, so that a crash anywhere brings it again: the receiver may
then get it twice, under the same `webhook-id`, and never not at all.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import timedelta

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome
from libs.common.errors import StaleRevisionError
from libs.common.events import Timer
from libs.common.store.api import Store
from libs.common.webhook_queue import PARKED, arm
from libs.common.webhooks import DELIVERIES, WebhookDelivery, WebhookEndpoint
from services.notifier import metrics
from services.notifier.hooks_call import Reach, call
from services.notifier.hooks_endpoints import Endpoints
from services.notifier.hooks_health import Health
from services.notifier.hooks_lane import Lane, Lanes
from services.notifier.hooks_parked import Parking, end
from services.notifier.hooks_retry import Tried, after, overdue

log = logging.getLogger(__name__)

EARLY = timedelta(seconds=1)
"""By how much a timer may be early without being set again."""
_TRIES = 5
_LIVES = range(400, 500)
_THROTTLED = frozenset({408, 410, 429})

_timer = msgspec.json.Decoder(Timer).decode


class Sender:
    """Takes what is due.

    Args:
        bus: Where timers are armed.
        store: Where deliveries are.
        endpoints: Where they go.
        lanes: How much at once.
        reach: What calling needs.
        health: Told how endpoints fare.
    """

    def __init__(  # noqa: PLR0913 (made in one place)
        self,
        bus: Bus,
        store: Store,
        endpoints: Endpoints,
        lanes: Lanes,
        *,
        reach: Reach,
        health: Health,
        after: Callable[[WebhookDelivery, Tried, float], WebhookDelivery] = after,
    ) -> None:
        self._bus = bus
        self._store = store
        self._endpoints = endpoints
        self._lanes = lanes
        self._reach = reach
        self._health = health
        self._after = after
        self._parking = Parking(bus, store, endpoints, lanes, reach.now)

    async def handle(self, delivery: Delivery) -> Outcome:
        """See `LaneHandler`.

        Raises:
            BusUnavailableError, StoreUnavailableError: It is repeated when they are back.
        """
        try:
            timer = _timer(delivery.data)
        except msgspec.DecodeError:
            return Bury(code="malformed_payload", detail="no timer")
        if timer.ref.startswith(PARKED):
            await self._parking.take_up(timer.workspace, timer.ref.removeprefix(PARKED))
            return Ack()
        doc = await self._store.get(DELIVERIES, timer.workspace, timer.ref)
        if doc is not None and doc.state == "pending":
            await self._due(doc)
        return Ack()

    async def _due(self, doc: WebhookDelivery) -> None:
        now = self._reach.now()
        if doc.next_at is not None and doc.next_at > now + EARLY:
            await arm(self._bus, doc, doc.next_at)
            return
        endpoint = await self._endpoints.one(doc.workspace, doc.endpoint)
        if endpoint is None:
            await end(self._store, doc, "cancelled", now)
        elif overdue(doc, now):
            await end(self._store, doc, "failed", now)
        elif not endpoint.enabled:
            await self._parking.park(doc)  # who switches it on has it taken up
        elif doc.parked_at is not None:
            await self._parking.wake(endpoint, self._lanes.of(endpoint).busy_s())
        else:
            await self._in_turn(doc, endpoint)

    async def _in_turn(self, doc: WebhookDelivery, endpoint: WebhookEndpoint) -> None:
        """Try once there is a place; park it where there is none soon."""
        lane = self._lanes.of(endpoint)
        late_s = lane.busy_s()
        if not late_s:
            async with lane.place(endpoint.per_s) as late_s:
                if not late_s:
                    await self._tried(doc, endpoint, lane)
        if late_s:
            metrics.HOOK_TRIES.labels("put_off").inc()
            lane.more = True
            await self._parking.park(doc)
            await self._parking.wake(endpoint, late_s)
        elif lane.wants_more:
            lane.more = False
            await self._parking.wake(endpoint, 0.0)

    async def _tried(self, doc: WebhookDelivery, endpoint: WebhookEndpoint, lane: Lane) -> None:
        newest = await self._store.get(DELIVERIES, doc.workspace, doc.id)
        if newest is None or newest.rev != doc.rev:  # somebody was faster while it waited
            lane.spared()
            return
        try:
            tried = await call(self._reach, endpoint, doc)
        except BaseException:
            lane.spared()
            raise
        _judge(lane, tried)
        done = await self._settled(doc, tried)
        if done is not None and done.next_at is not None:
            await arm(self._bus, done, done.next_at)
        await self._health.after(endpoint, tried, doc.id)

    async def _settled(self, doc: WebhookDelivery, tried: Tried) -> WebhookDelivery | None:
        """Write what came of a try; None when somebody else ended it meanwhile."""
        metrics.HOOK_TRIES.labels(_outcome(tried)).inc()
        for _ in range(_TRIES):
            done = self._after(doc, tried, random.random())  # noqa: S311
            try:
                done = await self._store.replace(DELIVERIES, done)
            except StaleRevisionError:
                found = await self._store.get(DELIVERIES, doc.workspace, doc.id)
                if found is None or found.state != "pending":
                    return None
                doc = found
                continue
            _note(done, tried)
            return done
        return None


def _judge(lane: Lane, tried: Tried) -> None:
    """Tell the lane whether the endpoint is alive: who refuses one event may take the next."""
    status = tried.attempt.status
    if tried.delivered:
        lane.succeeded()
    elif status in _LIVES and status not in _THROTTLED:
        lane.spared()
    else:
        lane.failed()


def _outcome(tried: Tried) -> str:
    if tried.delivered:
        return "delivered"
    if tried.gone:
        return "gone"
    return "refused" if tried.attempt.status else "unreached"


def _note(done: WebhookDelivery, tried: Tried) -> None:
    if done.state != "pending":
        metrics.HOOKS.labels(done.state).inc()
    if tried.delivered:
        return
    log.warning(
        "hook.failed",
        extra={
            "workspace": done.workspace,
            "endpoint": done.endpoint,
            "delivery": done.id,
            "code": tried.attempt.error,
            "tries": done.tries,
            "state": done.state,
        },
    )
