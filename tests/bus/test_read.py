"""Reading streams back and following them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Self

import pytest

from libs.common.bus.client import Bus, open_bus
from libs.common.bus.ordered import Reader
from libs.common.errors import BusUnavailableError
from libs.common.subjects import Stream
from tests.bus.kit import Cable, eventually, fill, patient_bus, reconnecting, subject
from tests.nats_server import NatsProcess


async def test_read_filters_starts_and_stops_where_told(bus: Bus, stream: Stream) -> None:
    await fill(bus, stream, [(number % 2, "k") for number in range(10)])

    async def bodies(where: str, **more: Any) -> list[int]:
        return [int(m.data) for m in await bus.read(stream, where, **more)]

    assert await bodies(stream.subjects[0]) == list(range(10))
    assert await bodies(subject(stream, 1)) == [1, 3, 5, 7, 9]
    assert await bodies(subject(stream, 1), limit=2) == [1, 3]
    assert await bodies(subject(stream, 1), from_sequence=5, limit=2) == [5, 7]
    assert await bodies(subject(stream, 1), from_sequence=99) == []
    assert await bodies(subject(stream, 9)) == []
    third = (await bus.read(stream, stream.subjects[0]))[3].stored_at_ns
    since = datetime.fromtimestamp(third / 1e9, UTC)
    assert 9 in await bodies(stream.subjects[0], since=since)
    assert 0 not in await bodies(stream.subjects[0], since=since)


async def test_read_of_a_missing_stream_is_empty(bus: Bus) -> None:
    assert await bus.read(Stream(name="NEVER", subjects=("never.*.*",)), "never.>") == []


async def test_what_vanishes_while_it_is_read_is_not_waited_for(
    bus: Bus, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(bus, stream, [(0, "k")] * 3)
    opened = Reader.open

    async def open_and_purge(reader: Reader) -> None:
        await opened(reader)
        await bus.asker.api(f"STREAM.PURGE.{stream.name}")

    monkeypatch.setattr(Reader, "open", open_and_purge)
    assert await bus.read(stream, stream.subjects[0]) == []


async def test_reading_leaves_no_consumer_behind(bus: Bus, stream: Stream) -> None:
    await fill(bus, stream, [(0, "k")])
    await bus.read(stream, stream.subjects[0])
    async with asyncio.timeout(30):  # nobody waits for the deletion
        while await _consumers(bus, stream):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _consumers(bus: Bus, stream: Stream) -> int:
    info = await bus.asker.api(f"STREAM.INFO.{stream.name}")
    return int(info["state"]["consumer_count"])


class Follower:
    """Collects what following yields."""

    def __init__(self, bus: Bus, stream: Stream, from_sequence: int | None) -> None:
        self.bodies: list[int] = []
        self._task = asyncio.create_task(self._run(bus, stream, from_sequence))

    async def _run(self, bus: Bus, stream: Stream, from_sequence: int | None) -> None:
        where = stream.subjects[0]
        async with aclosing(bus.follow(stream, where, from_sequence=from_sequence)) as messages:  # type: ignore[type-var]
            async for message in messages:
                self.bodies.append(int(message.data))

    async def __aenter__(self) -> Self:
        await asyncio.sleep(0.1)  # the place of "new ones only" is fixed by then
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


STARTS = {
    "new ones only": (None, [5, 6]),
    "from the beginning": (1, [0, 1, 2, 3, 4, 5, 6]),
    "from the middle": (4, [3, 4, 5, 6]),
}


@pytest.mark.parametrize(("start", "expected"), STARTS.values(), ids=STARTS)
async def test_follow_starts_where_told(
    bus: Bus, stream: Stream, start: int | None, expected: list[int]
) -> None:
    await fill(bus, stream, [(0, "k")] * 5)
    async with Follower(bus, stream, start) as follower:
        await fill(bus, stream, [(0, "k")] * 2, start=5)
        await eventually(lambda: follower.bodies == expected)


async def test_follow_reads_thousands_in_order(bus: Bus, stream: Stream) -> None:
    await fill(bus, stream, [(number % 16, "k") for number in range(3000)])
    async with Follower(bus, stream, 1) as follower:
        await eventually(lambda: len(follower.bodies) == 3000)
        assert follower.bodies == list(range(3000))


async def test_follow_misses_and_repeats_nothing_over_cuts(
    nats_url: str, bus: Bus, stream: Stream
) -> None:
    async with (
        Cable(nats_url) as cable,
        open_bus(cable.url, name="t", provision=False) as far,
        Follower(far, stream, 1) as follower,
    ):
        for cut in range(3):
            async with reconnecting(far):
                await fill(bus, stream, [(0, "k")] * 300, start=cut * 300)
                cable.cut()
        await eventually(lambda: len(follower.bodies) >= 900)
        assert follower.bodies == list(range(900))


async def test_follow_goes_on_over_a_kill_of_the_server(
    nats_process: NatsProcess, stream: Stream
) -> None:
    async with (
        patient_bus(nats_process.url, stream) as bus,
        Follower(bus, stream, None) as follower,
    ):
        await fill(bus, stream, [(0, "k")] * 50)
        await eventually(lambda: len(follower.bodies) == 50)
        async with reconnecting(bus):
            nats_process.kill()
            nats_process.start()
        await fill(bus, stream, [(0, "k")] * 50, start=50)
        await eventually(lambda: len(follower.bodies) >= 100)
        assert follower.bodies == list(range(100))


async def test_follow_begins_anew_in_a_recreated_stream(bus: Bus, stream: Stream) -> None:
    await fill(bus, stream, [(0, "k")] * 20)
    async with Follower(bus, stream, None) as follower:
        await bus.asker.api(f"STREAM.DELETE.{stream.name}")
        bus.look_now()
        async with asyncio.timeout(30):
            while True:
                try:
                    await fill(bus, stream, [(0, "k")] * 3, start=100)
                except BusUnavailableError:
                    await asyncio.sleep(0.05)
                else:
                    break
        await eventually(lambda: follower.bodies == [100, 101, 102])
