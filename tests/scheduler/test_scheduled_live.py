"""Scheduled messages at their time, with processes that are killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.nats_server import NatsProcess
from tests.router.processes import Process
from tests.scheduler.plant import Plant, check_once, plant_on, sent_of
from tests.scheduler.rig import in_s, late
from tests.soak import sized

TIMERS = sized(300, 10_000)
"""Messages of the chaos run."""
A_SECOND = sized(30, 120)
KILLS = sized(5, 25)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plant]:
    """One installation for this module; a test leaves all of its processes running."""
    async with plant_on(tmp_path_factory.mktemp("plant")) as made:
        yield made


@pytest.mark.asyncio(loop_scope="module")
async def test_b25_fires_once_within_a_second_with_one_of_three_schedulers_killed(
    plant: Plant,
) -> None:
    docs = await plant.plan(200, in_s(1.5), 4.0, name="b25-")
    await asyncio.sleep(3.5)
    await asyncio.to_thread(plant.schedulers[1].kill)
    await plant.settled(30)
    await check_once(plant, docs)
    due = {doc.id: doc.due_at for doc in docs}
    late_s = [
        (message.received_at - due[sent_of(message)]).total_seconds()
        for message in await plant.messages()
    ]
    assert min(late_s) >= 0.0
    nearly_all = sorted(late_s)[len(late_s) * 97 // 100]  # the rest is for a busy machine
    assert nearly_all <= 1.0, late(late_s)
    assert max(late_s) <= 3.0, late(late_s)
    await asyncio.to_thread(plant.schedulers[1].start)


@pytest.mark.asyncio(loop_scope="module")
async def test_c04_of_many_timers_none_is_lost_or_doubled_whatever_is_killed(plant: Plant) -> None:
    """Schedulers, the router and the server itself are killed at random while timers are due."""
    chance = random.Random(4)  # noqa: S311 (whom to kill, no secret)
    docs = await plant.plan(TIMERS, in_s(1.0 + TIMERS / 2000), TIMERS / A_SECOND, name="c04-")
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.3, 1.2) * TIMERS / A_SECOND / KILLS)
        await asyncio.to_thread(_kill_one, plant, chance)
    await plant.settled(60 + TIMERS / 50)
    await check_once(plant, docs)


def _kill_one(plant: Plant, chance: random.Random) -> None:
    """Kill one and start it again: a scheduler mostly."""
    victims: list[Process | NatsProcess] = [*plant.schedulers, plant.router, plant.nats]
    victim = chance.choice(victims)
    victim.kill()
    victim.start()
