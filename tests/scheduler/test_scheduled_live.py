"""Scheduled messages at their time, with processes that are killed."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

from tests.nats_server import NatsProcess
from tests.router.processes import Process
from tests.scheduler.plant import Plant, check_once, plant_on
from tests.scheduler.rig import in_s, late

TIMERS = int(os.environ.get("CHAOS_TIMERS", "1000"))
"""Messages of the chaos run; a soak takes ten times as many."""
A_SECOND = 120
KILLS = max(6, TIMERS // 400)


async def test_b25_fires_once_within_a_second_with_one_of_three_schedulers_killed(
    tmp_path: Path,
) -> None:
    async with plant_on(tmp_path) as plant:
        docs = await plant.plan(300, in_s(2.0), 6.0)
        await asyncio.sleep(5.0)
        await asyncio.to_thread(plant.schedulers[1].kill)
        await plant.settled(30)
        await check_once(plant, docs)
        due = {doc.id: doc.due_at for doc in docs}
        late_s = [
            (message.received_at - due[message.origin.partition(":")[2]]).total_seconds()
            for message in await plant.messages()
        ]
        assert min(late_s) >= 0.0
        nearly_all = sorted(late_s)[len(late_s) * 97 // 100]  # the rest is for a busy machine
        assert nearly_all <= 1.0, late(late_s)
        assert max(late_s) <= 3.0, late(late_s)


async def test_c04_of_many_timers_none_is_lost_or_doubled_whatever_is_killed(
    tmp_path: Path,
) -> None:
    """Schedulers, the router and the server itself are killed at random while timers are due."""
    chance = random.Random(4)  # noqa: S311 (whom to kill, no secret)
    async with plant_on(tmp_path) as plant:
        docs = await plant.plan(TIMERS, in_s(1.0 + TIMERS / 2000), TIMERS / A_SECOND)
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
