"""Visitors' files: noted from the facts of their messages, fetched before they expire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime

from libs.common.bus.client import Bus
from libs.common.bus.consume import consume_batches
from libs.common.bus.options import Options
from libs.common.store.api import Store
from libs.common.subjects import EVENTS
from services.notifier.media_fetch import Means
from services.notifier.media_intake import FILTER, Intake
from services.notifier.media_worker import Worker

DURABLE = "media"


@asynccontextmanager
async def fetching(
    bus: Bus,
    store: Store,
    means: Means,
    workspaces: Callable[[], Iterable[str]],
    now: Callable[[], datetime],
    stop: asyncio.Event,
) -> AsyncIterator[None]:
    """Fetch beside the block, until *stop*; the block's end waits for it.

    Args:
        bus: Where the facts are.
        store: Has the collections `messages` and `attachments` open.
        means: What fetching needs.
        workspaces: Returns those to look at for what was left behind.
        now: UTC.
        stop: Ends it: what is being fetched is given back.

    Raises:
        PermanentError: JetStream refuses the consumer.
    """
    worker = Worker(store, means, workspaces, now)
    intake = Intake(store, means.channels, means.account, now, worker.noted)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run(stop))
        tasks.create_task(
            consume_batches(
                bus,
                EVENTS,
                DURABLE,
                intake.handle,
                stop=stop,
                service="notifier",
                options=Options(filters=(FILTER,)),
            )
        )
        yield
