"""An older copy of the store beside the streams of today: what is missing comes back, once."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from libs.common.bus.client import open_bus
from libs.common.cli.backup import copy_sqlite
from libs.common.subjects import ALERTS
from tests.e2e.stack import Stack, until
from tests.forge import begin
from tests.nats_server import NatsProcess
from tests.rolling.checks import check_all
from tests.rolling.fleet import Fleet, fleet
from tests.rolling.load import Load
from tests.soak import sized

pytestmark = pytest.mark.chaos

BEFORE_S = sized(4, 30)
BEHIND_S = sized(5, 60)
SETTLED_S = 6.0
FIRST = ("ingest", "router", "desk")
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
        await start(found, FIRST)
        lost = before - await told(load)
        assert lost, "the copy is older"
        await replay(found, tmp_path)
        await start(found, LAST)
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
