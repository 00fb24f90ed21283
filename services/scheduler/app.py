"""Wiring of the scheduler: what starts, and in which order.

It connects, watches the directory and reports ready; no timer is armed or fired yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

from libs.common.admin import serve_admin
from libs.common.bus.client import open_bus
from libs.common.config import SchedulerSettings
from libs.common.documents import COLLECTIONS
from libs.common.lifecycle import write_ports
from libs.common.store.open import open_store


async def serve(settings: SchedulerSettings, stop: asyncio.Event) -> None:
    """Run until *stop*."""
    async with AsyncExitStack() as opened:
        bus = await opened.enter_async_context(
            open_bus(settings.nats_url, name="scheduler", replicas=settings.stream_replicas)
        )
        store = await opened.enter_async_context(open_store(settings.store_url, COLLECTIONS))

        async def checks() -> Mapping[str, bool]:
            return {
                "nats": bus.connected,
                "store": await store.healthy(),
                "serving": not stop.is_set(),
            }

        admin = await opened.enter_async_context(
            serve_admin(settings.host, settings.admin_port, checks)
        )
        write_ports(settings.port_file, admin=admin)
        await stop.wait()
