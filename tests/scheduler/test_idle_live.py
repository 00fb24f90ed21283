"""Sessions that end by themselves, the whole way: schedulers and a router as processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from libs.common import subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.documents import COLLECTIONS
from libs.common.seal import new_key_setting
from libs.common.store.open import open_store
from libs.common.subjects import TIMERS
from tests.nats_server import NatsProcess
from tests.router.processes import Process
from tests.scheduler.idle_floor import Floor, ended_at, fastest, idle
from tests.scheduler.rig import Scheduler
from tests.soak import sized

MANY = sized(300, 10_000)
"""Sessions that are idle at the same time; 10,000 take two minutes."""
T = 3
PER_S = sized(50, 100)
LATE_S = 3.0
"""How far ends may bunch: the server's schedules come in bunches, and so does a busy machine."""


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("idle")
    nats = NatsProcess(folder / "nats")
    nats.start()
    yield {
        "RELAYDESK_NATS_URL": nats.url,
        "RELAYDESK_STORE_URL": f"sqlite:///{folder / 'store.db'}",
        "RELAYDESK_SECRET_KEY": new_key_setting(),
        "RELAYDESK_LOG_LEVEL": "info",
    }
    nats.stop()


@pytest.fixture(scope="module")
def processes(
    tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]
) -> Iterator[dict[str, Process]]:
    folder: Path = tmp_path_factory.mktemp("logs")
    made: dict[str, Process] = {
        "router": Process("router", folder, environ),
        "one": Scheduler("one", folder, environ),
        "two": Scheduler("two", folder, environ),
    }
    with ThreadPoolExecutor() as threads:
        list(threads.map(Process.start, made.values()))
    yield made
    with ThreadPoolExecutor() as threads:
        list(threads.map(Process.stop, made.values()))


@pytest.fixture
async def floor(processes: dict[str, Process], environ: dict[str, str]) -> AsyncIterator[Floor]:
    assert {name: process.ready()[0] for name, process in processes.items()} == dict.fromkeys(
        processes, 200
    )
    async with (
        open_bus(environ["RELAYDESK_NATS_URL"], name="test", publish_timeout_s=5.0) as bus,
        open_store(environ["RELAYDESK_STORE_URL"], COLLECTIONS) as store,
    ):
        made = Floor(bus, store)
        await made.furnish()
        yield made


async def armed(bus: Bus, ids: list[str], wanted: bool = True) -> None:
    """Wait until each session has its timer, or none has."""
    async with asyncio.timeout(30):
        while True:
            found = [await bus.newest(TIMERS, subjects.timer("idle_end", id_)) for id_ in ids]
            if all((data is not None) is wanted for data in found):
                return
            await asyncio.sleep(0.1)


