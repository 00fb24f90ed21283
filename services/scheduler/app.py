"""Wiring of the scheduler: what starts, and in which order.

It connects and reports ready; no timer is armed or fired yet.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

from libs.common.admin import serve_admin
from libs.common.bus.client import Bus, open_bus
from libs.common.config import SchedulerSettings
from libs.common.documents import COLLECTIONS
from libs.common.lifecycle import write_ports
from libs.common.store.api import Store
from libs.common.store.open import open_store


class Parts:
    """What the service stands on, as far as it is there."""

    def __init__(self) -> None:
        self.bus: Bus | None = None
        self.store: Store | None = None

    async def checks(self) -> dict[str, bool]:
        """Return what readiness depends on."""
        return {
            "bus": self.bus is not None and self.bus.connected,
            "store": self.store is not None and await self.store.healthy(),
        }


async def serve(settings: SchedulerSettings, stop: asyncio.Event) -> None:
    """Run until *stop*; the bus and the store may be away at the start."""
    parts = Parts()

    async def checks() -> dict[str, bool]:
        return {"serving": not stop.is_set(), **await parts.checks()}

    async with serve_admin(settings.host, settings.admin_port, checks) as admin:
        write_ports(settings.port_file, admin=admin)
        connecting = asyncio.create_task(_connected(settings, parts, stop))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if parts.store is None:  # it is still waiting for the bus or the store
            connecting.cancel()
        with suppress(asyncio.CancelledError):
            await connecting


async def _connected(settings: SchedulerSettings, parts: Parts, stop: asyncio.Event) -> None:
    async with AsyncExitStack() as opened:
        parts.bus = await opened.enter_async_context(
            open_bus(settings.nats_url, name="scheduler", replicas=settings.stream_replicas)
        )
        parts.store = await opened.enter_async_context(open_store(settings.store_url, COLLECTIONS))
        await stop.wait()
