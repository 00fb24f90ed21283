"""Sending what is due: one try, its record, and the timer of the next.

What is due is settled behind its write, so that a crash anywhere brings it again: the receiver may
then get it twice, under the same `webhook-id`, and never not at all.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome
from libs.common.errors import StaleRevisionError
from libs.common.events import Timer
from libs.common.store.api import Store
from libs.common.webhook_queue import arm
from libs.common.webhooks import DELIVERIES, DeliveryState, WebhookDelivery, WebhookEndpoint
from services.notifier import metrics
from services.notifier.hooks_call import Reach, call
from services.notifier.hooks_endpoints import Endpoints
from services.notifier.hooks_health import Health
from services.notifier.hooks_lane import Lane, Lanes
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

    async def handle(self, delivery: Delivery) -> Outcome:
        """See `LaneHandler`.

        Raises:
            BusUnavailableError, StoreUnavailableError: It is repeated when they are back.
        """
        try:
            timer = _timer(delivery.data)
        except msgspec.DecodeError:
            return Bury(code="malformed_payload", detail="no timer")
        doc = await self._store.get(DELIVERIES, timer.workspace, timer.ref)
        if doc is None or doc.state != "pending":
            return Ack()
        now = self._reach.now()
        if doc.next_at is not None and doc.next_at > now + EARLY:
            await arm(self._bus, doc, doc.next_at)
            return Ack()
        endpoint = await self._endpoints.one(doc.workspace, doc.endpoint)
        if endpoint is None:
            await end(self._store, doc, "cancelled", now)
        elif overdue(doc, now):
            await end(self._store, doc, "failed", now)
        elif endpoint.enabled:
            await self._in_turn(doc, endpoint)
        return Ack()  # for one that is off it waits: who switches it on has it tried

    async def _in_turn(self, doc: WebhookDelivery, endpoint: WebhookEndpoint) -> None:
        """Try once there is a place; come again later where there is none soon."""
        lane = self._lanes.of(endpoint)
        late_s = lane.busy_s()
        if not late_s:
            async with lane.place(endpoint.per_s) as late_s:
                if not late_s:
                    await self._tried(doc, endpoint, lane)
                    return
        metrics.HOOK_TRIES.labels("put_off").inc()
        again_s = late_s * random.uniform(1.0, 1.5)  # noqa: S311
        await arm(self._bus, doc, self._reach.now() + timedelta(seconds=again_s))

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


async def end(
    store: Store, doc: WebhookDelivery, state: DeliveryState, now: datetime
) -> WebhookDelivery | None:
    """End a delivery that is not tried any more; None when somebody was faster.

    Raises:
        StoreUnavailableError: Perhaps not ended.
    """
    done = msgspec.structs.replace(doc, state=state, next_at=None, ended_at=now)
    try:
        done = await store.replace(DELIVERIES, done)
    except StaleRevisionError:
        return None
    metrics.HOOKS.labels(state).inc()
    return done


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
