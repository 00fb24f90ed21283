"""Wiring of Web Push: what it is made of, and the two consumers of ALERTS that it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from libs.common import subjects
from libs.common.bus.client import Bus
from libs.common.bus.options import Options
from libs.common.bus.shared import consume_shared
from libs.common.config import NotifierSettings
from libs.common.http import Door
from libs.common.push_keys import vapid_keys
from libs.common.pushes import PushHosts
from libs.common.seal import Sealer
from libs.common.store.api import Store
from libs.common.subjects import ALERTS
from services.notifier.faults import Bounded
from services.notifier.push_sign import Signer, contact_of
from services.notifier.push_worker import Means, Pusher

TRIES = 100_000
"""Pushes end by being stale, not by the number of their tries."""
ACK_WAIT_S = 2.0
"""What a killed replica had begun comes to another one so soon."""
LAID_OUT_AT_ONCE = 64
PUSHED_AT_ONCE = 256


@asynccontextmanager
async def pushing(
    settings: NotifierSettings,
    parts: tuple[Bus, Store, Sealer, Door],
    zone_of: Callable[[str], str],
    stop: asyncio.Event,
) -> AsyncIterator[None]:
    """Push alerts to browsers until *stop*, beside the block; *zone_of* a workspace is its zone.

    Raises:
        SettingsError: A key, or a host of pushes, cannot be used.
        PermanentError: JetStream refuses a consumer.
    """
    bus, store, sealer, door = parts
    contact = contact_of(settings.mail_from, settings.public_url)
    means = Means(
        bus=bus,
        store=store,
        door=door,
        sealer=sealer,
        signer=Signer(vapid_keys(settings.secret_key), contact, _now),
        allowed=PushHosts(settings.push_hosts),
        now=_now,
        clock=time.monotonic,
        zone_of=zone_of,
    )
    pusher = Pusher(means)
    options = Options(tries=TRIES, backoff=lambda _failures: 0.0, ack_wait_s=ACK_WAIT_S)
    work = (
        ("push", pusher.lay_out, LAID_OUT_AT_ONCE),
        ("device", pusher.push, PUSHED_AT_ONCE),
    )
    async with asyncio.TaskGroup() as tasks:
        for sink, handle, at_once in work:
            tasks.create_task(
                consume_shared(
                    bus,
                    ALERTS,
                    f"sink-{sink}",
                    Bounded(handle),
                    subject=subjects.alert(sink, "*", "*"),
                    stop=stop,
                    service="notifier",
                    at_once=at_once,
                    options=options,
                )
            )
        yield


def _now() -> datetime:
    return datetime.now(UTC)
