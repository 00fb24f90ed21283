"""Router processes that are killed while they give sessions: limits hold, and places come right."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

from libs.common.bus.client import open_bus
from libs.common.commands import Done
from libs.common.documents import COLLECTIONS, DIRECTORY, SYSTEM, DirectoryEntry
from libs.common.errors import RetryableError
from libs.common.seal import new_key_setting
from libs.common.store.open import open_store
from tests.nats_server import NatsProcess
from tests.router.floor import Floor, Watch, team_of
from tests.router.processes import Process

LIMITS = {"amy": 3, "bob": 2, "cem": 1}
VISITORS = 24


async def end_some(floor: Floor, stop: asyncio.Event) -> None:
    """End what is assigned, one after another; a killed router may leave one unanswered."""
    while not stop.is_set():
        for sessions in (await floor.owned()).values():
            try:
                assert isinstance(await floor.ask(floor.end(next(iter(sessions)))), Done)
            except RetryableError:
                continue
        await asyncio.sleep(0.15)


async def test_routers_killed_while_they_give_sessions_exceed_no_limit_and_leak_no_place(
    nats_process: NatsProcess, ready_url: str, tmp_path: Path
) -> None:
    environ = {
        "RELAYDESK_NATS_URL": nats_process.url,
        "RELAYDESK_STORE_URL": ready_url,
        "RELAYDESK_SECRET_KEY": new_key_setting(),
        "RELAYDESK_LOG_LEVEL": "warning",
    }
    async with (
        open_bus(nats_process.url, name="test") as bus,
        open_store(ready_url, COLLECTIONS) as store,
    ):
        floor = Floor(bus, store)
        await store.insert(
            DIRECTORY,
            DirectoryEntry(
                id=f"workspace:{floor.workspace}",
                workspace=SYSTEM,
                kind="workspace",
                targets=(floor.workspace,),
            ),
        )
        await floor.change(members=team_of(**LIMITS))
        await floor.present(*LIMITS)
        routers = [Process(f"router{n}", tmp_path, environ) for n in range(2)]
        await asyncio.gather(*(asyncio.to_thread(router.start) for router in routers))
        watch = Watch(floor)
        work = [
            asyncio.create_task(watch.run()),
            asyncio.create_task(end_some(floor, watch.stop)),
        ]
        try:
            for router in routers:
                writing = asyncio.create_task(floor.write(*(f"v{n}" for n in range(VISITORS))))
                await asyncio.sleep(0.4)
                await asyncio.to_thread(router.kill)
                await floor.present(*LIMITS)
                await asyncio.to_thread(router.start)
                await writing
            watch.stop.set()
            await asyncio.gather(*work)
            await settled(floor)
        finally:
            watch.stop.set()
            codes = [await asyncio.to_thread(router.stop) for router in routers]
        assert codes == [0, 0]
        assert {agent: watch.most[agent] <= limit for agent, limit in LIMITS.items()} == (
            dict.fromkeys(LIMITS, True)
        )
        assert sum(watch.most.values()) > 0


async def settled(floor: Floor) -> None:
    """Wait until places are the sessions owned, and whoever waits waits for good reason."""
    deadline = time.monotonic() + 40
    while True:
        await floor.present(*LIMITS)
        owned, taken = await floor.owned(), await floor.places(list(LIMITS))
        lists = Counter(session.list for session in (await floor.sessions()).values())
        full = all(len(owned.get(agent, ())) == limit for agent, limit in LIMITS.items())
        if owned == taken and (full or not lists["unassigned"]) and lists.total() == VISITORS:
            return
        assert time.monotonic() < deadline, (owned, taken, lists)
        await asyncio.sleep(0.1)
