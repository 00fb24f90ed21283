"""An older copy of the store beside the streams of today: what is missing comes back, once."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from libs.common.bus.client import Bus, open_bus
from libs.common.cli.backup import copy_sqlite
from libs.common.documents import COLLECTIONS
from libs.common.later import SCHEDULED
from libs.common.store.api import Page
from libs.common.store.open import open_store
from libs.common.subjects import ALERTS, OUTBOUND, TIMERS
from services.scheduler.means import Means
from services.scheduler.reconcile import LATE_S, Reconciler
from tests.e2e.stack import Stack, until
from tests.forge import begin
from tests.nats_server import NatsProcess
from tests.rolling.checks import check_all
from tests.rolling.fleet import Fleet, fleet
from tests.rolling.load import Load
from tests.soak import sized

pytestmark = pytest.mark.chaos

BEFORE_S = sized(3, 30)
BEHIND_S = sized(3, 60)
SETTLED_S = sized(1, 40)
"""In a soak the schedulers' own passes come round meanwhile; else they are made here."""
BEFORE = ("ingest",)
FIRST = ("router", "desk")
LAST = ("notifier", "scheduler")


async def test_d14_h10_an_older_store_is_brought_up_to_the_streams_and_nothing_is_sent_again(
    tmp_path: Path, nats_process: NatsProcess
) -> None:
    copy = tmp_path / "copy.db"
    async with (
        fleet(tmp_path / "fleet", nats_process, each=1) as found,
        open_bus(nats_process.url, name="test") as bus,
    ):
        load = Load(found.stack)
        try:
            await load.begin()
            await asyncio.sleep(BEFORE_S)
            copy_sqlite(tmp_path / "fleet" / "relaydesk.db", copy)  # while all goes on
            said_before = len(load.said)
            await asyncio.sleep(BEHIND_S)
            await load.stop()
            await check_all(load)
        finally:
            await load.close()
        assert len(load.said) > said_before
        before, sent, alerts = (
            await told(load),
            await at_providers(found.stack),
            await bus.end_of(ALERTS),
        )
        await put_back(found, copy, tmp_path / "fleet" / "relaydesk.db")
        await start(found, BEFORE)
        assert await pending(found), "some were scheduled when the copy was made"
        await replay(found, tmp_path)
        assert await pending(found) == [], "all of them had gone out"
        await start(found, FIRST)
        await start(found, LAST)
        await say_all_again(found, bus)
        await until(lambda: same(load, before), "the ledger of before", within_s=30)
        await asyncio.sleep(SETTLED_S)
        assert await told(load) == before
        assert await at_providers(found.stack) == sent
        assert await bus.end_of(ALERTS) == alerts


async def told(load: Load) -> Counter[tuple[Any, ...]]:
    """Return every message of every session, as people see it."""
    timelines = await load.timelines()
    return Counter(
        (session, one["id"], one["direction"], one["text"])
        for session, each in timelines.items()
        for one in each
    )


async def same(load: Load, before: Counter[tuple[Any, ...]]) -> bool:
    return await told(load) == before


async def at_providers(stack: Stack) -> Counter[tuple[str, str]]:
    """Return how often each text reached each provider."""
    found: Counter[tuple[str, str]] = Counter()
    for account in stack.demo["accounts"]:
        slug = account["slug"]
        found.update((slug, item["text"]) for item in await stack.sent(slug))
    return found


async def pending(found: Fleet) -> list[str]:
    """Return the scheduled messages that stand as not sent."""
    async with open_store(found.settings["RELAYDESK_STORE_URL"], COLLECTIONS) as store:
        page = Page(order="due", limit=100)
        return [one.name for one in await store.find(SCHEDULED, "demo", {"state": "pending"}, page)]


async def say_all_again(found: Fleet, bus: Bus) -> None:
    """Do at once what comes round in time: outboxes of the copy said again, what is late armed.

    A day later the server does not know the ids of messages any more, so other ids are used here.
    """
    for request in await bus.read(OUTBOUND, "out.>", limit=1000):
        await bus.publish(request.subject, request.data, msg_id=f"again-{request.sequence}")
    async with open_store(found.settings["RELAYDESK_STORE_URL"], COLLECTIONS) as store:
        means = SimpleNamespace(
            bus=bus, store=store, now=lambda: datetime.now(UTC) + timedelta(seconds=LATE_S)
        )
        reconciler = Reconciler(cast("Means", means))
        await reconciler.reconcile()
        assert await reconciler.late()
    await until(lambda: all_taken(bus), "the sender has taken them", within_s=30)


async def all_taken(bus: Bus) -> bool:
    """Tell whether nothing waits on the streams that make something go out."""
    jetstream = bus.connection.jetstream()
    readers = [
        one for stream in (OUTBOUND, TIMERS) for one in await jetstream.consumers_info(stream.name)
    ]
    return not any((one.num_pending or 0) + (one.num_ack_pending or 0) for one in readers)


async def put_back(found: Fleet, copy: Path, store: Path) -> None:
    """Stop everything and put the copy in the place of the store."""
    await asyncio.gather(*(one.stop() for one in found.replicas))
    for path in store.parent.glob(f"{store.name}*"):
        path.unlink()
    copy.replace(store)


async def start(found: Fleet, services: tuple[str, ...]) -> None:
    for service in services:
        for one in found.of(service):
            await one.start()
            await one.ready(found.stack.http)
    await asyncio.sleep(1.2)  # the front has seen it as well


async def replay(found: Fleet, folder: Path) -> None:
    """Run `relaydesk replay --all`."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")}
    log = folder / "replay.log"
    with log.open("wb") as output:
        process = begin(
            "libs.common.cli.main",
            *("replay", "--all", "--rate", "0", "--settle-s", "0"),
            environ={**clean, **found.settings},
            output=output,
        )
    assert await asyncio.wait_for(process.wait(), 60) == 0, log.read_text()[-2000:]
