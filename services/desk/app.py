"""Wiring of desk: what starts, and in which order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import msgspec

from libs.common.admin import listening, serve_admin
from libs.common.board import Board, watched_health
from libs.common.bus.client import Bus, open_bus
from libs.common.channels import CHANNELS
from libs.common.clocks import measuring
from libs.common.config import DeskSettings
from libs.common.documents import COLLECTIONS
from libs.common.errors import GatewayError, StoreUnavailableError
from libs.common.files.api import Files
from libs.common.files.open import open_files
from libs.common.http import open_door
from libs.common.lifecycle import write_ports
from libs.common.pushes import PushHosts
from libs.common.schema import check_schema
from libs.common.seal import Sealer
from libs.common.stopping import finish_s, is_leaving, leaving
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.targets import check_stand_in
from libs.common.workspace import publish_directory, workspaces
from services.desk import metrics
from services.desk.api.route import Desk
from services.desk.api.table import ROUTES
from services.desk.attachments import Attachments
from services.desk.departed import give_all_back
from services.desk.each import for_each
from services.desk.inbox import Inbox
from services.desk.job_runners import RUNNERS
from services.desk.jobs_run import working
from services.desk.live import Live, open_live
from services.desk.oidc import Oidc, check_oidc
from services.desk.passwords import Passwords, open_passwords
from services.desk.preferences import mend_preferences
from services.desk.server import build
from services.desk.settled import finish_all, watch_drift
from services.desk.signals import Signals
from services.desk.store import DeskStore
from services.desk.tagging import detach_all
from services.desk.throttle import LoginThrottle

log = logging.getLogger(__name__)

MEND_EVERY_S = 30.0
DRIFT_EVERY_S = 60.0
SWEEP_EVERY_S = 600.0
KEEPALIVE_S = 30.0
OPEN_AGAIN_S = 1.0


class Parts:
    """What the service stands on, as far as it is there."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self.bus: Bus | None = None
        self.store: Store | None = None
        self.listening = False
        """Whether requests were ever taken: then there are some to finish."""
        self.published = asyncio.Event()
        """Set once the directory buckets have said what the store says: changes can be told."""

    async def checks(self) -> Mapping[str, bool]:
        """Return what readiness depends on."""
        return {
            "bus": self.bus is not None and self.bus.connected,
            "store": self.store is not None and await self.store.healthy(),
            "directory": self.published.is_set(),
            "serving": self.listening and not is_leaving(self._stop),
        }


async def serve(settings: DeskSettings, stop: asyncio.Event) -> None:
    """Run until *stop*, then finish the requests that were begun.

    The bus and the store may be away at the start: the service lives, and is ready once they came.

    Raises:
        SettingsError: The key, the store's URL, or what is stored, cannot be used.
    """
    parts = Parts(stop)
    async with (
        serve_admin(settings.host, settings.admin_port, parts.checks) as admin,
        measuring(lambda: parts.bus),
    ):
        serving = asyncio.create_task(_work(settings, parts, admin, stop))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not parts.listening:  # it never came to work: there is nothing to finish
            serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def _work(settings: DeskSettings, parts: Parts, admin: int, stop: asyncio.Event) -> None:
    async with AsyncExitStack() as opened:
        Sealer.from_setting(settings.secret_key)  # a key that cannot be used stops the start
        bus = parts.bus = await opened.enter_async_context(
            open_bus(settings.nats_url, name="desk", replicas=settings.stream_replicas)
        )
        store = parts.store = await _open_store(opened, settings.store_url)
        files = await opened.enter_async_context(open_files(settings.files_url, settings.store_url))
        board = await opened.enter_async_context(watched_health(bus))
        live = await opened.enter_async_context(open_live(bus, _now))
        desk = make_desk(
            settings, store, bus, await open_passwords(), files, board=board, live=live
        )
        if settings.oidc_issuer:
            door = await opened.enter_async_context(open_door())
            desk = msgspec.structs.replace(desk, oidc=Oidc(settings, door, _now))
        await opened.enter_async_context(mending(store, bus, done=parts.published))
        await opened.enter_async_context(sweeping(store, desk.attachments))
        await opened.enter_async_context(working(desk, RUNNERS))
        port = await opened.enter_async_context(
            listening(
                build(desk, ROUTES),
                settings.host,
                settings.port,
                keepalive_s=KEEPALIVE_S,
                leaving=leaving(stop),
                finish_s=finish_s(settings.drain_s),
            )
        )
        write_ports(settings.port_file, port=port, admin=admin)
        log.info("desk.listening", extra={"port": port, "admin_port": admin})
        parts.listening = True
        await stop.wait()


