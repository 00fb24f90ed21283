"""Wiring of the notifier: what starts, in which order, and how it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import msgspec

from libs.common.bot_answers import Means as BotMeans
from libs.common.bus.client import Bus, open_bus
from libs.common.bus.consume import consume_lanes
from libs.common.bus.delivery import Delivery
from libs.common.bus.options import Options
from libs.common.channels import CHANNELS
from libs.common.config import NotifierSettings
from libs.common.directory import Directory, watched
from libs.common.documents import COLLECTIONS
from libs.common.files.links import link_keys
from libs.common.files.open import open_files
from libs.common.http import Door, open_door
from libs.common.parts import Parts, run_parts, store_when_there
from libs.common.pushes import PushHosts
from libs.common.recorder import Recorder, recording
from libs.common.seal import Sealer
from libs.common.store.api import Store
from libs.common.subjects import OUTBOUND
from libs.common.targets import check_stand_in
from services.notifier import metrics
from services.notifier.alerting import alerting
from services.notifier.asking import asking
from services.notifier.bots import answering
from services.notifier.bots_call import Reach
from services.notifier.content import Content
from services.notifier.gates import Gates
from services.notifier.hooks import Files, hooking
from services.notifier.hooks_call import Reach as HookReach
from services.notifier.ledger import Ledger
from services.notifier.mail import check_mail, mailing_alerts
from services.notifier.mail_people import mailing_letters
from services.notifier.media import fetching
from services.notifier.media_fetch import Means
from services.notifier.offline_start import awaiting
from services.notifier.pushing import pushing
from services.notifier.sender import Sender
from services.notifier.sends_ledger import sends_ledger
from services.notifier.signals import showing
from services.notifier.standing import Standings, looking
from services.notifier.tokens import Tokens
from services.notifier.unhealthy import Unhealthy, telling
from services.notifier.work import Limits, Outside

HELD = 8000
"""Messages held at once, waiting ones included; about 4 KiB each. An account with more than a
quarter of these waiting in one partition delays the others there."""
_SESSION = 3


async def serve(settings: NotifierSettings, stop: asyncio.Event) -> None:
    """Send until *stop*; then finish the calls in flight, at most 8 s.

    NATS and the store may be away at the start: it is alive then, and not ready.

    Raises:
        SettingsError: A key, the store's URL or the NATS server is not as it must be.
    """
    sealer = Sealer.from_setting(settings.secret_key)
    check_mail(settings)
    PushHosts(settings.push_hosts)
    check_stand_in(settings.stand_in)
    parts = Parts()
    await run_parts(settings, parts, stop, partial(_connect, settings, sealer, parts, stop))


async def _connect(
    settings: NotifierSettings, sealer: Sealer, parts: Parts, stop: asyncio.Event
) -> None:
    async with AsyncExitStack() as opened:
        parts.bus = bus = await opened.enter_async_context(
            open_bus(settings.nats_url, name="notifier", replicas=settings.stream_replicas)
        )
        parts.store = store = await store_when_there(
            opened,
            settings.store_url,
            COLLECTIONS,
        )
        parts.directory = directory = await opened.enter_async_context(watched(bus, sealer))
        parts.begun = True
        await opened.enter_async_context(sends_ledger(bus, store, settings.secret_key, _now))
        if await _complete(directory, stop):
            await _send(settings, (bus, store, directory, sealer), stop)


async def _complete(directory: Directory, stop: asyncio.Event) -> bool:
    """Wait for the accounts; tell whether they came before the stop."""
    waits = [asyncio.create_task(event.wait()) for event in (directory.complete, stop)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    return not stop.is_set()


async def _send(
    settings: NotifierSettings,
    parts: tuple[Bus, Store, Directory, Sealer],
    stop: asyncio.Event,
) -> None:
    bus, store, directory, sealer = parts
    recorder = Recorder("notifier")
    async with (
        open_files(settings.files_url, settings.store_url) as files,
        open_door(files=files, stand_in=settings.stand_in) as door,
        recording(recorder, lambda: bus),
        _gates(stop) as gates,
        _standings((bus, directory), gates, recorder) as standings,
        asking(bus, directory.accounts, door, _now, settings.provider_timeout_s),
    ):
        outside = Outside(
            bus=bus,
            door=door,
            ledger=Ledger(store, now=_now, stopping=stop.is_set),
            tokens=Tokens(bus, sealer, now=_now, expires=recorder.token),
            gates=gates,
            standings=standings,
            content=Content(store, link_keys(settings.secret_key), settings.public_url),
            channels=CHANNELS,
            account=directory.account,
            now=_now,
        )
        limits = Limits(call_timeout_s=settings.provider_timeout_s, tries=settings.send_tries)
        means = Means(
            door=door,
            files=files,
            tokens=outside.tokens,
            channels=CHANNELS,
            account=directory.account,
            max_bytes=settings.media_max_bytes,
            call_s=settings.provider_timeout_s,
        )
        tenants = partial(_workspaces, directory)
        async with (
            showing(outside),
            fetching(bus, store, means, tenants, _now, stop),
            _bots(settings, (bus, store, sealer), door, stop),
            alerting(bus, store, directory, _now, stop),
            mailing_alerts(settings, (bus, store, directory), stop) as mailer,
            mailing_letters(bus, sealer, mailer, _now, stop),
            awaiting(settings, (bus, store, directory), mailer, stop) as waiting,
            pushing(settings, (bus, store, sealer, door), partial(_zone_of, directory), stop),
            _hooks(settings, (bus, store, sealer, door), tenants, stop),
        ):
            sender = Sender(msgspec.structs.replace(outside, shown=waiting.shown), limits)
            await consume_lanes(
                bus,
                OUTBOUND,
                "sender",
                sender.handle,
                lane=session_of,
                stop=stop,
                service="notifier",
                in_flight=HELD,  # the gates limit what runs; who waits must take no one's place
                max_pending=HELD,
                behind=sender.behind,
                options=Options(observe=metrics.Lanes()),
            )


def _hooks(
    settings: NotifierSettings,
    parts: tuple[Bus, Store, Sealer, Door],
    tenants: Callable[[], Iterable[str]],
    stop: asyncio.Event,
) -> AbstractAsyncContextManager[None]:
    bus, store, sealer, door = parts
    reach = HookReach(door=door, sealer=sealer, local=settings.local_webhooks, now=_now)
    files = Files(keys=link_keys(settings.secret_key), public_url=settings.public_url)
    return hooking(bus, store, reach, files, workspaces=tenants, stop=stop)


def _bots(
    settings: NotifierSettings,
    parts: tuple[Bus, Store, Sealer],
    door: Door,
    stop: asyncio.Event,
) -> AbstractAsyncContextManager[None]:
    bus, store, sealer = parts
    reach = Reach(
        door=door,
        sealer=sealer,
        timeout_s=settings.provider_timeout_s,
        local=settings.local_bots,
        stop=stop,
        now=_now,
    )
    means = BotMeans(
        bus=bus, store=store, channels=CHANNELS, linkable=bool(settings.public_url), now=_now
    )
    return answering(reach, means, link_keys(settings.secret_key), settings.public_url)


@asynccontextmanager
async def _standings(
    parts: tuple[Bus, Directory], gates: Gates, recorder: Recorder
) -> AsyncIterator[Standings]:
    bus, directory = parts
    unhealthy = Unhealthy(bus, recorder.writer)
    standings = Standings(directory.account, gates, recorder, _now, unhealthy.turned)
    async with telling(unhealthy), looking(standings):
        yield standings


@asynccontextmanager
async def _gates(stop: asyncio.Event) -> AsyncIterator[Gates]:
    """Open the gates, and close them as soon as the service stops."""
    gates = Gates(first=1)

    async def close() -> None:
        await stop.wait()
        gates.close()

    closing = asyncio.create_task(close())
    try:
        yield gates
    finally:
        closing.cancel()
        gates.close()


def _zone_of(directory: Directory, workspace: str) -> str:
    return directory.settings(workspace).zone


def _workspaces(directory: Directory) -> frozenset[str]:
    return frozenset(account.workspace for account in directory.accounts())


def session_of(delivery: Delivery) -> str:
    """Return the lane: `out.<partition>.<account>.<session>`."""
    return delivery.subject.split(".")[_SESSION]


def _now() -> datetime:
    return datetime.now(UTC)
