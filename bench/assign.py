"""The queue: from a freed place to the next waiting session at that agent, under load.

One router process on a real server and SQLite. All agents are full and many sessions wait; sessions
end at a steady rate while other visitors write. The time is from asking for the end until the fact
that tells of the next assignment to the same agent.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from collections import defaultdict, deque
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from bench.ingest import started
from libs.common.bus.client import Bus, open_bus
from libs.common.documents import COLLECTIONS, DIRECTORY, SYSTEM, DirectoryEntry
from libs.common.embedded import embedded_nats
from libs.common.events import Fact
from libs.common.policy import Member
from libs.common.seal import new_key_setting
from libs.common.store.open import open_store
from libs.common.switches import ChannelSettings, Settings
from tests.router.floor import Floor

AGENTS = 100
LIMIT = 3
WAITING = 500
ENDS_A_SECOND = 20
ENDS = 400
WRITES_A_SECOND = 100
_LONGEST_S = 60.0


class Times:
    """When a place of each agent became free, and how long until it was taken."""

    def __init__(self) -> None:
        self._freed: defaultdict[str, deque[float]] = defaultdict(deque)
        self.given: defaultdict[str, list[str]] = defaultdict(list)
        self.took_s: list[float] = []
        self._seen: set[str] = set()

    def free(self, agent: str) -> None:
        """Note that a place is asked to become free now."""
        self._freed[agent].append(time.perf_counter())

    def tell(self, _subject: str, data: bytes) -> None:
        """Take one fact of an assignment."""
        fact = msgspec.json.decode(data, type=Fact)
        if not fact.owner or fact.fact_id in self._seen:  # a repeat: the stream keeps it once
            return
        self._seen.add(fact.fact_id)
        self.given[fact.owner].append(fact.session)
        if self._freed[fact.owner]:
            self.took_s.append(time.perf_counter() - self._freed[fact.owner].popleft())


async def _write(floor: Floor, stop: asyncio.Event) -> None:
    """Let visitors of another channel write, whom a bot hosts."""
    number = 0
    while not stop.is_set():
        await floor.write(f"other{number % 200}", channel="web")
        number += 1
        await asyncio.sleep(1 / WRITES_A_SECOND)


async def _stay(floor: Floor) -> None:
    """Keep all agents online."""
    while True:
        await floor.present(*(member.id for member in floor.policy.members))
        await asyncio.sleep(20)


async def _end(floor: Floor, times: Times) -> None:
    """End sessions of agents by chance, at a steady rate."""
    asking: list[asyncio.Task[object]] = []
    began = time.perf_counter()
    for number in range(ENDS):
        await asyncio.sleep(max(0.0, began + number / ENDS_A_SECOND - time.perf_counter()))
        agent = random.choice([a for a, sessions in times.given.items() if sessions])
        times.free(agent)
        session = times.given[agent].pop(0)
        asking.append(asyncio.create_task(floor.done(floor.end(session, agent))))
    await asyncio.gather(*asking)


async def _floor(opened: AsyncExitStack, folder: Path) -> tuple[Floor, Bus]:
    url = await opened.enter_async_context(embedded_nats(folder / "nats", sync_always=False))
    store_url = f"sqlite:///{folder / 'bench.db'}"
    bus = await opened.enter_async_context(open_bus(url, name="bench", publish_timeout_s=30))
    store = await opened.enter_async_context(open_store(store_url, COLLECTIONS))
    floor = Floor(bus, store)
    name = floor.workspace
    entry = DirectoryEntry(
        id=f"workspace:{name}", workspace=SYSTEM, kind="workspace", targets=(name,)
    )
    await store.insert(DIRECTORY, entry)
    settings = Settings(
        auto_hosting=False,
        auto_assign=True,
        reopen="queue",
        channels={"web": ChannelSettings(auto_hosting=True, auto_assign=False)},
    )
    members = tuple(Member(id=f"a{n:03d}", limit=LIMIT) for n in range(AGENTS))
    await floor.change(settings=settings, members=members)
    environ = {
        "RELAYDESK_NATS_URL": url,
        "RELAYDESK_STORE_URL": store_url,
        "RELAYDESK_SECRET_KEY": new_key_setting(),
        "RELAYDESK_PORT_FILE": str(folder / "router.json"),
    }
    await opened.enter_async_context(started("router", ["-m", "services.router"], environ, folder))
    return floor, bus


async def main() -> None:
    """Print the percentiles."""
    print(f"\n## Queue: {AGENTS} agents of {LIMIT} sessions, all full, {WAITING} waiting\n")
    times, stop = Times(), asyncio.Event()
    with tempfile.TemporaryDirectory() as name:
        async with AsyncExitStack() as opened:
            floor, bus = await _floor(opened, Path(name))
            staying = asyncio.create_task(_stay(floor))
            await bus.listen(f"ev.{floor.workspace}.session.assigned.*", times.tell)
            began = time.perf_counter()
            visitors = [f"v{n}" for n in range(AGENTS * LIMIT + WAITING)]
            await asyncio.gather(*(floor.write(visitor) for visitor in visitors))
            while sum(map(len, times.given.values())) < AGENTS * LIMIT:
                await asyncio.sleep(0.05)
            print(f"all places given in {time.perf_counter() - began:.1f} s")
            await asyncio.sleep(2.0)
            writing = asyncio.create_task(_write(floor, stop))
            await _end(floor, times)
            async with asyncio.timeout(_LONGEST_S):
                while len(times.took_s) < ENDS:
                    await asyncio.sleep(0.05)
            stop.set()
            await writing
            staying.cancel()
    cut = statistics.quantiles(times.took_s, n=100)
    print(
        f"{ENDS} ends at {ENDS_A_SECOND}/s beside {WRITES_A_SECOND} messages/s: freed to assigned "
        f"p50 {cut[49] * 1e3:.0f} ms, p99 {cut[98] * 1e3:.0f} ms, longest "
        f"{max(times.took_s) * 1e3:.0f} ms   (target p99 < 1,000 ms)"
    )