async def _open_store(opened: AsyncExitStack, url: str) -> Store:
    """Open the store, waiting until it is there."""
    while True:
        try:
            async with AsyncExitStack() as trial:  # what does not fit, or is away again, is closed
                store = await trial.enter_async_context(open_store(url, COLLECTIONS))
                await check_schema(store)
                opened.push_async_exit(trial.pop_all())
        except StoreUnavailableError as error:
            log.warning("desk.store_waits", extra={"reason": error.detail})
            await asyncio.sleep(OPEN_AGAIN_S)
        else:
            return store


def make_desk(  # noqa: PLR0913 (what desk is made of)
    settings: DeskSettings,
    store: Store,
    bus: Bus,
    passwords: Passwords,
    files: Files,
    *,
    board: Board,
    live: Live,
) -> Desk:
    """Return what handlers are given.

    Raises:
        SettingsError: The key, or a host of pushes, cannot be used.
    """
    PushHosts(settings.push_hosts)
    check_stand_in(settings.stand_in)
    check_oidc(settings)
    return Desk(
        store=DeskStore(store),
        inbox=Inbox(store),
        passwords=passwords,
        bus=bus,
        sealer=Sealer.from_setting(settings.secret_key),
        settings=settings,
        throttle=LoginThrottle(time.monotonic),
        attachments=Attachments(store, files, settings.secret_key),
        channels=CHANNELS,
        signals=Signals(bus, time.monotonic),
        board=board,
        live=live,
        now=_now,
    )


@asynccontextmanager
async def mending(
    store: Store, bus: Bus, *, every_s: float = MEND_EVERY_S, done: asyncio.Event | None = None
) -> AsyncIterator[None]:
    """Bring the directory buckets to what the store says, now and again, until the block ends.

    *done* is set once it was done; until then it is tried again soon.

    A crash between the store's write and the bucket's heals by this, and one before the sessions of
    who was disabled were given back.
    """
    async with (
        _beside(_mend(store, bus, every_s, done or asyncio.Event())),
        _beside(watch_drift(store, DRIFT_EVERY_S)),
    ):
        yield


@asynccontextmanager
async def sweeping(
    store: Store, attachments: Attachments, *, every_s: float = SWEEP_EVERY_S
) -> AsyncIterator[None]:
    """Delete uploads that nobody has sent, now and again, until the block ends."""
    async with _beside(_sweep(store, attachments, every_s)):
        yield


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _mend(store: Store, bus: Bus, every_s: float, done: asyncio.Event) -> None:
    while True:
        await finish_all(store, bus)
        try:
            mended = await publish_directory(store, bus)
            done.set()
            mended += await mend_preferences(store, bus, await workspaces(store))
        except GatewayError as error:
            log.warning("desk.directory_unmended", extra={"code": error.code})
        else:
            metrics.DIRECTORY.inc(mended)
        await _give_back(store, bus)
        await _detach(store)
        await asyncio.sleep(every_s if done.is_set() else OPEN_AGAIN_S)


async def _give_back(store: Store, bus: Bus) -> None:
    """Return the sessions of those who may not answer any more to the queue."""

    async def give(workspace: str) -> None:
        metrics.GIVEN_BACK.inc(await give_all_back(DeskStore(store), bus, workspace, _now()))

    await for_each(store, give, "desk.sessions_not_given_back")


async def _detach(store: Store) -> None:
    """Take deleted tags off the contacts that still hold them."""

    async def detach(workspace: str) -> None:
        await detach_all(store, workspace)

    await for_each(store, detach, "desk.tags_not_detached")


def _now() -> datetime:
    return datetime.now(UTC)


async def _sweep(store: Store, attachments: Attachments, every_s: float) -> None:
    while True:
        try:
            for workspace in await workspaces(store):
                swept = await attachments.sweep(workspace, datetime.now(UTC))
                metrics.SWEPT.inc(swept)
        except GatewayError as error:
            log.warning("desk.unswept", extra={"code": error.code})
        await asyncio.sleep(every_s)
