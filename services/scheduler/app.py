"""Wiring of the scheduler: what starts, in which order, and how it stops.

Timers wait in the bus; what a session's timer does the router decides, and what has a document of
its own has a handler here. Several replicas take what is due beside each other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import msgspec

from libs.common import subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.bus.options import Options
from libs.common.bus.shared import consume_shared
from libs.common.config import SchedulerSettings
from libs.common.directory import watched
from libs.common.documents import COLLECTIONS
from libs.common.events import TimerKind
from libs.common.parts import Parts, run_parts, store_when_there
from libs.common.seal import Sealer
from libs.common.subjects import TIMERS
from services.scheduler import former, metrics
from services.scheduler.broadcasts import Broadcasts
from services.scheduler.fire import Fire, Firing
from services.scheduler.hours import Hours
from services.scheduler.idle import IdleEnds
from services.scheduler.idle_pass import IdlePass, Watch
from services.scheduler.means import Means
from services.scheduler.outcomes import Outcomes
from services.scheduler.pacing import SHARES, Paced
from services.scheduler.reconcile import Reconciler
from services.scheduler.scheduled import Scheduled
from services.scheduler.watch import Watching

log = logging.getLogger(__name__)

SERVICE = "scheduler"
ACK_WAIT_S = 0.8
"""What a killed replica had begun comes to another one so soon."""
TRIES = 10
"""Deliveries until a timer is buried; a slow moment of ours may cost one."""
AGAIN_S = 1.0

Work = Callable[[asyncio.Event], Coroutine[None, None, None]]
"""What runs beside the firing, until the event; cancelled a little later if it goes on."""


def handlers(means: Means) -> Mapping[TimerKind, Fire]:
    """Return by kind what a timer does that is not simply brought to the router."""
    return {
        "broadcast": Broadcasts(means).fire,
        "idle_end": IdleEnds(means).handle,
        "idle_pass": IdlePass(means).handle,
        "hours": Hours(means.bus).fire,
        "scheduled": Scheduled(means).fire,
    }


def works(means: Means) -> tuple[Work, ...]:
    """Return what runs beside the firing."""
    reconciler = Reconciler(means)
    return (
        Watch(means).run,
        Outcomes(means).work,
        reconciler.keep_reconciling,
        partial(former.keep_removing, means.bus.asker),
    )


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
        after = await former.stood(bus.asker)
        watching = Watching(means, settings.watch_s, settings.jetstream_limit_bytes)
        for work in (*works(means), watching.run):
            await opened.enter_async_context(_beside(kept(work, stop)))
        await fire_due(bus, stop, handlers(means), settings.overdue_per_s, after)


async def fire_due(
    bus: Bus,
    stop: asyncio.Event,
    others: Mapping[TimerKind, Fire] | None = None,
    per_second: float = 0.0,
    after: int = 0,
) -> None:
    """Act on what comes due, until *stop*; then finish what was begun.

    Each kind has a consumer of its own, so that none waits behind many of another. One that is made
    begins behind *after*, a place in the stream.
    """
    told = Options(ack_wait_s=ACK_WAIT_S, tries=TRIES, after=after)
    firing = Firing(bus, _now, others, Paced(_now, per_second, time.monotonic))
    async with asyncio.TaskGroup() as group:
        for kind, at_once in SHARES.items():
            consuming = consume_shared(
                bus,
                TIMERS,
                f"{SERVICE}-{kind}",
                firing.handle,
                subject=subjects.dues(kind),
                stop=stop,
                service=SERVICE,
                at_once=at_once,
                options=msgspec.structs.replace(told, observe=metrics.Watch(kind)),
            )
            group.create_task(consuming)


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
