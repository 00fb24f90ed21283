"""Several replicas of one consumer: even shares, one server of a partition at a time, takeover."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from libs.common.bus.client import Bus, open_bus
from libs.common.bus.delivery import Delivery, Outcome
from libs.common.bus.options import Observed
from libs.common.subjects import Stream
from tests.bus import replica
from tests.bus.kit import Seen, batches, eventually, fill, lanes, quick

ROOT = Path(__file__).parents[2]


class Line(msgspec.Struct, array_like=True, order=True):
    at_ns: int
    partition: int
    sequence: int
    body: str


class Replica:
    """A process that consumes, and what it wrote down."""

    def __init__(self, url: str, stream: Stream, path: Path) -> None:
        self._path = path
        path.touch()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bus.replica", url, stream.name, str(path)], cwd=ROOT
        )

    def lines(self) -> list[Line]:
        rows = (row.split() for row in self._path.read_text().splitlines())
        return [Line(int(r[0]), int(r[1]), int(r[2]), r[3]) for r in rows if len(r) == 4]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(15)


@pytest.fixture
def start(nats_url: str, stream: Stream, tmp_path: Path) -> Iterator[list[Replica]]:
    replicas = [Replica(nats_url, stream, tmp_path / f"replica-{n}") for n in range(2)]
    yield replicas
    for each in replicas:
        each.kill()


def violations(lines: list[Line]) -> int:
    """Count deliveries that came behind a later one of their partition."""
    highest: dict[int, int] = defaultdict(int)
    found = 0
    for line in sorted(lines):
        found += line.sequence < highest[line.partition]
        highest[line.partition] = max(highest[line.partition], line.sequence)
    return found


async def _trickle(bus: Bus, stream: Stream, count: int, start: int = 0) -> None:
    """Publish so slowly that both replicas are at work at the same time."""
    for first in range(start, start + count, 100):
        await fill(bus, stream, [(n % 16, "k") for n in range(first, first + 100)], start=first)
        await asyncio.sleep(0.02)


@pytest.mark.chaos
async def test_two_processes_share_evenly_keep_order_and_one_takes_over_from_the_dead(
    bus: Bus, stream: Stream, start: list[Replica]
) -> None:
    one, two = start
    await _wait_for_shares(bus, stream, one, two)
    before = len(one.lines()) + len(two.lines())
    await _trickle(bus, stream, 5000, start=100_000)
    await eventually(lambda: len(one.lines()) + len(two.lines()) >= before + 5000, within_s=20)
    steady = [line for each in start for line in each.lines() if int(line.body) >= 100_000]
    assert len(steady) == 5000
    assert violations(steady) == 0
    shares = [{line.partition for line in each.lines()[-2000:]} for each in start]
    assert [len(share) for share in shares] == [8, 8]
    assert not shares[0] & shares[1]

    trickling = asyncio.create_task(_trickle(bus, stream, 3000, start=200_000))
    await asyncio.sleep(0.2)
    one.kill()
    killed = time.monotonic_ns()
    await trickling
    wanted = {str(body) for body in range(200_000, 203_000)}

    def all_there() -> bool:
        return wanted <= {line.body for each in start for line in each.lines()}

    await eventually(all_there, within_s=20)
    first: dict[int, float] = {}
    for line in sorted(two.lines()):
        if line.at_ns > killed and line.partition in shares[0]:
            first.setdefault(line.partition, (line.at_ns - killed) / 1e9)
    assert set(first) == shares[0]
    print(f"took over within {min(first.values()):.2f} to {max(first.values()):.2f} s")  # noqa: T201
    assert max(first.values()) < replica.PIN_TTL_S + 2
    assert two.stop() == 0


async def _wait_for_shares(bus: Bus, stream: Stream, one: Replica, two: Replica) -> None:
    """Publish until each replica serves eight partitions; that must be within 10 s."""
    async with asyncio.timeout(30):
        for round_ in range(1000):
            await fill(bus, stream, [(p, "k") for p in range(16)], start=round_ * 16)
            await asyncio.sleep(0.2)
            recent = [{line.partition for line in each.lines()[-16:]} for each in (one, two)]
            if [len(share) for share in recent] == [8, 8]:
                return


async def test_a_newcomer_gets_its_share_and_hands_it_back_when_it_leaves(
    nats_url: str, bus: Bus, stream: Stream
) -> None:
    first, second = Observed(), Observed()
    seen = Seen()

    async with (
        open_bus(nats_url, name="other", provision=False) as other,
        batches(bus, stream, seen.batch, quick(observe=first, pin_ttl_s=90.0)),
    ):
        await fill(bus, stream, [(p, "k") for p in range(16)])
        await eventually(lambda: first.handled == 16)
        async with batches(other, stream, seen.batch, quick(observe=second, pin_ttl_s=90.0)):
            await eventually(lambda: (first.partitions, second.partitions) == (8, 8))
            await fill(bus, stream, [(p % 16, "k") for p in range(320)], start=16)
            await eventually(lambda: first.handled + second.handled == 336)
            assert second.handled == 160
        await fill(bus, stream, [(p, "k") for p in range(16)], start=336)
        await eventually(lambda: first.handled == 192)  # long before the other's pins run out
    assert Counter(seen.bodies) == Counter(map(str, range(352)))


async def test_a_rolling_restart_under_load_loses_doubles_and_swaps_nothing(
    nats_url: str, bus: Bus, stream: Stream
) -> None:
    seen = Seen()

    async def work(delivery: Delivery) -> Outcome:
        await asyncio.sleep(0.001)
        return await seen.lane(delivery)

    publishing = asyncio.create_task(_trickle(bus, stream, 4000))
    async with open_bus(nats_url, name="other", provision=False) as other:
        async with lanes(bus, stream, work):
            await eventually(lambda: len(seen.bodies) > 200)
            async with lanes(other, stream, work):
                await asyncio.sleep(1.0)
        async with lanes(bus, stream, work):
            await publishing
            await eventually(lambda: len(seen.bodies) >= 4000, within_s=40)
    assert Counter(seen.bodies) == Counter(map(str, range(4000)))
    swapped = 0
    for partition in range(16):
        own = [d.sequence for d in seen.deliveries if d.partition == partition]
        swapped += sum(later < earlier for earlier, later in pairwise(own))
    assert swapped == 0


async def test_after_a_kill_a_lone_restart_of_batches_does_not_wait_for_the_pin(
    nats_url: str, bus: Bus, stream: Stream, tmp_path: Path
) -> None:
    dead = Replica(nats_url, stream, tmp_path / "replica")
    await fill(bus, stream, [(p, "k") for p in range(16)])
    await eventually(lambda: len(dead.lines()) == 16)
    dead.kill()
    seen = Seen()
    started = time.monotonic()
    options = quick(ack_wait_s=replica.ACK_WAIT_S, pin_ttl_s=replica.PIN_TTL_S)
    async with batches(bus, stream, seen.batch, options):
        await fill(bus, stream, [(p, "k") for p in range(16)], start=16)
        await eventually(lambda: len(seen.bodies) >= 16)
    assert time.monotonic() - started < replica.PIN_TTL_S


async def test_one_replica_more_than_partitions_stands_by(
    nats_url: str, bus: Bus, stream: Stream
) -> None:
    where = stream.subjects[0].split(".")[0]
    first, second = Observed(), Observed()
    seen = Seen()
    only = (f"{where}.0.*",)

    async with (
        open_bus(nats_url, name="other", provision=False) as other,
        batches(bus, stream, seen.batch, quick(filters=only, observe=first)),
        batches(other, stream, seen.batch, quick(filters=only, observe=second)),
    ):
        await eventually(lambda: first.partitions + second.partitions == 1)
        await fill(bus, stream, [(0, "k")] * 50)
        await eventually(lambda: len(seen.bodies) == 50)
        assert sorted([first.handled, second.handled]) == [0, 50]
