"""Outcomes: what becomes of messages that were scheduled or broadcast, as the router tells."""

from __future__ import annotations

import asyncio

import msgspec

from libs.common.bus.consume import consume_lanes
from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome, Retry
from libs.common.bus.options import Options
from libs.common.decode import decode
from libs.common.documents import MESSAGES
from libs.common.errors import MalformedPayloadError, StaleRevisionError
from libs.common.events import Fact, SendStatus
from libs.common.later import RECIPIENTS, SCHEDULED, Recipient, ScheduledMessage
from libs.common.store.api import Store
from libs.common.subjects import EVENTS
from services.scheduler import broadcasts_metrics as metrics
from services.scheduler import metrics as scheduled_metrics
from services.scheduler.means import Means
from services.scheduler.outcomes_state import Told, moved, settled

DURABLE = "outcomes"
FILTER = "ev.*.scheduled.status.*"
AT_ONCE = 32
HELD = 2000
_TRIES = 8

_fact = msgspec.json.Decoder(Fact)


class Outcomes:
    """The handler of the facts."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def work(self, stop: asyncio.Event) -> None:
        """Follow the facts until *stop*.

        Raises:
            PermanentError: JetStream refuses the consumer.
        """
        await consume_lanes(
            self._means.bus,
            EVENTS,
            DURABLE,
            self.handle,
            lane=session_of,
            stop=stop,
            service="scheduler",
            in_flight=AT_ONCE,
            max_pending=HELD,
            options=Options(filters=(FILTER,)),
        )

    async def handle(self, delivery: Delivery) -> Outcome:
        """Note one outcome.

        Raises:
            StoreUnavailableError: The store is away: again.
        """
        try:
            fact = decode(_fact, delivery.data)
            status = msgspec.convert(fact.status, SendStatus)
        except (MalformedPayloadError, msgspec.ValidationError):
            return Bury("malformed", "no fact of a status")
        told = Told(message=fact.message, session=fact.session, status=status, reason=fact.detail)
        kind, _, ref = fact.origin.partition(":")
        if kind == "broadcast":
            return await self._recipient(fact, told)
        if kind == "scheduled":
            return await self._scheduled(fact.workspace, ref, told)
        return Ack()

    async def _recipient(self, fact: Fact, told: Told) -> Outcome:
        store = self._means.store
        message = await store.get(MESSAGES, fact.workspace, told.message)
        if message is None:
            return Retry("message_missing")  # the outbox stores it before the fact
        for _ in range(_TRIES):
            row = await store.get(RECIPIENTS, fact.workspace, message.sender_id)
            if row is None:
                return Ack()  # deleted with its broadcast
            after = moved(row, told, self._means.now())
            if after is row or await _written(store, after):
                if after.state != row.state:
                    metrics.RECIPIENTS.labels(after.state).inc()
                return Ack()
        return Retry("stale_revision")

    async def _scheduled(self, workspace: str, ref: str, told: Told) -> Outcome:
        store = self._means.store
        for _ in range(_TRIES):
            doc = await store.get(SCHEDULED, workspace, ref)
            if doc is None:
                return Ack()
            after = settled(doc, told, self._means.now())
            if after is doc:
                return Ack()
            if await _written(store, after):
                scheduled_metrics.settled(doc, after, self._means.now())
                return Ack()
        return Retry("stale_revision")


async def _written(store: Store, doc: Recipient | ScheduledMessage) -> bool:
    try:
        if isinstance(doc, Recipient):
            await store.replace(RECIPIENTS, doc)
        else:
            await store.replace(SCHEDULED, doc)
    except StaleRevisionError:
        return False
    return True


def session_of(delivery: Delivery) -> str:
    """Return the lane: `ev.<workspace>.scheduled.status.<session>`."""
    return delivery.subject.rsplit(".", 1)[1]
