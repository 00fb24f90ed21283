"""Many scheduled messages due at one moment: how long they take, and what those who write notice.

A router and a scheduler as processes, SQLite, the server with default sync.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from bench import ingest
from libs.common import armed, subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.documents import COLLECTIONS, DIRECTORY, SYSTEM, DirectoryEntry
from libs.common.embedded import embedded_nats
from libs.common.events import Fact, Inbound, MessageReceived, TextPart
from libs.common.ids import derive_id
from libs.common.later import SCHEDULED, ScheduledMessage
from libs.common.seal import new_key_setting
from libs.common.store.api import Store
from libs.common.store.open import open_store

WORKSPACE = "bench"
ACCOUNT = "bench-line"
DUE = int(os.environ.get("BENCH_OVERDUE", "3000"))
BURST = 500
"""Due at one moment on an ordinary day, as at nine o'clock sharp."""
PROBES_A_SECOND = 20
QUIET_S = 5.0
ORDINARY = "the pace that is set"
PACES = {ORDINARY: "300", "no pace but what the router bears": "0"}


class Probe:
    """A visitor's message now and then, and how long each takes to be stored."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._sent: dict[str, float] = {}
        self._took: list[float] = []
        self._number = 0

    def hear(self, _subject: str, data: bytes) -> None:
        fact = msgspec.json.decode(data, type=Fact)
        if began := self._sent.pop(fact.message, None):
            self._took.append(time.perf_counter() - began)

    async def keep(self) -> None:
        while True:
            await self._write()
            await asyncio.sleep(1 / PROBES_A_SECOND)

    async def _write(self) -> None:
        self._number += 1
        now, key = datetime.now(UTC), f"probe-{self._number}"
        event = MessageReceived(
            event_id=key,
            visitor=f"P{self._number}",
            occurred_at=now,
            message_id=key,
            parts=(TextPart(text="hello"),),
        )
        inbound = Inbound(
            workspace=WORKSPACE,
            channel="line",
            account=ACCOUNT,
            ingest_id="i",
            received_at=now,
            event=event,
        )
        self._sent[derive_id("msg", WORKSPACE, ACCOUNT, key)] = time.perf_counter()
        subject = subjects.inbound(WORKSPACE, "line", ACCOUNT, event.visitor)
        await self._bus.publish(subject, msgspec.json.encode(inbound), msg_id=key)

    def told(self) -> str:
        """Return what was measured since the last time."""
        took, self._took = self._took, []
        cut = statistics.quantiles(took, n=100)
        return f"inbound p50 {cut[49] * 1e3:.0f} ms, p99 {cut[98] * 1e3:.0f} ms of {len(took)}"


def _doc(name: str, due: datetime) -> ScheduledMessage:
    return ScheduledMessage(
        id=name,
        workspace=WORKSPACE,
        name="",
        contact=name,
        account=ACCOUNT,
        channel="line",
        visitor=name,
        author="ann",
        parts=(TextPart(text="Your parcel"),),
        local="",
        zone="UTC",
        due_at=due,
        fires_at=due,
        created_at=due,
        updated_at=due,
    )


async def _plan(bus: Bus, store: Store, run: str, count: int, due: datetime) -> None:
    docs = [_doc(f"{run}{number}", due) for number in range(count)]
    for start in range(0, count, 1000):
        await store.insert_many(SCHEDULED, docs[start : start + 1000])
    await asyncio.gather(*(armed.publish(bus, armed.timer_of(SCHEDULED, doc, 1)) for doc in docs))


async def _drained(store: Store) -> None:
    left = 1
    while left:
        await asyncio.sleep(0.1)
        left = await store.count(SCHEDULED, WORKSPACE, {"state": "pending"}, limit=1)


async def main() -> None:
    """Print what inbound notices while nothing is due, and at each pace."""
    print(f"\n## {DUE:,} scheduled messages due at one moment: router, scheduler, SQLite\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with AsyncExitStack() as opened:
            url = await opened.enter_async_context(
                embedded_nats(folder / "nats", sync_always=False)
            )
            settings = {
                "RELAYDESK_NATS_URL": url,
                "RELAYDESK_SECRET_KEY": new_key_setting(),
                "RELAYDESK_STORE_URL": f"sqlite:///{folder / 'bench.db'}",
            }
            bus = await opened.enter_async_context(
                open_bus(url, name="bench", publish_timeout_s=30)
            )
            store = await opened.enter_async_context(
                open_store(settings["RELAYDESK_STORE_URL"], COLLECTIONS)
            )
            known = DirectoryEntry(
                id=f"workspace:{WORKSPACE}",
                workspace=SYSTEM,
                kind="workspace",
                targets=(WORKSPACE,),
            )
            await store.insert(DIRECTORY, known)
            environ = {**settings, "RELAYDESK_PORT_FILE": str(folder / "router.json")}
            router = ingest.started("router", ["-m", "services.router"], environ, folder, core=None)
            await opened.enter_async_context(router)
            await asyncio.sleep(2.0)  # the router takes its partitions
            await _measure(bus, store, settings, folder)


async def _measure(bus: Bus, store: Store, settings: dict[str, str], folder: Path) -> None:
    probe = Probe(bus)
    stop = await bus.listen(f"ev.{WORKSPACE}.message.stored.*", probe.hear)
    probing = asyncio.create_task(probe.keep())
    await asyncio.sleep(QUIET_S)
    print(f"nothing due: {probe.told()}")
    for number, (name, pace) in enumerate(PACES.items()):
        environ = {
            **settings,
            "RELAYDESK_PORT_FILE": str(folder / f"scheduler{number}.json"),
            "RELAYDESK_OVERDUE_PER_S": pace,
        }
        await _plan(bus, store, f"r{number}-", DUE, datetime.now(UTC) - timedelta(seconds=1))
        probe.told()
        scheduler = ["-m", "services.scheduler"]
        async with ingest.started(f"scheduler{number}", scheduler, environ, folder, core=None):
            began = time.perf_counter()
            await _drained(store)
            took_s = time.perf_counter() - began
            print(f"{name}: {DUE / took_s:,.0f} a second; meanwhile {probe.told()}")
            if pace == PACES[ORDINARY]:
                await _burst(bus, store, probe)
    probing.cancel()
    await stop()


async def _burst(bus: Bus, store: Store, probe: Probe) -> None:
    """Have a scheduler that runs already meet many that are due at one moment, on time."""
    due = datetime.now(UTC) + timedelta(seconds=3)
    await _plan(bus, store, "burst-", BURST, due)
    await asyncio.sleep((due - datetime.now(UTC)).total_seconds())
    probe.told()
    await _drained(store)
    took_s = (datetime.now(UTC) - due).total_seconds()
    print(f"{BURST} due at one moment, on time: all sent after {took_s:.1f} s; {probe.told()}")
