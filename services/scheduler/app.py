"""Wiring of the scheduler: what starts, and in which order.

It connects and reports ready; no timer is armed or fired yet.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from libs.common.bus.client import open_bus
from libs.common.config import SchedulerSettings
from libs.common.documents import COLLECTIONS
from libs.common.parts import Parts, run_parts, store_when_there


async def serve(settings: SchedulerSettings, stop: asyncio.Event) -> None:
    """Run until *stop*; the bus and the store may be away at the start."""
    parts = Parts(watches_directory=False)
    await run_parts(settings, parts, stop, partial(_connected, settings, parts, stop))


async def _connected(settings: SchedulerSettings, parts: Parts, stop: asyncio.Event) -> None:
    async with AsyncExitStack() as opened:
        parts.bus = await opened.enter_async_context(
            open_bus(settings.nats_url, name="scheduler", replicas=settings.stream_replicas)
        )
        parts.store = await store_when_there(opened, settings.store_url, COLLECTIONS)
        parts.begun = True
        await stop.wait()
