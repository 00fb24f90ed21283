"""Schedulers as processes on a real server; a stand-in for the routers keeps what is due."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pytest

from libs.common.bus.client import Bus, open_bus
from libs.common.subjects import DEAD, TIMERS
from tests.bus.kit import eventually
from tests.nats_server import NatsProcess
from tests.router.processes import Process
from tests.scheduler.rig import Sessions, arm, in_s, late, running, scheduler, timer


@pytest.fixture
async def bus(nats_process: NatsProcess) -> AsyncIterator[Bus]:
    async with open_bus(nats_process.url, name="t", publish_timeout_s=5.0) as made:
        yield made


def metric(process: Process, name: str) -> float:
    """Return the sum of a metric's values."""
    port = msgspec.json.decode(process.ports.read_bytes())["admin"]
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    values = re.findall(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+-]+)$", text, re.MULTILINE)
    return sum(map(float, values))


def nearly_all(sessions: Sessions) -> float:
    """Return within how many seconds nine of ten acted; the rest allow for a busy machine."""
    return sorted(sessions.late_s.values())[len(sessions.late_s) * 9 // 10]


async def test_i14_due_timers_fire_within_a_second(
    bus: Bus, nats_process: NatsProcess, tmp_path: Path
) -> None:
    """Armed anew, taken back and gone ones do what they should; all is counted."""
    one = scheduler("one", tmp_path, nats_process.url)
    sessions = Sessions(bus)
    async with running(one), sessions.serve():
        await sessions.arm(*(timer(f"s{n}", in_s(1.0 + n * 0.02)) for n in range(50)))
        await sessions.arm(timer("moved", in_s(0.5)))
        sessions.due["moved"] = in_s(2.0)  # in the store only: armed again when it comes
        await sessions.arm(timer("taken-back", in_s(0.5)))
        del sessions.due["taken-back"]
        sessions.gone.add("gone")
        await arm(bus, timer("gone", in_s(0.5)))
        await eventually(lambda: not sessions.due, 20)
        await eventually(lambda: metric(one, "relaydesk_scheduler_in_flight") == 0, 5)
        assert sessions.acted == {f"s{n}": 1 for n in range(50)} | {"moved": 1}
        assert nearly_all(sessions) <= 1.0, late([*sessions.late_s.values()])
        assert metric(one, "relaydesk_scheduler_fired_total") == 53
        assert metric(one, "relaydesk_scheduler_gone_total") == 1
        assert metric(one, "relaydesk_scheduler_late_seconds_count") == 53
        assert metric(one, "relaydesk_scheduler_lag") == 0
    assert await bus.read(DEAD, "dead.>") == []


async def test_i14_three_replicas_share_and_one_killed_loses_and_doubles_nothing(
    bus: Bus, nats_process: NatsProcess, tmp_path: Path
) -> None:
    three = [scheduler(name, tmp_path, nats_process.url) for name in ("a", "b", "c")]
    sessions = Sessions(bus)
    sessions.slow_s = 0.02
    async with running(*three), sessions.serve():
        armed = [timer(f"s{n}", in_s(1.0 + n * 0.01)) for n in range(300)]
        await sessions.arm(*armed)
        await eventually(lambda: len(sessions.acted) >= 100, 20)
        await asyncio.to_thread(three[1].kill)
        await eventually(lambda: not sessions.due, 40)
        shares = [metric(p, "relaydesk_scheduler_fired_total") for p in (three[0], three[2])]
        assert min(shares) > 0
    assert sessions.acted == {one.session: 1 for one in armed}
    assert nearly_all(sessions) <= 1.0, late([*sessions.late_s.values()])


async def test_overdue_after_an_outage_of_schedulers_and_routers_fire_once(
    bus: Bus, nats_process: NatsProcess, tmp_path: Path
) -> None:
    """No scheduler while they are due; then one, but no router; then both."""
    one = scheduler("one", tmp_path, nats_process.url)
    sessions = Sessions(bus)
    await sessions.arm(*(timer(f"s{n}", in_s(0.2)) for n in range(40)))
    await asyncio.sleep(1.0)
    async with running(one):
        await eventually(lambda: metric(one, "relaydesk_scheduler_waits_total") >= 40, 20)
        async with sessions.serve():
            began = time.monotonic()
            await eventually(lambda: not sessions.due, 20)
            assert time.monotonic() - began <= 8.0  # the longest pause between tries is 5 s
            await eventually(lambda: metric(one, "relaydesk_scheduler_in_flight") == 0, 5)
        assert metric(one, "relaydesk_scheduler_buried_total") == 0
    assert sessions.acted == {f"s{n}": 1 for n in range(40)}


async def test_i17_told_to_stop_it_finishes_and_leaves_the_rest_to_the_next(
    bus: Bus, nats_process: NatsProcess, tmp_path: Path
) -> None:
    one, two = (scheduler(name, tmp_path, nats_process.url) for name in ("one", "two"))
    sessions = Sessions(bus)
    sessions.slow_s = 1.0
    async with running(one), sessions.serve():
        await sessions.arm(*(timer(f"s{n}", in_s(0.2)) for n in range(300)))
        await eventually(lambda: len(sessions.acted) >= 50, 20)
        began = time.monotonic()
        assert await asyncio.to_thread(one.stop) == 0
        assert time.monotonic() - began <= 10.0
        assert sessions.asked < 300
        sessions.slow_s = 0.0
        async with running(two):
            await eventually(lambda: not sessions.due, 20)
    assert set(sessions.acted.values()) == {1}
    assert len(sessions.acted) == 300
    assert sessions.asked <= 300 + 64  # what ran at the stop may have been repeated


async def test_the_whole_stream_lost_the_scheduler_goes_on_with_what_is_armed_next(
    bus: Bus, nats_process: NatsProcess, tmp_path: Path
) -> None:
    one = scheduler("one", tmp_path, nats_process.url)
    sessions = Sessions(bus)
    async with running(one), sessions.serve():
        await bus.asker.api(f"STREAM.DELETE.{TIMERS.name}")
        bus.look_now()
        await asyncio.sleep(1.0)
        await sessions.arm(timer("after", in_s(0.2)))
        await eventually(lambda: sessions.acted["after"] == 1, 30)


async def test_i14_a_router_that_takes_its_time_is_asked_once_for_each(
    bus: Bus, nats_process: NatsProcess, tmp_path: Path
) -> None:
    """What is in hand is alive, however long the answer takes: no other replica gets it."""
    two = [scheduler(name, tmp_path, nats_process.url) for name in ("a", "b")]
    sessions = Sessions(bus)
    sessions.slow_s = 2.5
    async with running(*two), sessions.serve():
        armed = [timer(f"s{n}", in_s(0.5)) for n in range(20)]  # fewer than one has room for
        await sessions.arm(*armed)
        await eventually(lambda: not sessions.due, 60)
        await asyncio.sleep(1.5)  # a repeat would come by now
    assert sessions.acted == {one.session: 1 for one in armed}
    assert sessions.asked <= 20 * 1.2  # a busy machine may hold up a sign of life
