"""Lanes: serial each, all at the same time."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from datetime import UTC, datetime

from libs.common.bus.client import Bus
from libs.common.bus.consume import consume_lanes
from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome, Retry
from libs.common.bus.options import Observed
from libs.common.errors import RejectedError, StoreUnavailableError, ThrottledError
from libs.common.subjects import DEAD, Stream
from tests.bus.kit import Seen, eventually, fill, lanes, quick


def of(seen: Seen, key: str) -> list[str]:
    return [d.data.decode() for d in seen.deliveries if d.subject.endswith(f".{key}")]


async def test_each_lane_is_serial_and_in_order(bus: Bus, stream: Stream) -> None:
    keys = [f"k{number % 40}" for number in range(800)]
    await fill(bus, stream, [(int(key[1:]) % 16, key) for key in keys])
    running: dict[str, int] = defaultdict(int)
    most: dict[str, int] = defaultdict(int)
    seen = Seen()

    async def work(delivery: Delivery) -> Outcome:
        key = delivery.subject
        running[key] += 1
        running["all"] += 1
        for name in (key, "all"):
            most[name] = max(most[name], running[name])
        await asyncio.sleep(0.001)
        running[key] -= 1
        running["all"] -= 1
        return await seen.lane(delivery)

    async with lanes(bus, stream, work):
        await eventually(lambda: len(seen.bodies) == 800)
    assert most.pop("all") > 10, "lanes run at the same time"
    assert set(most.values()) == {1}
    for key in set(keys):
        assert of(seen, key) == [str(n) for n, each in enumerate(keys) if each == key]


async def test_a_slow_lane_delays_no_other_in_its_partition(bus: Bus, stream: Stream) -> None:
    seen, go = Seen(), asyncio.Event()

    async def work(delivery: Delivery) -> Outcome:
        if delivery.subject.endswith("slow"):
            await go.wait()
        return await seen.lane(delivery)

    await fill(bus, stream, [(3, "slow" if number % 2 else "fast") for number in range(400)])
    async with lanes(bus, stream, work):
        await eventually(lambda: len(of(seen, "fast")) == 200)
        assert of(seen, "slow") == []
        go.set()
        await eventually(lambda: len(of(seen, "slow")) == 200)
    assert of(seen, "slow") == sorted(of(seen, "slow"), key=int)


async def test_a_retry_keeps_the_order_of_its_lane_and_delays_no_other(
    bus: Bus, stream: Stream
) -> None:
    seen = Seen()
    times: list[float] = []

    async def work(delivery: Delivery) -> Outcome:
        if delivery.data == b"0":
            times.append(time.monotonic())
            if len(times) < 3:
                raise ThrottledError("too fast", delay_s=1.5)
        return await seen.lane(delivery)

    observed = Observed()
    await fill(bus, stream, [(3, "busy")] * 3 + [(3, "free")] * 3)
    async with lanes(bus, stream, work, quick(observe=observed)):
        await eventually(lambda: len(of(seen, "free")) == 3)
        assert of(seen, "busy") == []
        await eventually(lambda: len(seen.bodies) == 6)
    assert of(seen, "busy") == ["0", "1", "2"]
    assert min(b - a for a, b in itertools.pairwise(times)) >= 1.5
    assert (observed.retried, observed.redelivered) == (2, 0)


async def test_i10_a_poison_message_is_buried_at_the_fifth_failure_and_its_lane_goes_on(
    bus: Bus, stream: Stream
) -> None:
    seen = Seen()
    failures: list[int] = []

    async def work(delivery: Delivery) -> Outcome:
        if delivery.data == b"0":
            failures.append(delivery.attempt)
            raise LookupError("a bug")
        if delivery.data == b"1":
            raise RejectedError("blocked", reason="blocked")
        if delivery.data == b"2":
            return Bury("odd", "really")
        return await seen.lane(delivery)

    observed = Observed()
    await fill(bus, stream, [(3, "k")] * 5)
    async with lanes(bus, stream, work, quick(observe=observed)):
        await eventually(lambda: observed.handled == 2)
    assert failures == [1] * 5
    assert seen.bodies == ["3", "4"]
    assert observed.buried == {"bug": 1, "rejected": 1, "odd": 1}
    where = f"dead.test.{stream.subjects[0].split('.')[0]}.>"
    reasons = [m.headers["Relaydesk-Reason"] for m in await bus.read(DEAD, where)]
    assert reasons == ["bug", "rejected", "odd"]


async def test_an_outage_is_waited_out_and_counts_as_no_try(bus: Bus, stream: Stream) -> None:
    seen = Seen()
    calls: list[str] = []

    async def work(delivery: Delivery) -> Outcome:
        calls.append(delivery.data.decode())
        if len(calls) <= 4:
            raise StoreUnavailableError("away")
        return await seen.lane(delivery)

    observed = Observed()
    await fill(bus, stream, [(3, "k")] * 2)
    async with lanes(bus, stream, work, quick(observe=observed, ack_wait_s=0.6, pin_ttl_s=3.0)):
        await eventually(lambda: len(seen.bodies) == 2, within_s=20)
    assert seen.bodies == ["0", "1"]
    assert (observed.interrupted, observed.retried, observed.redelivered) == (4, 0, 0)


async def test_what_waits_in_a_slow_lane_gets_signs_of_life(bus: Bus, stream: Stream) -> None:
    seen = Seen()

    async def work(delivery: Delivery) -> Outcome:
        await asyncio.sleep(0.7)
        return await seen.lane(delivery)

    observed = Observed()
    await fill(bus, stream, [(3, "k")] * 4)
    async with lanes(bus, stream, work, quick(observe=observed, ack_wait_s=0.6, pin_ttl_s=3.0)):
        await eventually(lambda: len(seen.bodies) == 4)
    assert seen.bodies == ["0", "1", "2", "3"]
    assert observed.redelivered == 0


async def test_at_most_so_many_handlers_run_and_a_pause_is_no_run(bus: Bus, stream: Stream) -> None:
    running = most = 0
    seen, stop = Seen(), asyncio.Event()

    async def work(delivery: Delivery) -> Outcome:
        nonlocal running, most
        if delivery.attempt == 1 and delivery.subject.endswith("paused") and not seen.sizes:
            return Retry("busy", delay_s=30)
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return await seen.lane(delivery)

    await fill(bus, stream, [(3, "paused"), (3, "paused")])
    await fill(bus, stream, [(number % 16, f"k{number}") for number in range(100)], start=2)
    task = asyncio.create_task(
        consume_lanes(
            bus,
            stream,
            "work",
            work,
            lane=lambda delivery: delivery.subject,
            stop=stop,
            service="test",
            in_flight=4,
            options=quick(),
        )
    )
    await eventually(lambda: len(seen.bodies) >= 100)
    assert most == 4
    stop.set()
    await asyncio.wait_for(task, 10)


async def test_a_lane_that_cannot_be_named_fails_alone(bus: Bus, stream: Stream) -> None:
    seen, stop, observed = Seen(), asyncio.Event(), Observed()

    def lane(delivery: Delivery) -> str:
        if delivery.data == b"0":
            raise LookupError("no session in it")
        return delivery.subject

    async def work(delivery: Delivery) -> Outcome:
        if delivery.data == b"0":
            return Bury("no_session")
        return await seen.lane(delivery)

    await fill(bus, stream, [(3, "k")] * 3)
    task = asyncio.create_task(
        consume_lanes(
            bus,
            stream,
            "work",
            work,
            lane=lane,
            stop=stop,
            service="test",
            options=quick(observe=observed),
        )
    )
    await eventually(lambda: observed.handled == 2 and observed.buried == {"no_session": 1})
    stop.set()
    await asyncio.wait_for(task, 10)


async def test_a_stop_finishes_the_running_calls_and_gives_the_rest_back_in_order(
    bus: Bus, stream: Stream
) -> None:
    first, second = Seen(), Seen()
    begun = asyncio.Event()

    async def slow(delivery: Delivery) -> Outcome:
        begun.set()
        await asyncio.sleep(0.5)
        return await first.lane(delivery)

    await fill(bus, stream, [(3, "k")] * 100)
    async with lanes(bus, stream, slow) as stop:
        await begun.wait()
        started = time.monotonic()
        stop.set()
    assert time.monotonic() - started < 20
    assert len(first.bodies) < 20, "what was under way, and no more"
    async with lanes(bus, stream, second.lane):
        await eventually(lambda: len(first.bodies) + len(second.bodies) >= 100)
    assert [int(body) for body in first.bodies + second.bodies] == list(range(100))


async def test_a_stop_is_bounded_when_a_call_never_ends(bus: Bus, stream: Stream) -> None:
    begun = asyncio.Event()
    ended: list[str] = []
    seen = Seen()

    async def stuck(_delivery: Delivery) -> Outcome:
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return Ack()

    await fill(bus, stream, [(3, "k")] * 2)
    async with lanes(bus, stream, stuck, quick(stop_within_s=1.0)) as stop:
        await begun.wait()
        started = time.monotonic()
        stop.set()
    assert time.monotonic() - started < 20
    assert ended == ["cancelled"]
    async with lanes(bus, stream, seen.lane):
        await eventually(lambda: seen.bodies == ["0", "1"])


async def test_a_consumer_that_is_made_begins_where_it_is_told(bus: Bus, stream: Stream) -> None:
    await fill(bus, stream, [(0, "k")] * 3)
    await asyncio.sleep(0.02)
    since = datetime.now(UTC)
    await asyncio.sleep(0.02)
    await fill(bus, stream, [(0, "k")] * 2, start=3)
    seen = Seen()
    async with lanes(bus, stream, seen.lane, quick(since=since)):
        await eventually(lambda: len(seen.bodies) >= 2)
    assert seen.bodies == ["3", "4"]
