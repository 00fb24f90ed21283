"""Visitors of the web chat who have left: heard of, looked after, and mailed, beside all else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

from libs.common.bus.client import Bus
from libs.common.bus.options import Options
from libs.common.bus.shared import consume_shared
from libs.common.config import NotifierSettings
from libs.common.directory import Directory
from libs.common.store.api import Store
from libs.common.subjects import TIMERS, dues
from libs.common.unsubscribe import unsubscribe_keys
from services.notifier.mailer import Mailer
from services.notifier.offline_case import Cases
from services.notifier.offline_lives import listening
from services.notifier.offline_sweep import Sweep
from services.notifier.offline_worker import Means, Waiting

DURABLE = "offline"
ACK_WAIT_S = 5.0
"""After so long without a sign of life of a replica, another one takes what it had."""
AT_ONCE = 16


@asynccontextmanager
async def awaiting(
    settings: NotifierSettings,
    parts: tuple[Bus, Store, Directory],
    mailer: Mailer,
    stop: asyncio.Event,
) -> AsyncIterator[Waiting]:
    """Look after waiting replies beside the block, until *stop*; the block's end waits for it.

    The store has sessions, messages, contacts and `awaited.OFFLINE` open.

    Raises:
        PermanentError: JetStream refuses the consumer.
    """
    _, store, directory = parts
    cases = Cases(
        store,
        directory.account,
        directory.settings,
        settings.public_url,
        unsubscribe_keys(settings.secret_key),
    )
    async with waited(parts, mailer, cases, stop) as waiting:
        yield waiting


@asynccontextmanager
async def waited(
    parts: tuple[Bus, Store, Directory], mailer: Mailer, cases: Cases, stop: asyncio.Event
) -> AsyncIterator[Waiting]:
    """See `awaiting`; emails are made of *cases*."""
    bus, store, directory = parts
    async with listening(bus, _now) as lives, asyncio.TaskGroup() as tasks:
        means = Means(
            bus=bus,
            store=store,
            mailer=mailer,
            lives=lives,
            cases=cases,
            settings=directory.settings,
            now=_now,
        )
        waiting = Waiting(means)
        sweep = Sweep(store, partial(_workspaces, directory), waiting.arm, _now)
        tasks.create_task(sweep.run(stop))
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


def _workspaces(directory: Directory) -> frozenset[str]:
    return frozenset(account.workspace for account in directory.accounts())


def _now() -> datetime:
    return datetime.now(UTC)
