"""Very many due at one moment, and those who write meanwhile: a router and three schedulers.

`pytest -s` shows the figures.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest
import pytest_asyncio

from libs.common import subjects
from libs.common.bus.client import Bus
from libs.common.events import Fact, Inbound, MessageReceived, TextPart
from libs.common.ids import derive_id
from tests.scheduler.plant import ACCOUNT, WORKSPACE, Plant, check_once, plant_on
from tests.scheduler.rig import in_s
from tests.soak import sized

DUE = sized(300, 20_000)
A_SECOND = 10
QUIET_S = 3.0
LONGEST_S = 1.5
"""What a visitor's message may take at most while a busy machine drains; alone it is 10 ms."""


class Writers:
    """Visitors who write at a steady rate; `took_s` has how long each took to be stored."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._sent: dict[str, float] = {}
        self._number = 0
        self.took_s: list[float] = []

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        stop = await self._bus.listen(f"ev.{WORKSPACE}.message.stored.*", self._hear)
        task = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            task.cancel()
            await stop()

    def taken(self) -> list[float]:
        """Return what was measured since the last time; who still waits counts by now."""
        now = time.perf_counter()
        took = self.took_s + [now - began for began in self._sent.values() if now - began > 1.0]
        self.took_s = []
        return sorted(took)

    def _hear(self, _subject: str, data: bytes) -> None:
        began = self._sent.pop(msgspec.json.decode(data, type=Fact).message, None)
        if began is not None:
            self.took_s.append(time.perf_counter() - began)

    async def _keep(self) -> None:
        while True:
            await self._write()
            await asyncio.sleep(1 / A_SECOND)

    async def _write(self) -> None:
        self._number += 1
        now, key = datetime.now(UTC), f"drain-{self._number}"
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plant]:
    async with plant_on(tmp_path_factory.mktemp("drain")) as made:
        yield made


def p99(took_s: list[float]) -> float:
    return took_s[len(took_s) * 99 // 100]


@pytest.mark.asyncio(loop_scope="module")
async def test_c04_many_due_in_one_second_drain_once_without_starving_inbound(
    plant: Plant,
) -> None:
    writers = Writers(plant.bus)
    async with writers.writing():
        await asyncio.sleep(QUIET_S)
        before = writers.taken()
        docs = await plant.plan(DUE, in_s(1.0 + DUE / 1000), 1.0, name="drain-")
        writers.taken()
        due = min(doc.due_at for doc in docs)
        await plant.settled(60 + DUE / 20)
        drained_s = (datetime.now(UTC) - due).total_seconds()
        meanwhile = writers.taken()
    print(  # noqa: T201 (asked for, with -s)
        f"\n{DUE} in {drained_s:.1f} s; inbound before: p50 {statistics.median(before):.3f}, "
        f"p99 {p99(before):.3f} s; meanwhile: p50 {statistics.median(meanwhile):.3f}, "
        f"p99 {p99(meanwhile):.3f} s of {len(meanwhile)}"
    )
    assert statistics.median(meanwhile) <= LONGEST_S
    assert p99(meanwhile) <= 4 * LONGEST_S
    await check_once(plant, docs)
