"""Requests, shouts and listening on core NATS."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time

import pytest

from libs.common.bus.client import Bus, open_bus
from libs.common.errors import BusUnavailableError, NoResponderError
from libs.common.subjects import DEAD
from tests.bus.kit import Cable, eventually, reconnecting

_numbers = itertools.count()


@pytest.fixture
def where() -> str:
    return f"cmd.{next(_numbers)}.acme.claim"


async def echo(subject: str, data: bytes) -> bytes:
    return subject.encode() + b" " + data


async def test_a_request_is_answered(bus: Bus, where: str) -> None:
    stop = await bus.serve("cmd.*.*.*", queue="router", handle=echo)
    assert await bus.request(where, b"x", timeout_s=2) == where.encode() + b" x"
    await stop()


async def test_nobody_there_is_told_at_once(bus: Bus, where: str) -> None:
    with pytest.raises(NoResponderError):  # not the error of a time-out
        await bus.request(where, b"x", timeout_s=5)


async def test_no_answer_in_time(bus: Bus, where: str) -> None:
    async def slow(_subject: str, _data: bytes) -> bytes:
        await asyncio.sleep(0.4)
        return b"late"

    stop = await bus.serve(where, queue="router", handle=slow)
    with pytest.raises(BusUnavailableError, match="no answer"):
        await bus.request(where, b"x", timeout_s=0.1)
    await stop()
    assert bus.connected


async def test_a_handler_that_raises_is_logged_and_the_next_request_is_served(
    bus: Bus, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def picky(_subject: str, data: bytes) -> bytes:
        if data == b"bad":
            raise LookupError("a bug")
        return b"fine"

    stop = await bus.serve(where, queue="router", handle=picky)
    with caplog.at_level(logging.ERROR), pytest.raises(BusUnavailableError):
        await bus.request(where, b"bad", timeout_s=0.2)
    assert "bus.handler_bug" in [record.message for record in caplog.records]
    assert await bus.request(where, b"good", timeout_s=2) == b"fine"
    await stop()


async def test_requests_are_served_at_the_same_time_and_shared_in_the_queue(
    bus: Bus, nats_url: str, where: str
) -> None:
    served: dict[str, int] = {"one": 0, "two": 0}

    async def slow(name: str) -> bytes:
        served[name] += 1
        await asyncio.sleep(0.2)
        return name.encode()

    async with open_bus(nats_url, name="t", provision=False) as other:
        stops = [
            await bus.serve(where, queue="router", handle=lambda _s, _d: slow("one")),
            await other.serve(where, queue="router", handle=lambda _s, _d: slow("two")),
        ]
        async with asyncio.timeout(30):
            while not served["two"]:  # until the server knows of both
                await bus.request(where, b"", timeout_s=5)
        served |= {"one": 0, "two": 0}
        started = time.monotonic()
        await asyncio.gather(*(bus.request(where, b"", timeout_s=5) for _ in range(40)))
        assert time.monotonic() - started < 4  # one after the other: 8
        assert sum(served.values()) == 40
        assert min(served.values()) > 5
        for stop in stops:
            await stop()


async def test_stopping_finishes_what_was_begun(bus: Bus, where: str) -> None:
    begun = asyncio.Event()

    async def slow(_subject: str, _data: bytes) -> bytes:
        begun.set()
        await asyncio.sleep(0.2)
        return b"done"

    stop = await bus.serve(where, queue="router", handle=slow)
    asking = asyncio.create_task(bus.request(where, b"", timeout_s=2))
    await begun.wait()
    await stop()
    assert await asking == b"done"
    with pytest.raises(NoResponderError):
        await bus.request(where, b"", timeout_s=1)


async def test_serving_goes_on_after_a_cut(nats_url: str, bus: Bus, where: str) -> None:
    async with (
        Cable(nats_url) as cable,
        open_bus(cable.url, name="t", declared=(DEAD,)) as far,
    ):
        await far.serve(where, queue="router", handle=echo)
        async with reconnecting(far):
            cable.cut()
        await far.connection.settle(1)
        assert await bus.request(where, b"x", timeout_s=2)


async def test_a_cut_fails_a_waiting_request_at_once(nats_url: str, bus: Bus, where: str) -> None:
    async def never(_subject: str, _data: bytes) -> bytes:
        await asyncio.sleep(3600)
        return b""

    await bus.serve(where, queue="router", handle=never)
    await bus.connection.settle(1)
    async with Cable(nats_url) as cable, open_bus(cable.url, name="t", provision=False) as far:
        asking = asyncio.create_task(far.request(where, b"", timeout_s=30))
        await asyncio.sleep(0.1)
        cable.up = False
        cable.cut()
        with pytest.raises(BusUnavailableError, match="lost"):
            await asyncio.wait_for(asking, 2)
        with pytest.raises(BusUnavailableError, match="not connected"):
            await far.request(where, b"", timeout_s=30)


async def test_shouts_reach_listeners_until_they_stop(bus: Bus, where: str) -> None:
    heard: list[tuple[str, bytes]] = []
    stop = await bus.listen("cmd.>", lambda subject, data: heard.append((subject, data)))
    bus.shout(where, b"1")
    await eventually(lambda: heard == [(where, b"1")])
    await stop()
    bus.shout(where, b"2")
    await bus.connection.settle(1)
    assert len(heard) == 1


async def test_a_listener_that_raises_is_logged_and_hears_on(
    bus: Bus, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[bytes] = []

    def picky(_subject: str, data: bytes) -> None:
        if data == b"bad":
            raise LookupError("a bug")
        heard.append(data)

    stop = await bus.listen(where, picky)
    for data in (b"bad", b"good"):
        bus.shout(where, data)
    await eventually(lambda: heard == [b"good"])
    assert "bus.tap_bug" in [record.message for record in caplog.records]
    await stop()
