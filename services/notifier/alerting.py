"""Alerts: whom facts concern, decided beside all else that goes out.

It needs the store's sessions, messages and attention. Each sink reads the stream ALERTS by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial

from libs.common import subjects
from libs.common.bus.client import Bus
from libs.common.bus.options import Options
from libs.common.bus.shared import consume_shared
from libs.common.directory import Directory
from libs.common.preferences import watched_preferences
from libs.common.presence import watched_presence
from libs.common.store.api import Store
from libs.common.subjects import EVENTS, TIMERS
from services.notifier import attention_metrics as metrics
from services.notifier.attention_store import Record
from services.notifier.attention_sweep import Sweep
from services.notifier.attention_timer import Timers
from services.notifier.attention_worker import Engine, Known

DURABLE = "alerts"
DURABLE_TIMERS = "alerts-due"
SERVICE = "notifier"
ACK_WAIT_S = 2.0
"""What a killed replica had begun comes to another one so soon."""
FACTS_AT_ONCE = 256
NEW = timedelta(minutes=15)
"""So far back a consumer begins that is made anew: the stream holds a week that is over."""
TIMERS_AT_ONCE = 32
"""After an outage many are due; more at once would keep facts, which are of now, waiting."""


@asynccontextmanager
async def alerting(
    bus: Bus,
    store: Store,
    directory: Directory,
    now: Callable[[], datetime],
    stop: asyncio.Event,
) -> AsyncIterator[None]:
    """Decide alerts beside the block, until *stop*; the block's end waits for it.

    Raises:
        PermanentError: JetStream refuses a consumer.
    """
    async with (
        watched_preferences(bus) as preferences,
        watched_presence(bus) as presences,
        asyncio.TaskGroup() as tasks,
    ):
        known = Known(directory.policy, preferences, presences)
        engine = Engine(store, Record(store, bus, now), known, now)
        sweep = Sweep(store, partial(_workspaces, directory), engine.look, now)
        tasks.create_task(_run(bus, engine, known, sweep, now() - NEW, stop))
        yield


def _workspaces(directory: Directory) -> frozenset[str]:
    return frozenset(account.workspace for account in directory.accounts())


async def _run(
    bus: Bus, engine: Engine, known: Known, sweep: Sweep, since: datetime, stop: asyncio.Event
) -> None:
    """Take facts and timers, once it is known who wants what and who is there."""
    if not await _complete(known, stop):
        return
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_take_facts(bus, engine, since, stop))
            tasks.create_task(_take_timers(bus, engine, stop))
            tasks.create_task(sweep.run(stop))
    finally:
        await engine.close()


async def _take_facts(bus: Bus, engine: Engine, since: datetime, stop: asyncio.Event) -> None:
    await consume_shared(
        bus,
        EVENTS,
        DURABLE,
        engine.handle,
        subject="ev.>",
        stop=stop,
        service=SERVICE,
        at_once=FACTS_AT_ONCE,
        options=Options(ack_wait_s=ACK_WAIT_S, observe=metrics.Watch(), since=since),
    )


async def _take_timers(bus: Bus, engine: Engine, stop: asyncio.Event) -> None:
    await consume_shared(
        bus,
        TIMERS,
        DURABLE_TIMERS,
        Timers(engine).handle,
        subject=subjects.dues("attention"),
        stop=stop,
        service=SERVICE,
        at_once=TIMERS_AT_ONCE,
        options=Options(ack_wait_s=ACK_WAIT_S),
    )


async def _complete(known: Known, stop: asyncio.Event) -> bool:
    """Wait until all that is watched was seen; tell whether that came before the stop."""
    stopping = asyncio.create_task(stop.wait())
    for seen in (known.preferences.complete, known.presences.complete):
        waits = {stopping, asyncio.create_task(seen.wait())}
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits - done - {stopping}:
            wait.cancel()
        if stop.is_set():
            return False
    stopping.cancel()
    return True
