"""Every replica of every service is restarted under load, and nobody notices."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.stack import until
from tests.nats_server import NatsProcess
from tests.rolling.checks import check_all
from tests.rolling.fleet import PUBLIC, SERVICES, Fleet, fleet
from tests.rolling.load import Load, Reading
from tests.soak import SOAK, sized

pytestmark = pytest.mark.chaos

ROUNDS = sized(1, 12)


async def test_c06_d14_i17_every_replica_is_restarted_under_load(
    tmp_path: Path, nats_process: NatsProcess
) -> None:
    async with fleet(tmp_path / "fleet", nats_process) as found:
        load = Load(found.stack)
        try:
            await load.begin()
            visitors = [load.read_as_visitor(number) for number in load.web_visitors()]
            sessions = await load.sessions()
            watched = "&".join(f"open={one}" for one in sessions)
            agent = load.read(
                f"/api/v1/inbox/stream?{watched}", found.stack.agent("owner")["token"]
            )
            alerts = load.read("/api/v1/alerts/stream", found.stack.agent("lead")["token"])
            await restart_all(found)
            await load.stop()
            await check_all(load)
            await check_streams(load, visitors, agent, alerts)
        finally:
            await load.close()
        assert not [line for line in found.logs() if str(line["event"]).endswith("bug")]


async def restart_all(found: Fleet) -> None:
    """Restart one replica after another, services in turn.

    Every one that people and providers are connected to; of the others one, but for a soak.
    """
    for _ in range(ROUNDS):
        for service in SERVICES:
            many = len(found.of(service)) if SOAK or service in PUBLIC else 1
            for one in found.of(service)[:many]:
                await one.restart(found.stack.http)
                await asyncio.sleep(0.3)


async def check_streams(
    load: Load, visitors: list[Reading], agent: Reading, alerts: Reading
) -> None:
    """Streams were ended with times to come back, came back, and missed nothing."""
    told = {text for _, text in load.replied} | set(load.scheduled)
    timelines = await load.timelines()
    for number, reading in zip(load.web_visitors(), visitors, strict=True):
        own = f"v{load.run}{number}"
        said = {text for _, visitor, text in load.said if visitor == own}
        mine = next(t for t in timelines.values() if any(one["text"] in said for one in t))
        expected = Counter(one["text"] for one in mine if one["text"] in told)

        async def all_told(reading: Reading = reading, expected: Counter[str] = expected) -> bool:
            return shown(reading) >= expected

        await until(all_told, "what the visitor was told", within_s=10)
        assert {t: n for t, n in shown(reading).items() if t in told} == dict(expected)
    ids = {one["text"]: one["id"] for each in timelines.values() for one in each}
    seen = {data["message"] for name, data in agent.events if name == "entry"}
    order = [ids[text] for _, _, text in load.said]
    since = next(n for n, message in enumerate(order) if message in seen)
    assert set(order[since:]) <= seen
    assert since < len(order) // 2
    for reading in (*visitors, agent, alerts):
        assert set(reading.statuses) == {200}, reading.statuses
        assert reading.statuses[200] > 1, "it was never ended"
        assert [ms for ms in reading.retries if ms != 2000], "told when to come back"
    assert not [data for name, data in agent.events if name == "reset"]


def shown(reading: Reading) -> Counter[str]:
    """Count the texts that a visitor's page was shown."""
    return Counter(
        part["text"]
        for name, data in reading.events
        if name == "message"
        for part in data.get("parts", ())
        if part.get("text")
    )
