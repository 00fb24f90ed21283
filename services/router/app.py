"""Wiring: what starts, in which order, and how it stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial

from libs.common import subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.bus.consume import consume_batches
from libs.common.bus.options import Observed, Options
from libs.common.config import RouterSettings
from libs.common.directory import Directory, refresh_policy, watched
from libs.common.documents import COLLECTIONS
from libs.common.parts import Parts, run_parts, store_when_there
from libs.common.seal import Sealer
from libs.common.store.api import Store
from services.router import metrics
from services.router.batch import Batch
from services.router.execute import Executor
from services.router.handle import Handler
from services.router.mirror import Mirror
from services.router.outbox import Outbox
from services.router.plan import MESSENGER

log = logging.getLogger(__name__)

SERVICE = "router"


class Watch(Observed):
    """Passes on what the consumer tells to the metrics."""

    def __init__(self) -> None:
        super().__init__()
        metrics.IN_FLIGHT.set_function(lambda: self.in_flight)
        metrics.LAG.set_function(lambda: sum(self.pending.values()))

    def on_buried(self, code: str) -> None:
        """A delivery went to DEAD."""
        super().on_buried(code)
        metrics.BURIED.labels(code).inc()


async def serve(settings: RouterSettings, stop: asyncio.Event) -> None:
    """Serve until *stop*; then finish what was begun.

    The bus and the store may be away at the start: the service lives, and is ready once they came.

    Raises:
        SettingsError: The store's URL, or what is stored, cannot be used.
        PermanentError: JetStream refuses a stream or a consumer.
    """
    parts = Parts()
    await run_parts(settings, parts, stop, partial(_work, settings, parts, stop))


async def _work(settings: RouterSettings, parts: Parts, stop: asyncio.Event) -> None:
    sealer = Sealer.from_setting(settings.secret_key)
    async with AsyncExitStack() as opened:
        parts.bus = await opened.enter_async_context(
            open_bus(settings.nats_url, name=SERVICE, replicas=settings.stream_replicas)
        )
        parts.store = await store_when_there(opened, settings.store_url, COLLECTIONS)
        directory = await opened.enter_async_context(watched(parts.bus, sealer))
        await directory.complete.wait()  # the switches decide where sessions start
        parts.directory, parts.begun = directory, True
        await route(parts.bus, parts.store, directory, stop)


async def route(bus: Bus, store: Store, directory: Directory, stop: asyncio.Event) -> None:
    """Apply what arrives and answer commands, until *stop*; *directory* has the switches."""
    outbox = Outbox(store, bus, _now)
    refresh = partial(refresh_policy, bus, directory)
    sibling = partial(messages_of_page, directory)
    batch = Batch(store, outbox, directory.settings, _now, refresh=refresh, sibling=sibling)
    handler = Handler(batch, outbox, _now, Mirror(bus))
    executor = Executor(store, outbox, directory.settings, _now, account=directory.known)
    async with _running(outbox.keep_clearing()), _running(outbox.keep_sweeping()):
        end_commands = await bus.serve(subjects.COMMANDS, queue=SERVICE, handle=executor.handle)
        try:
            await consume_batches(
                bus,
                subjects.INBOUND,
                SERVICE,
                handler,
                stop=stop,
                service=SERVICE,
                options=Options(observe=Watch()),
            )
        finally:
            await end_commands()
    await outbox.flush()


def messages_of_page(directory: Directory, slug: str) -> str:
    """Return the Messenger account of the page whose comments the account *slug* has, if any."""
    comments = directory.known(slug)
    if comments is None:
        return ""
    page = (comments.workspace, MESSENGER, comments.external_id)
    for account in directory.accounts():
        if (account.workspace, account.channel, account.external_id) == page:
            return account.slug
    return ""


@asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _now() -> datetime:
    return datetime.now(UTC)
