"""Records are stored within the deadline, whatever JetStream and the disk do."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import pytest

from libs.common.bus.client import Bus
from libs.common.bus.delivery import PubAck
from libs.common.directory import Directory
from libs.common.errors import BusUnavailableError, PermanentError
from libs.common.rawlog import SPOOLED
from services.ingest.outlet import Outlet
from services.ingest.reach import Reach
from services.ingest.record import Record
from services.ingest.replay import replay
from services.ingest.spool import SpoolUnavailableError, open_spool

RECORDS = [Record("raw.w.line.a", "i/0", {}, b"raw"), Record("in.1.w.line.a", "w/a/1", {}, b"{}")]
ROOM = 1 << 24

Behave = Callable[["FakeBus", str, "asyncio.Future[PubAck]"], None]


class FakeBus:
    """Confirms, refuses or keeps silent; what it leaves open fails in time, like the real one."""

    def __init__(self, behave: Behave, timeout_s: float = 0.3) -> None:
        self.behave = behave
        self.connected = True
        self.stored: list[str] = []
        self.asked = 0
        self.spooled: set[str] = set()
        """Message ids that were told to have waited in the spool."""
        self._timeout_s = timeout_s

    def publish_soon(
        self, _subject: str, _data: bytes, *, msg_id: str, headers: Mapping[str, str]
    ) -> asyncio.Future[PubAck]:
        if SPOOLED in headers:
            self.spooled.add(msg_id)
        self.asked += 1
        future: asyncio.Future[PubAck] = asyncio.get_running_loop().create_future()
        self.behave(self, msg_id, future)
        asyncio.get_running_loop().call_later(self._timeout_s, _give_up, future)
        return future


def _give_up(future: asyncio.Future[PubAck]) -> None:
    if not future.done():
        future.set_exception(BusUnavailableError("silence"))


def confirm(bus: FakeBus, msg_id: str, future: asyncio.Future[PubAck]) -> None:
    duplicate = msg_id in bus.stored
    if not duplicate:
        bus.stored.append(msg_id)
    future.set_result(PubAck(len(bus.stored), duplicate))


def refuse(_bus: FakeBus, _msg_id: str, future: asyncio.Future[PubAck]) -> None:
    future.set_exception(BusUnavailableError("no room"))


def silence(_bus: FakeBus, _msg_id: str, _future: asyncio.Future[PubAck]) -> None:
    """Say nothing."""


def store_and_be_silent(bus: FakeBus, msg_id: str, _future: asyncio.Future[PubAck]) -> None:
    bus.stored.append(msg_id)


def refuse_events(bus: FakeBus, msg_id: str, future: asyncio.Future[PubAck]) -> None:
    (refuse if msg_id == RECORDS[1].msg_id else confirm)(bus, msg_id, future)


def every_40th_refused() -> Behave:
    counter = itertools.count()

    def behave(bus: FakeBus, msg_id: str, future: asyncio.Future[PubAck]) -> None:
        (refuse if next(counter) % 40 == 39 else confirm)(bus, msg_id, future)

    return behave


def never(_bus: FakeBus, msg_id: str, future: asyncio.Future[PubAck]) -> None:
    future.set_exception(PermanentError(f"{msg_id} is too large"))


CASES: dict[str, tuple[Behave, bool, int, int]] = {
    "all confirmed: nothing in the spool": (confirm, True, 2, 0),
    "refused: all in the spool": (refuse, True, 0, 2),
    "silent: all in the spool": (silence, True, 0, 2),
    "one refused: only that one in the spool": (refuse_events, True, 1, 1),
    "not connected: all in the spool, JetStream is not asked": (confirm, False, 0, 2),
}


@pytest.mark.parametrize(("behave", "connected", "stored", "spooled"), CASES.values(), ids=CASES)
async def test_store(
    tmp_path: Path, behave: Behave, connected: bool, stored: int, spooled: int
) -> None:
    bus = FakeBus(behave)
    bus.connected = connected
    async with open_spool(tmp_path, ROOM) as spool:
        outlet = Outlet(reach_of(bus), spool, publish_timeout_s=0.3)
        assert await outlet.store(RECORDS, loop_time()) is (spooled > 0)
        assert len(bus.stored) == stored
        oldest = await spool.oldest()
        kept = oldest[1][0].records if oldest else []
        assert kept is not None
        assert kept == (RECORDS[-spooled:] if spooled else [])


async def test_nobody_waits_twice_for_the_same_fault(tmp_path: Path) -> None:
    bus = FakeBus(silence)
    async with open_spool(tmp_path, ROOM) as spool:
        outlet = Outlet(reach_of(bus), spool, publish_timeout_s=0.3)
        await outlet.store(RECORDS, loop_time())
        for _ in range(20):
            assert await outlet.store(RECORDS, loop_time())
        assert bus.asked == 2


async def test_after_a_replay_publishing_is_direct_again(tmp_path: Path) -> None:
    bus = FakeBus(store_and_be_silent)
    reach = reach_of(bus)
    async with open_spool(tmp_path, ROOM) as spool:
        outlet = Outlet(reach, spool, publish_timeout_s=0.3)
        worker = asyncio.create_task(replay(spool, reach, outlet))
        assert await outlet.store(RECORDS, loop_time())
        bus.behave = confirm
        await until(lambda: not spool.filled.is_set())
        assert bus.stored == [r.msg_id for r in RECORDS]  # replayed under the same ids: once
        assert bus.spooled == set(bus.stored), "a trace tells that they waited"
        assert not await outlet.store(RECORDS, loop_time())
        worker.cancel()


async def test_what_a_replay_could_not_publish_stays_and_is_tried_again(tmp_path: Path) -> None:
    bus = FakeBus(refuse)
    reach = reach_of(bus)
    async with open_spool(tmp_path, ROOM) as spool:
        outlet = Outlet(reach, spool, publish_timeout_s=0.3)
        names = [f"i-{number}/0" for number in range(100)]
        for name in names:
            await spool.append([Record("raw.w.line.a", name, {}, b"raw")])
        worker = asyncio.create_task(replay(spool, reach, outlet))
        await until(lambda: bus.asked > 0)
        assert spool.record_count == 100
        bus.behave = every_40th_refused()
        await until(lambda: not spool.filled.is_set())
        assert sorted(bus.stored) == sorted(names)
        worker.cancel()


async def test_a_message_that_is_never_taken_does_not_block_the_spool(tmp_path: Path) -> None:
    bus = FakeBus(never)
    reach = reach_of(bus)
    async with open_spool(tmp_path, ROOM) as spool:
        outlet = Outlet(reach, spool, publish_timeout_s=0.3)
        assert await outlet.store(RECORDS[:1], loop_time())
        worker = asyncio.create_task(replay(spool, reach, outlet))
        await until(lambda: not spool.filled.is_set())
        worker.cancel()
    assert (tmp_path / "refused").stat().st_size > 0


async def test_a_stalled_bus_is_asked_again_when_the_spool_is_full(tmp_path: Path) -> None:
    bus = FakeBus(refuse)
    async with open_spool(tmp_path, 1 << 20) as spool:
        outlet = Outlet(reach_of(bus), spool, publish_timeout_s=0.3)
        big = [Record("raw.w.line.a", "big/0", {}, bytes(2 << 20))]
        for _ in range(2):
            with pytest.raises(SpoolUnavailableError):
                await outlet.store(big, loop_time())
        bus.behave = confirm
        assert not await outlet.store(big, loop_time())


async def test_i7_a_hanging_disk_is_an_honest_refusal_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = FakeBus(silence, timeout_s=0.7)
    real = os.fdatasync

    def slow(file: int) -> None:
        time.sleep(1.5)
        real(file)

    async with open_spool(tmp_path, ROOM) as spool:
        outlet = Outlet(reach_of(bus), spool, publish_timeout_s=0.7)
        monkeypatch.setattr(os, "fdatasync", slow)
        started = time.monotonic()
        with pytest.raises(SpoolUnavailableError):
            await outlet.store(RECORDS, loop_time())
        assert time.monotonic() - started < 1.8


async def test_i7_a_body_that_came_slowly_leaves_less_time_for_jetstream(tmp_path: Path) -> None:
    bus = FakeBus(silence, timeout_s=0.7)
    async with open_spool(tmp_path, ROOM) as spool:
        outlet = Outlet(reach_of(bus), spool, publish_timeout_s=0.7)
        started = time.monotonic()
        assert await outlet.store(RECORDS, loop_time() - 1.1)
        assert time.monotonic() - started < 0.5


def reach_of(bus: FakeBus) -> Reach:
    reach = Reach(cast(Directory, None))
    reach.bus = cast(Bus, bus)
    return reach


def loop_time() -> float:
    return asyncio.get_running_loop().time()


async def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
