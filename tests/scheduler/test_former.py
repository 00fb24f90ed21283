"""A rolling upgrade from schedulers that shared TIMERS by partition, pinned to one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from libs.common.bus.client import Bus, open_bus
from libs.common.bus.consume import consume_lanes
from libs.common.bus.delivery import Ack, Delivery, Outcome
from libs.common.bus.options import Options
from libs.common.ids import PARTITIONS
from libs.common.subjects import TIMERS
from services.scheduler import former
from tests.bus.kit import eventually
from tests.nats_server import NatsProcess
from tests.scheduler.rig import Sessions, arm, in_s, running, scheduler, timer

DUES = tuple(f"due.{partition}.*.*" for partition in range(PARTITIONS))
OLD = {f"scheduler-{partition}" for partition in range(PARTITIONS)}


@pytest.fixture
async def bus(nats_process: NatsProcess) -> AsyncIterator[Bus]:
    async with open_bus(nats_process.url, name="t", publish_timeout_s=5.0) as made:
        yield made


class Older:
    """A scheduler of the former version; `fired` has the sessions whose timers it took."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.fired: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        consuming = consume_lanes(
            self._bus,
            TIMERS,
            "scheduler",
            self._take,
            lane=lambda delivery: delivery.subject,
            stop=stop,
            service="scheduler",
            options=Options(filters=DUES),
        )
        work = asyncio.create_task(consuming)
        try:
            yield
        finally:
            stop.set()
            await work

    async def _take(self, delivery: Delivery) -> Outcome:
        self.fired.append(delivery.subject.rpartition(".")[2])
        return Ack()


async def consumers(bus: Bus) -> set[str]:
    told = await bus.asker.api(f"CONSUMER.NAMES.{TIMERS.name}", {"offset": 0})
    return set(told["consumers"] or ())


async def test_what_a_former_scheduler_left_fires_and_what_it_settled_does_not(
    bus: Bus, nats_process: NatsProcess, tmp_path: Path
) -> None:
    older, sessions = Older(bus), Sessions(bus)
    async with older.running():
        await arm(bus, *(timer(f"settled{n}", in_s(0.1)) for n in range(40)))
        await eventually(lambda: len(older.fired) == 40, 30)
        await sessions.arm(timer("ahead", in_s(8.0)))
    await sessions.arm(timer("between", in_s(0.1)))  # no scheduler runs
    await asyncio.sleep(1.0)
    async with running(scheduler("new", tmp_path, nats_process.url)), sessions.serve():
        await eventually(lambda: sessions.acted == {"between": 1, "ahead": 1}, 30)
        assert sessions.asked < 30  # of the settled ones, those behind another that was not
        await eventually_none_of(bus, OLD)


async def test_former_consumers_stay_while_a_former_scheduler_asks_them(
    bus: Bus, nats_process: NatsProcess, tmp_path: Path
) -> None:
    """Both act on what is due, which has the effect of one."""
    older, sessions = Older(bus), Sessions(bus)
    async with running(scheduler("new", tmp_path, nats_process.url)), sessions.serve():
        async with older.running():
            await arm(bus, timer("warm", in_s(0.1)))
            await eventually(lambda: "warm" in older.fired, 30)
            await former.remove(bus.asker)
            assert await consumers(bus) >= OLD
            await sessions.arm(timer("both", in_s(0.2)))
            await eventually(lambda: "both" in older.fired and sessions.acted["both"] == 1, 30)
        await asyncio.sleep(2.0)  # what it asked for last runs out
        await former.remove(bus.asker)
        assert not await consumers(bus) & OLD
        await sessions.arm(timer("after", in_s(0.2)))
        await eventually(lambda: sessions.acted["after"] == 1, 20)


async def test_former_consumers_stay_where_the_new_ones_are_not_made_yet(bus: Bus) -> None:
    """Else it would not be known any more where those are to begin."""
    async with Older(bus).running():
        await asyncio.sleep(1.0)
    await asyncio.sleep(2.0)
    await former.remove(bus.asker)
    assert await consumers(bus) == OLD


async def eventually_none_of(bus: Bus, names: set[str]) -> None:
    """Wait until the server has none of these consumers."""
    async with asyncio.timeout(30):
        while await consumers(bus) & names:  # noqa: ASYNC110 (the server's state)
            await asyncio.sleep(0.2)
