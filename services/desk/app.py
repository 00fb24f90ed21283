"""Wiring of desk: what starts, and in which order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from libs.common.admin import listening, serve_admin
from libs.common.bus.client import Bus, open_bus
from libs.common.config import DeskSettings
from libs.common.documents import COLLECTIONS
from libs.common.errors import GatewayError
from libs.common.lifecycle import write_ports
from libs.common.seal import Sealer
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.workspace import publish_directory
from services.desk import metrics
from services.desk.api.route import Desk
from services.desk.api.table import ROUTES
from services.desk.inbox import Inbox
from services.desk.passwords import open_passwords
from services.desk.server import build
from services.desk.store import DeskStore
from services.desk.throttle import LoginThrottle

log = logging.getLogger(__name__)

MEND_EVERY_S = 30.0
KEEPALIVE_S = 30.0


async def serve(settings: DeskSettings, stop: asyncio.Event) -> None:
    """Run until *stop*."""
    async with AsyncExitStack() as opened:
        bus = await opened.enter_async_context(
            open_bus(settings.nats_url, name="desk", replicas=settings.stream_replicas)
        )
        store = await opened.enter_async_context(open_store(settings.store_url, COLLECTIONS))
        desk = await make_desk(settings, store, bus)

        async def checks() -> Mapping[str, bool]:
            return {
                "nats": bus.connected,
                "store": await store.healthy(),
                "serving": not stop.is_set(),
            }

        await opened.enter_async_context(mending(store, bus))
        admin = await opened.enter_async_context(
            serve_admin(settings.host, settings.admin_port, checks)
        )
        port = await opened.enter_async_context(
            listening(build(desk, ROUTES), settings.host, settings.port, keepalive_s=KEEPALIVE_S)
        )
        write_ports(settings.port_file, port=port, admin=admin)
        await stop.wait()


async def make_desk(settings: DeskSettings, store: Store, bus: Bus) -> Desk:
    """Return what handlers are given."""
    return Desk(
        store=DeskStore(store),
        inbox=Inbox(store),
        passwords=await open_passwords(),
        bus=bus,
        sealer=Sealer.from_setting(settings.secret_key),
        settings=settings,
        throttle=LoginThrottle(time.monotonic),
        now=lambda: datetime.now(UTC),
    )


@asynccontextmanager
async def mending(store: Store, bus: Bus, *, every_s: float = MEND_EVERY_S) -> AsyncIterator[None]:
    """Bring the directory buckets to what the store says, now and again, until the block ends.

    A crash between the store's write and the bucket's heals by this.
    """
    task = asyncio.create_task(_mend(store, bus, every_s))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _mend(store: Store, bus: Bus, every_s: float) -> None:
    while True:
        try:
            mended = await publish_directory(store, bus)
        except GatewayError as error:
            log.warning("desk.directory_unmended", extra={"code": error.code})
        else:
            metrics.DIRECTORY.inc(mended)
        await asyncio.sleep(every_s)
