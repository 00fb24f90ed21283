"""What happens to a batch of deliveries: decode, apply by workspace, one outcome for each.

Nobody pays for a neighbour: a delivery that cannot be decoded is buried at once, and when
something unforeseen breaks a batch, the bus hands each delivery over again alone, so that only the
culprit fails.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome, Retry
from libs.common.decode import decode
from libs.common.errors import MalformedPayloadError
from libs.common.events import Inbound, SendReported
from libs.common.tracing import exemplar
from services.router import metrics, spans
from services.router.batch import Batch
from services.router.entry import Arrival
from services.router.mirror import Mirror
from services.router.outbox import Outbox
from services.router.plan import Result

_inbound = msgspec.json.Decoder(Inbound)


def _nobody(_inbound: Inbound) -> bool:
    """Drop nothing."""
    return False


class Handler:
    """The `BatchHandler` of INBOUND; *mirror* shows web visitors what they wrote.

    What *erased* tells is of visitors who were erased since: it is dropped.
    """

    def __init__(
        self,
        batch: Batch,
        outbox: Outbox,
        now: Callable[[], datetime],
        mirror: Mirror | None = None,
        *,
        erased: Callable[[Inbound], bool] = _nobody,
    ) -> None:
        self._batch = batch
        self._outbox = outbox
        self._now = now
        self._mirror = mirror
        self._erased = erased

    async def __call__(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Settle *deliveries*; return an outcome for each, in their order.

        Raises:
            StoreUnavailableError: The store is away: nobody's fault, all of it is to be repeated.
            Exception: A bug: each delivery is to be handed over again alone.
        """
        began = time.monotonic()
        async with self._outbox.at_work:
            with spans.batch(deliveries):
                outcomes = await self._settle(deliveries)
        metrics.BATCHES.inc()
        metrics.BATCH_SIZE.observe(len(deliveries))
        metrics.BATCH_SECONDS.observe(time.monotonic() - began)
        return [outcomes[place] for place in range(len(deliveries))]

    async def _settle(self, deliveries: Sequence[Delivery]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        by_workspace: defaultdict[str, list[Arrival]] = defaultdict(list)
        for place, delivery in enumerate(deliveries):
            try:
                inbound = decode(_inbound, delivery.data)
            except MalformedPayloadError as error:
                outcomes[place] = Bury("malformed", error.detail)
                continue
            if self._erased(inbound):
                metrics.EVENTS.labels(inbound.channel, "erased").inc()
                outcomes[place] = Ack()
                continue
            arrival = Arrival(
                inbound=inbound,
                sequence=delivery.sequence,
                place=place,
                attempt=delivery.attempt,
            )
            by_workspace[inbound.workspace].append(arrival)
        for workspace, arrivals in by_workspace.items():
            arrivals.sort(key=_in_stream_order)
            with spans.events([(deliveries[one.place], one.inbound) for one in arrivals]):
                results = await self._batch.apply(workspace, arrivals)
            outcomes |= self._acknowledge(arrivals, results)
            if self._mirror is not None:
                await self._mirror.show(a for a in arrivals if _is_news(a, results))
        return outcomes

    def _acknowledge(
        self, arrivals: Sequence[Arrival], results: dict[int, Result]
    ) -> dict[int, Outcome]:
        now = self._now()
        outcomes: dict[int, Outcome] = {}
        waited: list[tuple[float, Inbound]] = []
        for arrival in arrivals:
            result = results.get(arrival.place)
            if result is None:
                outcomes[arrival.place] = Retry("contended", 0.5)
                continue
            outcomes[arrival.place] = Ack()
            _count(arrival, result)
            if result != "duplicate" and not isinstance(arrival.inbound.event, SendReported):
                waited_s = (now - arrival.inbound.received_at).total_seconds()
                waited.append((max(waited_s, 0.0), arrival.inbound))
        _observe(waited)
        return outcomes


def _is_news(arrival: Arrival, results: dict[int, Result]) -> bool:
    """Tell whether it is stored now, or was by a process that may have died of it."""
    result = results.get(arrival.place)
    return result == "stored" or (result == "duplicate" and arrival.attempt > 1)


def _in_stream_order(arrival: Arrival) -> int:
    return arrival.sequence


def _count(arrival: Arrival, result: Result) -> None:
    outcome: metrics.EventOutcome = result
    if isinstance(arrival.inbound.event, SendReported):  # ours, never accepted by ingest
        metrics.EVENTS.labels(arrival.inbound.channel, "reported").inc()
        return
    if result == "duplicate" and arrival.attempt > 1:
        outcome = "redelivered"
    metrics.EVENTS.labels(arrival.inbound.channel, outcome).inc()


def _observe(waited: Sequence[tuple[float, Inbound]]) -> None:
    """Count how long events waited (seconds); the slowest of a batch is told with its trace."""
    slowest = max(waited, key=_seconds, default=None)
    for one in waited:
        labels = exemplar(spans.of_event(one[1])) if one is slowest else None
        metrics.STORED_SECONDS.observe(one[0], labels)


def _seconds(waited: tuple[float, Inbound]) -> float:
    return waited[0]
