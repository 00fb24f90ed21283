"""Visitors of the web chat who have left: heard of, looked after, and mailed, beside all else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from libs.common.bus.client import Bus
from libs.common.bus.options import Options
from libs.common.bus.shared import consume_shared
from libs.common.directory import Directory
from libs.common.store.api import Store
from libs.common.subjects import TIMERS, dues
from services.notifier.mailer import Mailer
from services.notifier.offline_case import Cases
from services.notifier.offline_lives import listening
from services.notifier.offline_worker import Means, Waiting

DURABLE = "offline"
ACK_WAIT_S = 5.0
"""After so long without a sign of life of a replica, another one takes what it had."""
AT_ONCE = 16


@asynccontextmanager
async def awaiting(  # noqa: PLR0913 (made in one place)
    bus: Bus,
    store: Store,
    directory: Directory,
    mailer: Mailer,
    *,
    public_url: str,
    stop_keys: Sequence[bytes],
    now: Callable[[], datetime],
    stop: asyncio.Event,
) -> AsyncIterator[Waiting]:
    """Look after waiting replies beside the block, until *stop*; the block's end waits for it.

    Args:
        bus: Where signs of life and timers come.
        store: Has sessions, messages, contacts and `awaited.OFFLINE` open.
        directory: Accounts and settings.
        mailer: Sends.
        public_url: Address of the installation; empty: emails have no links.
        stop_keys: See `unsubscribe.unsubscribe_keys`.
        now: UTC.
        stop: Ends it.

    Raises:
        PermanentError: JetStream refuses the consumer.
    """
    cases = Cases(store, directory.account, directory.settings, public_url, stop_keys)
    async with listening(bus, now) as lives, asyncio.TaskGroup() as tasks:
        means = Means(
            bus=bus,
            store=store,
            mailer=mailer,
            lives=lives,
            cases=cases,
            settings=directory.settings,
            now=now,
        )
        waiting = Waiting(means)
        tasks.create_task(
            consume_shared(
                bus,
                TIMERS,
                DURABLE,
                waiting.fire,
                subject=dues("offline"),
                stop=stop,
                service="notifier",
                at_once=AT_ONCE,
                options=Options(ack_wait_s=ACK_WAIT_S),
            )
        )
        yield waiting
