"""Wiring: what starts, in which order, and how it stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from libs.common import subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.bus.consume import consume_batches
from libs.common.bus.options import Observed, Options
from libs.common.config import RouterSettings
from libs.common.directory import Directory, refresh_policy, watched
from libs.common.documents import COLLECTIONS
from libs.common.erased import Erased, erasure_keys, watched_erased
from libs.common.errors import StoreUnavailableError
from libs.common.parts import Parts, run_parts, store_when_there
from libs.common.presence import Presences, watched_presence
from libs.common.rules.conditions import read_ahead
from libs.common.seal import Sealer
from libs.common.store.api import Store
from services.router import metrics
from services.router.assigner import Assigner, Bell
from services.router.batch import Batch
from services.router.bots import Bots
from services.router.execute import Executor
from services.router.handle import Handler
from services.router.ledger import inbound_trail
from services.router.mirror import Mirror
from services.router.outbox import Outbox
from services.router.plan import MESSENGER
from services.router.rooms import Rooms
from services.router.seats import Seats
from services.router.store import workspaces

log = logging.getLogger(__name__)

SERVICE = "router"
RETRY_S = 1.0

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


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
        directory = await opened.enter_async_context(watched(parts.bus, sealer, ahead=read_ahead))
        await directory.complete.wait()  # the switches decide where sessions start
        parts.directory, parts.begun = directory, True
        keys = erasure_keys(settings.secret_key)
        await opened.enter_async_context(_running(keep_ledger(parts.bus, parts.store, keys)))
        await route(parts.bus, parts.store, directory, stop, keys=keys)


async def keep_ledger(bus: Bus, store: Store, keys: Sequence[bytes]) -> None:
    """Count what became of everything on INBOUND, for ever; by *keys* it knows the erased."""
    async with watched_erased(bus, keys) as erased:
        await erased.complete.wait()
        await inbound_trail(bus, store, erased.drops, _now).keep()


async def route(
    bus: Bus,
    store: Store,
    directory: Directory,
    stop: asyncio.Event,
    now: Clock = _now,
    *,
    keys: Sequence[bytes] = (),
) -> None:
    """Apply what arrives, answer commands and serve the queues by the clock *now*, until *stop*.

    By *keys*, from `erasure_keys`, what is late of erased visitors is known.
    """
    async with AsyncExitStack() as opened:
        presences = await opened.enter_async_context(watched_presence(bus))
        await presences.complete.wait()
        erased = await opened.enter_async_context(watched_erased(bus, keys))
        await erased.complete.wait()
        works = wire(bus, store, directory, presences, now, erased=erased)
        for work in (works.outbox.keep_clearing(), works.outbox.keep_sweeping()):
            await opened.enter_async_context(_running(work))
        await opened.enter_async_context(_serving_queues(works, bus, store, directory, presences))
        end_commands = await bus.serve(
            subjects.COMMANDS, queue=SERVICE, handle=works.executor.handle
        )
        opened.push_async_callback(end_commands)
        await consume_batches(
            bus,
            subjects.INBOUND,
            SERVICE,
            works.handler,
            stop=stop,
            service=SERVICE,
            options=Options(observe=Watch()),
        )
    await works.outbox.flush()


class Works(NamedTuple):
    """What a router consists of."""

    outbox: Outbox
    handler: Handler
    executor: Executor
    assigner: Assigner
    seats: Seats


def wire(
    bus: Bus,
    store: Store,
    directory: Directory,
    presences: Presences,
    now: Clock = _now,
    *,
    erased: Erased | None = None,
) -> Works:
    """Put a router together; nothing runs yet."""
    bell = Bell()
    seats = Seats(store, now, state=presences.state, freed=bell)
    outbox = Outbox(store, bus, now, seats=seats, queued=bell)
    rooms = Rooms(
        directory.policy,
        seats,
        bots=Bots(store),
        account=directory.known,
        refresh=partial(refresh_policy, bus, directory),
    )
    batch = Batch(store, outbox, rooms, now, sibling=partial(messages_of_page, directory))
    assigner = Assigner(store, outbox, rooms, now, bus)
    bell.on_ring.append(assigner.queued)
    return Works(
        outbox=outbox,
        handler=Handler(batch, outbox, now, Mirror(bus), erased=(erased or Erased(())).drops),
        executor=Executor(store, outbox, rooms, now),
        assigner=assigner,
        seats=seats,
    )


@asynccontextmanager
async def _serving_queues(
    works: Works, bus: Bus, store: Store, directory: Directory, presences: Presences
) -> AsyncIterator[None]:
    """Serve the queues until the block ends: what changes who can take a session wakes them."""
    assigner = works.assigner
    directory.on_policy.append(assigner.wake)
    presences.on_change.append(assigner.wake)
    end_wakes = await bus.listen(subjects.WAKES, assigner.heard)
    try:
        async with _running(look_at_all(works, store, directory)):
            yield
    finally:
        directory.on_policy.remove(assigner.wake)
        presences.on_change.remove(assigner.wake)
        await end_wakes()
        await assigner.stop()


async def look_at_all(works: Works, store: Store, directory: Directory) -> None:
    """Serve all queues, and mend the agents' places, which a crash may have left wrong.

    What fails in one workspace keeps no other one waiting: where the store was away it is done
    again, and a bug is logged, as places are mended where an agent is full as well.
    """
    todo: list[str] | None = None
    while todo is None or todo:
        try:
            if todo is None:
                todo = await workspaces(store)
                for workspace in todo:
                    works.assigner.wake(workspace)
            todo = [each for each in todo if not await _mended(works, directory, each)]
        except Exception:  # the boundary: nothing else begins this again
            log.exception("queues.bug")
        if todo is None or todo:
            await asyncio.sleep(RETRY_S)


async def _mended(works: Works, directory: Directory, workspace: str) -> bool:
    """Mend the places of those who get sessions; tell whether it is to be done no more."""
    try:
        members = directory.policy(workspace).members
        await works.seats.repair(workspace, [one.id for one in members if one.limit > 0])
    except StoreUnavailableError:
        return False
    except Exception:  # the boundary: the others are to be served
        log.exception("seats.bug", extra={"workspace": workspace})
    return True


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
