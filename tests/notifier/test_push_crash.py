"""Two notifiers, one killed as it pushes: nothing is lost, only what was under way comes twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from services.notifier.push_hosts import AT_ONCE
from tests.nats_server import NatsProcess
from tests.notifier.push_rig import push_stage
from tests.notifier.rig import spawned, until

AGENTS = 10
ALERTS = 15


async def test_a_killed_notifier_loses_no_push_and_doubles_only_what_was_under_way(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    async with push_stage(nats_process.url, tmp_path) as rig:
        agents = [f"agent{n}" for n in range(AGENTS)]
        for agent in agents:
            await rig.hire(agent)
            await rig.subscribe(agent, agent)
        rig.sink.takes_s = 0.05
        async with (
            spawned(rig, tmp_path, "one") as one,
            spawned(rig, tmp_path, "two"),
        ):
            alerts = [await rig.raises(agent) for _ in range(ALERTS) for agent in agents]

            async def some() -> bool:
                return len(rig.sink.got) >= 20

            await until(some, "the first pushes")
            await one.kill()

            async def all_there() -> bool:
                there = {(pushed.browser, pushed.shown["id"]) for pushed in rig.sink.got}
                return there == {(alert.agent, alert.id) for alert in alerts}

            await until(all_there, "every alert in its browser", within_s=60)
            await asyncio.sleep(0.5)
        times = Counter(pushed.shown["id"] for pushed in rig.sink.got)
        assert max(times.values()) <= 2
        doubled = [id_ for id_, count in times.items() if count > 1]
        assert len(doubled) <= 2 * AT_ONCE  # called, and answered but not settled yet
        assert {len(rig.sink.of(agent)) >= ALERTS for agent in agents} == {True}
