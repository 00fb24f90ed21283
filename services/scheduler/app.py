"""Wiring of the scheduler: what starts, in which order, and how it stops.

Timers wait in the bus, and what they do the router decides. Several replicas share what is due by
its partitions: one serves a partition at a time.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

from libs.common.bus.client import Bus, open_bus
from libs.common.bus.consume import consume_lanes
from libs.common.bus.options import Options
from libs.common.config import SchedulerSettings
from libs.common.documents import COLLECTIONS
from libs.common.parts import Parts, run_parts, store_when_there
from libs.common.subjects import DUES, TIMERS
from services.scheduler import metrics
from services.scheduler.fire import Firing, lane_of

SERVICE = "scheduler"
AT_ONCE = 64
"""Timers brought to the router at the same time; who waits for a router takes no more."""
HELD = 2000


async def serve(settings: SchedulerSettings, stop: asyncio.Event) -> None:
    """Run until *stop*; the bus and the store may be away at the start.

    Raises:
        SettingsError: The store's URL or the NATS server is not as it must be.
        PermanentError: JetStream refuses a stream or a consumer.
    """
    parts = Parts(watches_directory=False)
    await run_parts(settings, parts, stop, partial(_connected, settings, parts, stop))


async def _connected(settings: SchedulerSettings, parts: Parts, stop: asyncio.Event) -> None:
    async with AsyncExitStack() as opened:
        parts.bus = await opened.enter_async_context(
            open_bus(settings.nats_url, name=SERVICE, replicas=settings.stream_replicas)
        )
        parts.store = await store_when_there(opened, settings.store_url, COLLECTIONS)
        parts.begun = True
        await fire_due(parts.bus, stop)


async def fire_due(bus: Bus, stop: asyncio.Event) -> None:
    """Bring to the router what comes due, until *stop*; then finish what was begun."""
    await consume_lanes(
        bus,
        TIMERS,
        SERVICE,
        Firing(bus, _now).handle,
        lane=lane_of,
        stop=stop,
        service=SERVICE,
        in_flight=AT_ONCE,
        max_pending=HELD,
        options=Options(filters=DUES, observe=metrics.Watch()),
    )


def _now() -> datetime:
    return datetime.now(UTC)
