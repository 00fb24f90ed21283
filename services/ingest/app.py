"""Wiring: what starts, in which order, and how it stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
from aiohttp import web

from libs.common.admin import serve_admin
from libs.common.bus.client import open_bus
from libs.common.channels import CHANNELS, by_endpoint
from libs.common.clocks import measuring
from libs.common.config import IngestSettings
from libs.common.directory import Directory, watched
from libs.common.erased import Erased, erasure_keys, watched_erased
from libs.common.errors import SettingsError
from libs.common.files.links import link_keys
from libs.common.lifecycle import write_ports
from libs.common.presence import watched_presence
from libs.common.recorder import recording
from libs.common.seal import Sealer
from libs.common.stopping import finish_s, hand_over_s, is_leaving, leaving
from services.ingest import metrics
from services.ingest.answers import Refused
from services.ingest.body import Load
from services.ingest.endpoint import Endpoint
from services.ingest.forgotten import kept
from services.ingest.metrics import Outcome
from services.ingest.outlet import Outlet
from services.ingest.pages import page_handlers
from services.ingest.plugin_config import PluginSettings
from services.ingest.reach import Reach
from services.ingest.receive import Receiver
from services.ingest.remote import networks
from services.ingest.replay import replay
from services.ingest.server import Handler, Table, listening
from services.ingest.spool import Spool, open_spool
from services.ingest.stream import Links, Streams
from services.ingest.tasks import end
from services.ingest.visitors import CORS, MAX_BODY_BYTES, Visitors

log = logging.getLogger(__name__)

WEB = "web"
CACHE = "accounts.json"
CONNECT_AGAIN_S = 2.0


async def serve(settings: IngestSettings, stop: asyncio.Event) -> None:
    """Serve until *stop*; then finish what was begun.

    NATS may be away at the start: accounts are known from the cache, and what is accepted waits in
    the spool.

    Raises:
        SettingsError: The spool's folder cannot be used, a setting cannot be read, or the NATS
            server is too old.
    """
    folder = Path(settings.spool_dir)
    sealer = Sealer.from_setting(settings.secret_key)
    async with AsyncExitStack() as opened:
        spool = await opened.enter_async_context(open_spool(folder, settings.spool_max_bytes))
        reach = Reach(Directory(sealer, folder / CACHE))
        reach.directory.load_cache()
        outlet = Outlet(reach, spool, publish_timeout_s=settings.publish_timeout_s)
        connection = _Connection(settings, sealer, reach, spool)
        await opened.enter_async_context(connection.kept())
        await opened.enter_async_context(_running(replay(spool, reach, outlet)))
        recorder = reach.sightings.recorder
        await opened.enter_async_context(recording(recorder, lambda: reach.bus))
        admin_port = await opened.enter_async_context(
            serve_admin(settings.host, settings.admin_port, lambda: checks(reach, spool, stop))
        )
        site = make_site(settings, reach, outlet)
        port = await opened.enter_async_context(
            listening(
                site.table,
                settings.host,
                settings.port,
                closing=site.close,
                leaving=leaving(stop),
                finish_s=finish_s(settings.drain_s),
            )
        )
        write_ports(settings.port_file, port=port, admin=admin_port)
        log.info("ingest.listening", extra={"port": port, "admin_port": admin_port})
        await _first(stop.wait(), connection.refused.wait())
        if connection.refusal is not None:
            raise connection.refusal


async def checks(reach: Reach, spool: Spool, stop: asyncio.Event) -> dict[str, bool]:
    """Return what readiness depends on: the accounts, and one way to store what comes in."""
    return {
        "accounts": reach.directory.complete.is_set(),
        "storage": reach.connected or await spool.probe(),
        "serving": not is_leaving(stop),
    }


class Site(msgspec.Struct, frozen=True):
    """What is served; `close` ends what would not end by itself."""

    table: Table
    close: Callable[[], None]


def make_site(settings: IngestSettings, reach: Reach, outlet: Outlet) -> Site:
    """Return what is served: the addresses follow from the channel registry."""
    load = Load()
    metrics.IN_FLIGHT.set_function(lambda: load.open)
    streams = Streams(Links(link_keys(settings.secret_key), settings.public_url))
    served: dict[tuple[str, str], Handler] = {}
    for name in sorted({channel.endpoint for channel in CHANNELS.values()}):
        receiver = _receiver(name, settings, reach, outlet, load)
        if name == WEB:
            trusted = networks(settings.trusted_proxies)
            plugins = PluginSettings(reach)
            visitors = Visitors(receiver, reach, streams, trusted, load, plugins)
            served |= {(name, part): handle for part, handle in visitors.served().items()}
            served |= page_handlers(receiver.account, plugins, load)
        else:
            served[name, ""] = receiver.handle
    unknown = Endpoint("unknown", (), load, allow="", headers={})
    return Site(Table(served, partial(unknown.serve, work=_refuse)), streams.close)


def _receiver(
    name: str, settings: IngestSettings, reach: Reach, outlet: Outlet, load: Load
) -> Receiver:
    channels = by_endpoint(name)
    handshake = any(channel.challenge for channel in channels)
    allow, headers, limit = "GET, POST" if handshake else "POST", {}, settings.max_body_bytes
    if name == WEB:
        allow, headers, limit = "GET, POST, OPTIONS", CORS, min(limit, MAX_BODY_BYTES)
    return Receiver(
        Endpoint(name, channels, load, allow=allow, headers=headers),
        reach,
        outlet,
        load,
        max_body_bytes=limit,
        read_timeout_s=settings.read_timeout_s,
    )


async def _refuse(_request: web.BaseRequest, _key: str, _started: float) -> Outcome:
    raise Refused("unknown_path")


class _Connection:
    """Keeps the bus and the directory: ingest outlives whatever happens to them."""

    def __init__(
        self, settings: IngestSettings, sealer: Sealer, reach: Reach, spool: Spool
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._erased = asyncio.Event()
        self._sealer = sealer
        self._reach = reach
        self._leave = asyncio.Event()
        self.refused = asyncio.Event()
        self.refusal: SettingsError | None = None

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Connect in the background; at the end let the bus confirm what is on its way."""
        task = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            self._leave.set()
            patience_s = hand_over_s(self._settings.drain_s)
            await asyncio.wait({task}, timeout=patience_s if self._reach.connected else 0)
            await end(task)

    async def _keep(self) -> None:
        while not self._leave.is_set():
            try:
                await self._connect()
            except SettingsError as error:
                self.refusal = error
                self.refused.set()
                return
            except Exception as error:  # noqa: BLE001 (whatever it is, webhooks go to the spool)
                reason = f"{type(error).__name__}: {error}"
                log.error("ingest.bus_failed", extra={"reason": reason})  # noqa: TRY400
                await asyncio.sleep(CONNECT_AGAIN_S)

    async def _connect(self) -> None:
        settings = self._settings
        cache = Path(settings.spool_dir) / CACHE
        keys = erasure_keys(settings.secret_key)
        async with (
            open_bus(
                settings.nats_url,
                name="ingest",
                publish_timeout_s=settings.publish_timeout_s,
                replicas=settings.stream_replicas,
            ) as bus,
            measuring(lambda: bus),
            watched(bus, self._sealer, cache=cache, policies=False) as directory,
            watched_erased(bus, keys, self._erased.set) as erased,
            _running(self._sift(erased)),
            watched_presence(bus) as presences,
        ):
            await _first(erased.complete.wait(), self._leave.wait())  # before any replay
            self._reach.erased = erased
            self._reach.bus = bus
            self._reach.directory = directory
            self._reach.presences = presences
            try:
                await self._leave.wait()
            finally:
                self._reach.bus = None

    async def _sift(self, erased: Erased) -> None:
        """Delete what was set aside of those who are erased, for as long as the bus is there."""
        while True:
            await self._erased.wait()
            self._erased.clear()
            try:
                await self._spool.sift(partial(kept, erased))
            except OSError as error:
                log.error("spool.unsifted", extra={"reason": error.strerror})  # noqa: TRY400
                await asyncio.sleep(CONNECT_AGAIN_S)
                self._erased.set()


@asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await end(task)


async def _first(*events: Coroutine[None, None, bool]) -> None:
    tasks = [asyncio.create_task(event) for event in events]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await end(*tasks)
