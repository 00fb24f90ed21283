"""Consuming a stream by its partitions: in batches, or in lanes that are serial each.

Both share what is hard: one replica serves a partition at a time (the server's pinned clients),
replicas share the partitions evenly, signs of life keep slow work from being delivered twice,
failures are tried again and then buried, and a stop hands over without a gap.

**Failures.** A `PermanentError` or `Bury` goes to DEAD at once. A `Retry`, a `RetryableError` or a
bug is tried again after 2, 4, 8, 16 s, and buried at the fifth failure. `BusUnavailableError` and
`StoreUnavailableError` raised by a handler blame nobody: the work is kept and repeated after 0.1 to
5 s until it succeeds or the service stops, and nothing counts as tried.

**Order.** Within a partition deliveries come in stream order, except those that are tried again in
batches, and a few around the kill of a replica. A delivery that is held already and comes again is
dropped. Lanes keep their order also over tries and over a hand-over between replicas: a new owner
first gathers what the former one gave back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from libs.common.bus.batches import Batches
from libs.common.bus.client import Bus
from libs.common.bus.delivery import BatchHandler, Behind, Delivery, LaneHandler
from libs.common.bus.engine import Engine
from libs.common.bus.lanes import Lanes
from libs.common.bus.options import Observed, Options
from libs.common.bus.settle import Settler
from libs.common.subjects import Stream

_LANE_PULL = 50
_BATCH_ACK_PENDING = 1000


async def consume_batches(  # noqa: PLR0913 (what every service has to say)
    bus: Bus,
    stream: Stream,
    durable: str,
    handle: BatchHandler,
    *,
    stop: asyncio.Event,
    service: str,
    batch: int = 200,
    options: Options | None = None,
) -> None:
    """Hand whatever has arrived, up to *batch*, to one call of *handle* at a time, until *stop*.

    While a call works, the next deliveries gather: there is no timer. A call that raises is
    repeated with one delivery at a time, so a poison message costs its neighbours nothing; *handle*
    must therefore be idempotent, as it must be anyway.

    Args:
        bus: Where to consume.
        stream: What to consume.
        durable: Name of the consumers, `<durable>-<partition>`.
        handle: Returns one outcome for each delivery, in their order.
        stop: Ends it gracefully: within 8 s, usually at once.
        service: Names who buries, in the subject on DEAD.
        batch: Deliveries in one call at most.
        options: Filters, times, and where to count.

    Raises:
        PermanentError: JetStream refuses the consumers.
    """
    options = _observed(options)
    engine = Engine(
        bus, stream, durable, options, batch=batch, max_ack_pending=max(_BATCH_ACK_PENDING, batch)
    )
    settler = Settler(bus, stream, service, options)
    await engine.run(Batches(engine, handle, settler, stop, batch), stop, take_over=True)


async def consume_lanes(  # noqa: PLR0913 (what every service has to say)
    bus: Bus,
    stream: Stream,
    durable: str,
    handle: LaneHandler,
    *,
    lane: Callable[[Delivery], str],
    stop: asyncio.Event,
    service: str,
    in_flight: int = 256,
    max_pending: int = 2000,
    behind: Behind | None = None,
    options: Options | None = None,
) -> None:
    """Hand deliveries to *handle*, one at a time per lane and in stream order, until *stop*.

    Lanes run at the same time and a slow one delays no other, as long as it has fewer than
    *max_pending* deliveries waiting (and a partition fewer than a quarter of that).

    Args:
        bus: Where to consume.
        stream: What to consume.
        durable: Name of the consumers, `<durable>-<partition>`.
        handle: Returns the outcome of one delivery.
        lane: Returns the lane of a delivery, such as its session.
        stop: Ends it gracefully: running calls get 8 s, those that wait are given back.
        service: Names who buries, in the subject on DEAD.
        in_flight: Calls that run at once.
        max_pending: Deliveries held above which no more are asked for.
        behind: Told who waits behind the delivery that *handle* has, so that it may hurry.
        options: Filters, times, and where to count.

    Raises:
        PermanentError: JetStream refuses the consumers.
    """
    options = _observed(options)
    engine = Engine(
        bus,
        stream,
        durable,
        options,
        batch=min(_LANE_PULL, max_pending),
        max_ack_pending=max(max_pending // 4, _LANE_PULL),
    )
    settler = Settler(bus, stream, service, options, durable)
    lanes = Lanes(
        engine, handle, settler, lane, in_flight=in_flight, max_pending=max_pending, behind=behind
    )
    await engine.run(lanes, stop, take_over=False)


def _observed(options: Options | None) -> Options:
    chosen = options or Options()
    return chosen if chosen.observe else msgspec.structs.replace(chosen, observe=Observed())
