"""From what happened to deliveries: one for each endpoint that wants it, however often it is told.

A delivery has an id that follows from the endpoint and the event, so a repeat finds it there. It is
handed to sending behind its write, and what happened is settled behind that: a crash in between
brings it again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from libs.common.alerts import Alert
from libs.common.bus.client import Bus
from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome, Retry
from libs.common.events import Fact
from libs.common.store.api import Store
from libs.common.webhook_events import Event, alert_event
from libs.common.webhook_queue import arm_all
from libs.common.webhooks import DELIVERIES, EventType, new_delivery, records, wants
from services.notifier import metrics
from services.notifier.attention_metrics import SETTLED
from services.notifier.hooks_endpoints import Endpoints
from services.notifier.hooks_event import Events, NotStoredError, any_wants, possible

_fact = msgspec.json.Decoder(Fact).decode
_alert = msgspec.json.Decoder(Alert).decode


class Intake:
    """Takes facts and alerts.

    Args:
        bus: Where deliveries are handed to sending.
        store: Where they are noted.
        endpoints: Who gets them.
        events: Makes what they get.
        now: UTC.
    """

    def __init__(
        self,
        bus: Bus,
        store: Store,
        endpoints: Endpoints,
        events: Events,
        now: Callable[[], datetime],
    ) -> None:
        self._bus = bus
        self._store = store
        self._endpoints = endpoints
        self._events = events
        self._now = now

    async def fact(self, delivery: Delivery) -> Outcome:
        """Take a fact, see `LaneHandler`; repeated in full when the bus or the store is away."""
        try:
            fact = _fact(delivery.data)
        except msgspec.DecodeError:
            return Bury(code="malformed_payload", detail="no fact")
        kinds = possible(fact)
        if not kinds or not await self._is_wanted(fact.workspace, kinds):
            return Ack()
        try:
            event = await self._events.of(fact, self._now())
        except NotStoredError as error:
            return Retry(code=error.code)
        if event is not None:
            await self._note(fact.workspace, event)
        return Ack()

    async def alert(self, delivery: Delivery) -> Outcome:
        """Take an alert; only one that is raised is told, not what becomes of it."""
        try:
            alert = _alert(delivery.data)
        except msgspec.DecodeError:
            return Bury(code="malformed_payload", detail="no alert")
        if alert.kind == "raised":
            wanted = await self._is_wanted(alert.workspace, ("alert.raised",))
            told = wanted and await self._note(alert.workspace, alert_event(alert))
            SETTLED.labels("webhook", "told" if told else "nobody").inc()
        return Ack()

    async def _is_wanted(self, workspace: str, kinds: tuple[EventType, ...]) -> bool:
        known, now = await self._endpoints.of(workspace), self._now()
        return any_wants((one.events for one in known if records(one, now)), kinds)

    async def _note(self, workspace: str, event: Event) -> bool:
        """Note a delivery for each who wants it, and hand it on; tell whether anybody does.

        Raises:
            StoreUnavailableError, BusUnavailableError: Perhaps not all are; repeat it.
        """
        now = self._now()
        known = await self._endpoints.of(workspace)
        made = {
            one.id: new_delivery(one, event.id, event.type, event.body, now)
            for one in known
            if records(one, now) and wants(one, event.type, event.channel, event.account, event.at)
        }
        if not made:
            return False
        there = await self._store.insert_many(DELIVERIES, list(made.values()))
        metrics.HOOKS.labels("created").inc(len(made) - len(there))
        ready = [made[one.id] for one in known if one.id in made and one.enabled]
        await arm_all(self._bus, ready, now)
        return True
