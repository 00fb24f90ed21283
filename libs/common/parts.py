"""What a service stands on, opened while it already lives: admin endpoints first, then the rest.

The bus and the store may be away at the start. The service is alive then, and not ready; a signal
ends it at once as long as it has not begun to work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

from libs.common.admin import serve_admin
from libs.common.bus.client import Bus
from libs.common.clocks import measuring
from libs.common.config import Settings
from libs.common.directory import Directory
from libs.common.errors import StoreUnavailableError
from libs.common.lifecycle import write_ports
from libs.common.schema import check_schema
from libs.common.stopping import is_leaving
from libs.common.store.api import Collection, Store
from libs.common.store.open import open_store

log = logging.getLogger(__name__)

OPEN_AGAIN_S = 1.0


class Parts:
    """What is open so far; readiness looks at it from the first moment on.

    Args:
        watches_directory: Whether the service needs the accounts and switches to be ready.
    """

    def __init__(self, *, watches_directory: bool = True) -> None:
        self.bus: Bus | None = None
        self.store: Store | None = None
        self.directory: Directory | None = None
        self.begun = False
        """Set once there is work that a stop has to finish."""
        self._watches_directory = watches_directory

    async def checks(self) -> dict[str, bool]:
        """Return what readiness depends on."""
        found = {
            "bus": self.bus is not None and self.bus.connected,
            "store": self.store is not None and await self.store.healthy(),
        }
        if self._watches_directory:
            found["directory"] = self.directory is not None and self.directory.complete.is_set()
        return found


async def run_parts(
    settings: Settings, parts: Parts, stop: asyncio.Event, work: Callable[[], Awaitable[None]]
) -> None:
    """Serve the admin endpoints and *work* until *stop*; work that has begun is finished.

    Raises:
        SettingsError: An address, or what *work* opens, cannot be used.
    """

    async def checks() -> dict[str, bool]:
        return {"serving": not is_leaving(stop), **await parts.checks()}

    async with (
        serve_admin(settings.host, settings.admin_port, checks) as admin,
        measuring(lambda: parts.bus),
    ):
        write_ports(settings.port_file, admin=admin)
        log.info("service.listening", extra={"admin_port": admin})
        working = asyncio.ensure_future(work())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not parts.begun:
            working.cancel()
        with suppress(asyncio.CancelledError):
            await working


async def store_when_there(
    opened: AsyncExitStack, url: str, collections: Sequence[Collection[Any]]
) -> Store:
    """Open the store, waiting until it is there.

    Raises:
        SettingsError: What is stored does not fit this version.
    """
    while True:
        try:
            async with AsyncExitStack() as trial:  # what does not fit, or is away again, is closed
                store = await trial.enter_async_context(open_store(url, collections))
                await check_schema(store)
                opened.push_async_exit(trial.pop_all())
        except StoreUnavailableError as error:
            log.warning("service.store_waits", extra={"reason": error.detail})
            await asyncio.sleep(OPEN_AGAIN_S)
        else:
            return store
