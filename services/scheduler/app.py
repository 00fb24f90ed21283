"""Wiring of the scheduler: what starts, in which order, and how it stops.

Timers wait in the bus; what a session's timer does the router decides, and what has a document of
its own has a handler here. Several replicas share what is due by its partitions: one serves a
partition at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial

from libs.common.bus.client import Bus, open_bus
from libs.common.bus.consume import consume_lanes
from libs.common.bus.options import Options
from libs.common.config import SchedulerSettings
from libs.common.directory import watched
from libs.common.documents import COLLECTIONS
from libs.common.events import TimerKind
from libs.common.parts import Parts, run_parts, store_when_there
from libs.common.seal import Sealer
from libs.common.subjects import DUES, TIMERS
from services.scheduler import metrics
from services.scheduler.broadcasts import Broadcasts
from services.scheduler.fire import Fire, Firing, lane_of
from services.scheduler.idle import IdleEnds
from services.scheduler.idle_pass import IdlePass, Watch
from services.scheduler.means import Means
from services.scheduler.outcomes import Outcomes
from services.scheduler.scheduled import Scheduled

log = logging.getLogger(__name__)

SERVICE = "scheduler"
AT_ONCE = 64
"""Timers brought to the router at the same time; who waits for a router takes no more."""
HELD = 2000
AGAIN_S = 1.0

Work = Callable[[asyncio.Event], Coroutine[None, None, None]]
"""What runs beside the firing, until the event; cancelled a little later if it goes on."""


def handlers(means: Means) -> Mapping[TimerKind, Fire]:
    """Return by kind what a timer does that is not simply brought to the router."""
    return {
        "broadcast": Broadcasts(means).fire,
        "idle_end": IdleEnds(means).handle,
        "idle_pass": IdlePass(means).handle,
        "scheduled": Scheduled(means).fire,
    }


def works(means: Means) -> tuple[Work, ...]:
    """Return what runs beside the firing."""
    return (Watch(means).run, Outcomes(means).work)


async def kept(work: Work, stop: asyncio.Event) -> None:
    """Do *work* until *stop*; what fails in it is logged, and it is begun again."""
    while not stop.is_set():
        try:
            await work(stop)
        except Exception:  # the boundary: nothing else begins it again
            log.exception("work.bug")
            await asyncio.sleep(AGAIN_S)


async def serve(settings: SchedulerSettings, stop: asyncio.Event) -> None:
    """Run until *stop*; the bus and the store may be away at the start.

    Raises:
        SettingsError: A key, the store's URL or the NATS server is not as it must be.
        PermanentError: JetStream refuses a stream or a consumer.
    """
    sealer = Sealer.from_setting(settings.secret_key)
    parts = Parts()
    await run_parts(settings, parts, stop, partial(_connected, settings, sealer, parts, stop))


async def _connected(
    settings: SchedulerSettings, sealer: Sealer, parts: Parts, stop: asyncio.Event
) -> None:
    async with AsyncExitStack() as opened:
        parts.bus = bus = await opened.enter_async_context(
            open_bus(settings.nats_url, name=SERVICE, replicas=settings.stream_replicas)
        )
        parts.store = store = await store_when_there(opened, settings.store_url, COLLECTIONS)
        directory = await opened.enter_async_context(watched(bus, sealer))
        await directory.complete.wait()  # the switches decide when sessions end
        parts.directory, parts.begun = directory, True
        means = Means(bus, store, directory, _now, Firing(bus, _now).bring)
        for work in works(means):
            await opened.enter_async_context(_beside(kept(work, stop)))
        await fire_due(bus, stop, handlers(means))


async def fire_due(
    bus: Bus, stop: asyncio.Event, others: Mapping[TimerKind, Fire] | None = None
) -> None:
    """Act on what comes due, until *stop*; then finish what was begun."""
    await consume_lanes(
        bus,
        TIMERS,
        SERVICE,
        Firing(bus, _now, others).handle,
        lane=lane_of,
        stop=stop,
        service=SERVICE,
        in_flight=AT_ONCE,
        max_pending=HELD,
        options=Options(filters=DUES, observe=metrics.Watch()),
    )


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run *work* until the block ends."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _now() -> datetime:
    return datetime.now(UTC)
