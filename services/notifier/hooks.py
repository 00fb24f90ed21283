"""Webhooks out: customers' systems are told what happens, beside all else that goes out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import msgspec

from libs.common import subjects
from libs.common.bus.client import Bus
from libs.common.bus.options import Options
from libs.common.bus.shared import consume_shared
from libs.common.store.api import Store
from libs.common.subjects import ALERTS, EVENTS, TIMERS
from libs.common.webhook_queue import CHANGES
from services.notifier.hooks_call import Reach
from services.notifier.hooks_endpoints import Endpoints
from services.notifier.hooks_event import Events
from services.notifier.hooks_health import Health
from services.notifier.hooks_intake import Intake
from services.notifier.hooks_lane import Lanes, Pace
from services.notifier.hooks_mend import Mender
from services.notifier.hooks_send import Sender

DURABLE = "hooks"
ALERTS_DURABLE = "hooks-alerts"
DUE_DURABLE = "hooks-due"
HELD = 4000
"""What is due and in hand: those that wait for a place of their endpoint, `Pace.waiting` each."""
ACK_WAIT_S = 2.0
"""How soon another takes over from one that died; a sign of life is given three times as often."""


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """How files are named: keys of links, and the address at which the world reaches us."""

    keys: Sequence[bytes]
    public_url: str


@asynccontextmanager
async def hooking(  # noqa: PLR0913 (what it stands on)
    bus: Bus,
    store: Store,
    reach: Reach,
    files: Files,
    *,
    workspaces: Callable[[], Iterable[str]],
    stop: asyncio.Event,
    pace: Pace | None = None,
) -> AsyncIterator[None]:
    """Tell endpoints beside the block, until *stop*; the block's end waits for it.

    Args:
        bus: Where facts, alerts and timers are.
        store: Has sessions, messages, the record, and `WEBHOOKS_OUT` open.
        reach: What calling needs.
        files: How files are named.
        workspaces: Returns those to look at for what was left behind.
        stop: Ends it: calls under way get 8 s.
        pace: How much at once.

    Raises:
        PermanentError: JetStream refuses a consumer.
    """
    endpoints = Endpoints(store)
    lanes = Lanes(pace or Pace(), time.monotonic)
    events = Events(store, files.keys, files.public_url)
    intake = Intake(bus, store, endpoints, events, reach.now)
    health = Health(bus, store, endpoints, reach.now)
    sender = Sender(bus, store, endpoints, lanes, reach=reach, health=health)
    mender = Mender(bus, store, endpoints, lanes, workspaces=workspaces, now=reach.now)
    unlisten = await bus.listen(CHANGES, lambda subject, _: endpoints.forget(_workspace(subject)))
    work = (
        (EVENTS, DURABLE, intake.fact, "ev.>", 64),
        (ALERTS, ALERTS_DURABLE, intake.alert, subjects.alert("webhook", "*", "*"), 64),
        (TIMERS, DUE_DURABLE, sender.handle, subjects.dues("webhook"), HELD),
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(mender.run(stop))
            for stream, durable, handle, subject, at_once in work:
                tasks.create_task(
                    consume_shared(
                        bus,
                        stream,
                        durable,
                        handle,
                        subject=subject,
                        stop=stop,
                        service="notifier",
                        at_once=at_once,
                        options=Options(ack_wait_s=ACK_WAIT_S),
                    )
                )
            yield
    finally:
        await unlisten()


def _workspace(subject: str) -> str:
    return subject.rsplit(".", 1)[1]