async def test_a12_d07_old_sessions_end_paced_each_once_though_a_scheduler_is_killed(
    floor: Floor, processes: dict[str, Process]
) -> None:
    """Nothing before T since it was switched on; then as fast as is set, and all of them."""
    ids = await floor.old(MANY)
    since = await floor.set(idle(T), on=True, per_minute=60 * PER_S)
    await asyncio.sleep(T - 0.5)
    assert await floor.count() == 0
    patience_s = T + 3 * MANY / PER_S + 60  # a busy machine is slower
    await floor.all_ended(MANY // 4, patience_s)
    await asyncio.to_thread(processes["one"].kill)
    ended = await floor.all_ended(MANY, patience_s)
    await asyncio.to_thread(processes["one"].start)
    times = [ended_at(session) for session in ended]
    assert {session.id for session in ended} == set(ids)
    assert {session.end_reason for session in ended} == {"auto_terminated"}
    assert min(times) >= since + timedelta(seconds=T)
    assert fastest(times, 1.0) <= PER_S * (1 + LATE_S)
    assert MANY < 2000 or fastest(times, 10.0) <= PER_S * (11 + LATE_S)
    took_s = (max(times) - min(times)).total_seconds()
    assert took_s >= MANY / PER_S - 2
    assert await floor.told() == dict.fromkeys(ids, 1)


async def test_a12_switched_off_before_its_time_nothing_ends(floor: Floor) -> None:
    ids = await floor.old(100)
    await floor.set(idle(2), on=True)
    await armed(floor.bus, ids[:5])
    await floor.set(idle(2), on=False)
    await asyncio.sleep(2.5)
    assert await floor.count() == 0
    await armed(floor.bus, ids[:5], wanted=False)  # they came, and did nothing


async def test_switched_off_in_the_middle_of_the_pace_the_rest_stays(floor: Floor) -> None:
    await floor.old(60)
    await floor.set(idle(1), on=True, per_minute=600)
    await floor.all_ended(5, 20)
    await floor.set(idle(1), on=False)
    await asyncio.sleep(0.5)  # what is under way
    ended = await floor.count()
    await asyncio.sleep(2.0)
    assert await floor.count() == ended < 60


async def test_editing_the_policy_arms_again(floor: Floor) -> None:
    """A shorter time ends sooner than what was armed, counted from the change; a longer later."""
    ids = await floor.old(20)
    await floor.set(idle(3600), on=True)
    await armed(floor.bus, ids)
    await floor.set(idle(2), on=True)
    since = await floor.set(idle(3), on=True)
    ended = await floor.all_ended(20, 20)
    assert min(map(ended_at, ended)) >= since + timedelta(seconds=3)
    assert max(map(ended_at, ended)) <= since + timedelta(seconds=3 + LATE_S)


async def test_a_faster_pace_holds_for_those_that_wait_for_their_place(floor: Floor) -> None:
    await floor.old(40)
    since = await floor.set(idle(1), on=True, per_minute=6)
    await floor.all_ended(1, 20)
    await floor.set(idle(1), on=True, per_minute=1200, since=since)
    ended = await floor.all_ended(40, 20)
    assert max(map(ended_at, ended)) < since + timedelta(seconds=20)


async def test_a10_only_where_the_rules_say(floor: Floor) -> None:
    """Messenger and comments, with a bot or waiting; other channels and an agent's stay."""
    stay = [
        await floor.old(3, channel="line"),
        await floor.old(3, channel="web"),
        await floor.old(3, "assigned"),
    ]
    end = [
        *await floor.old(3),
        *await floor.old(3, "bot_hosted"),
        *await floor.old(3, "bot_hosted", "fb_comment"),
    ]
    await floor.set(idle(1, channels=("messenger", "fb_comment")), on=True)
    ended = await floor.all_ended(9, 20)
    await asyncio.sleep(1.0)
    assert {session.id for session in await floor.ended()} == set(end)
    assert len(ended) == 9
    assert sum(map(len, stay)) == 9


async def test_lost_timers_are_armed_again_when_a_scheduler_starts(
    floor: Floor, processes: dict[str, Process]
) -> None:
    """Those that are not due yet, and those that waited for their place."""
    await floor.old(10)
    await floor.set(idle(4), on=True)
    waiting = Floor(floor.bus, floor.store)
    await waiting.furnish()
    slow = await waiting.old(10)
    await waiting.set(idle(1), on=True, per_minute=150)
    await waiting.all_ended(2, 20)
    await floor.bus.asker.api("STREAM.DELETE.TIMERS")
    floor.bus.look_now()
    await floor.bus.end_of(TIMERS)
    await asyncio.to_thread(processes["two"].stop)
    await asyncio.to_thread(processes["two"].start)
    await floor.all_ended(10, 40)
    await waiting.all_ended(10, 40)
    assert await waiting.told() == dict.fromkeys(slow, 1)


async def test_an_unrelated_change_gives_nobody_a_place_further_behind(floor: Floor) -> None:
    await floor.old(14)
    rule = idle(1)
    since = await floor.set(rule, on=True, per_minute=120)
    await floor.all_ended(3, 20)
    for _ in range(5):
        await floor.set(rule, on=True, per_minute=120, since=since, undo_s=60)
        await floor.set(rule, on=True, per_minute=120, since=since)
    ended = await floor.all_ended(14, 40)
    assert max(map(ended_at, ended)) <= since + timedelta(seconds=1 + 7 + LATE_S)
