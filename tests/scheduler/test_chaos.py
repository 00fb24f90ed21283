"""Ten thousand timers, and whatever is killed meanwhile; a stand-in router keeps what is due."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from libs.common.bus.client import open_bus
from tests.bus.kit import eventually
from tests.nats_server import NatsProcess
from tests.router.processes import Process
from tests.scheduler.rig import Sessions, in_s, running, scheduler, timer
from tests.soak import sized

TIMERS = sized(10_000, 100_000)
OVER_S = TIMERS / 1000
PLAN = ("scheduler", "router", "nats", "scheduler", "router", "scheduler")
"""Who is killed, one after the other, while the timers are due."""


async def test_c04_of_ten_thousand_timers_none_is_lost_or_doubled(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    chance = random.Random(10)  # noqa: S311 (no secret)
    three = [scheduler(name, tmp_path, nats_process.url) for name in ("a", "b", "c")]
    async with open_bus(nats_process.url, name="t", publish_timeout_s=20.0) as bus:
        sessions = Sessions(bus)
        sessions.dies = 0.01
        async with running(*three):
            first = in_s(1.0 + TIMERS / 4000)
            armed = [
                timer(f"s{n}", in_s((first - in_s(0)).total_seconds() + n * OVER_S / TIMERS))
                for n in range(TIMERS)
            ]
            for start in range(0, TIMERS, 1000):
                await sessions.arm(*armed[start : start + 1000])
            for victim in PLAN:
                async with sessions.serve():
                    await asyncio.sleep(chance.uniform(0.5, 1.0) * OVER_S / len(PLAN))
                    if victim != "router":
                        await asyncio.to_thread(_kill, nats_process, chance.choice(three), victim)
                await asyncio.sleep(0.5 if victim == "router" else 0.0)
            async with sessions.serve():
                await eventually(lambda: not sessions.due, 60)
    assert len(sessions.acted) == TIMERS
    assert set(sessions.acted.values()) == {1}


def _kill(nats: NatsProcess, one: Process, victim: str) -> None:
    killed: Process | NatsProcess = nats if victim == "nats" else one
    killed.kill()
    killed.start()
