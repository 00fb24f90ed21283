"""Batches: what arrives together is handled together, and settled each by itself."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

import pytest

from libs.common.bus.client import Bus
from libs.common.bus.delivery import FOR, Ack, Bury, Delivery, Outcome, Retry, StoredMessage
from libs.common.bus.options import Observed, backoff_s
from libs.common.errors import (
    BusUnavailableError,
    MalformedPayloadError,
    RetryableError,
    StaleEpochError,
    StoreUnavailableError,
)
from libs.common.subjects import DEAD, Stream
from tests.bus.kit import Seen, batches, eventually, fill, quick, subject


async def buried(bus: Bus, stream: Stream) -> list[StoredMessage]:
    return await bus.read(DEAD, f"dead.test.{stream.subjects[0].split('.')[0]}.>")


async def left(bus: Bus, stream: Stream) -> int:
    """How many deliveries the server still expects an answer about, or has not made."""
    total = 0
    for partition in range(16):
        info = await bus.asker.api(f"CONSUMER.INFO.{stream.name}.work-{partition}")
        total += info["num_ack_pending"] + info["num_pending"]
    return total


async def test_everything_comes_once_in_order_within_its_partition(
    bus: Bus, stream: Stream
) -> None:
    await fill(bus, stream, [(number % 16, "k") for number in range(1000)])
    seen = Seen()
    async with batches(bus, stream, seen.batch):
        await eventually(lambda: len(seen.bodies) >= 1000)
    assert sorted(map(int, seen.bodies)) == list(range(1000))
    for partition in range(16):
        own = [d.sequence for d in seen.deliveries if d.partition == partition]
        assert own == sorted(own)
    assert max(seen.sizes) <= 200
    assert len(seen.sizes) < 200, "one at a time is no batch"
    assert await left(bus, stream) == 0


async def test_what_comes_during_a_call_gathers_for_the_next(bus: Bus, stream: Stream) -> None:
    seen, go = Seen(), asyncio.Event()

    async def slow(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        outcomes = await seen.batch(deliveries)
        await go.wait()
        return outcomes

    async with batches(bus, stream, slow):
        await fill(bus, stream, [(0, "k")])
        await eventually(lambda: seen.sizes == [1])
        await fill(bus, stream, [(number % 16, "k") for number in range(50)], start=1)
        await asyncio.sleep(0.1)
        go.set()
        await eventually(lambda: len(seen.bodies) == 51)
        assert seen.sizes == [1, 50]


async def test_a_delivery_says_where_it_comes_from(bus: Bus, stream: Stream) -> None:
    seen = Seen()
    await bus.publish(subject(stream, 7), b"x", msg_id="a", headers={"Traceparent": "00"})
    async with batches(bus, stream, seen.batch):
        await eventually(lambda: bool(seen.bodies))
    delivery = seen.deliveries[0]
    assert (delivery.subject, delivery.partition) == (subject(stream, 7), 7)
    assert (delivery.sequence, delivery.attempt, delivery.pending) == (1, 1, 0)
    assert delivery.headers == {"Traceparent": "00", "Nats-Msg-Id": "a"}
    assert abs(delivery.stored_at_ns / 1e9 - time.time()) < 60


BURIALS: dict[str, tuple[Exception | Outcome, int, str]] = {
    "a verdict of Bury needs one try": (Bury("broken", "no such part"), 1, "broken"),
    "a permanent error needs one try": (MalformedPayloadError("bad"), 1, "malformed_payload"),
    "Retry is buried at the fifth": (Retry("busy", delay_s=0), 5, "busy"),
    "a retryable error is buried at the fifth": (RetryableError("x", delay_s=0), 5, "retryable"),
    "a bug is buried at the fifth": (LookupError("oops"), 5, "bug"),
}


@pytest.mark.parametrize(("failure", "tries", "code"), BURIALS.values(), ids=BURIALS)
async def test_i10_a_poison_message_is_buried_and_its_neighbours_are_not_touched(
    bus: Bus, stream: Stream, failure: Exception | Outcome, tries: int, code: str
) -> None:
    calls: list[int] = []
    good: list[str] = []

    async def picky(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        for delivery in deliveries:
            if delivery.data == b"5":
                calls.append(delivery.attempt)
                if isinstance(failure, Exception):
                    raise failure
                outcomes.append(failure)
            else:
                outcomes.append(Ack())
        good.extend(d.data.decode() for d in deliveries if d.data != b"5")
        return outcomes

    observed = Observed()
    await fill(bus, stream, [(3, "k")] * 10)
    async with batches(bus, stream, picky, quick(observe=observed)):
        await eventually(lambda: bool(observed.buried))
    assert sorted(set(calls)) == list(range(1, tries + 1))
    assert sorted(good) == ["0", "1", "2", "3", "4", "6", "7", "8", "9"]
    assert await left(bus, stream) == 0
    (message,) = await buried(bus, stream)
    assert message.subject == f"dead.test.{subject(stream, 3)}"
    assert message.data == b"5"
    assert message.headers["Relaydesk-Reason"] == code
    assert message.headers["Relaydesk-Stream"] == stream.name
    assert message.headers["Relaydesk-Sequence"] == "6"
    assert message.headers["Relaydesk-Attempts"] == str(tries)
    assert message.headers["Relaydesk-Msg-Id"] == "5"
    assert (observed.buried, observed.handled) == ({code: 1}, 9)


async def test_a_burial_drops_headers_that_command_jetstream(bus: Bus, stream: Stream) -> None:
    await bus.publish(
        subject(stream, 0),
        b"x",
        msg_id="a",
        headers={"Nats-Expected-Stream": stream.name, "A": "b"},
    )

    async def bury(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        return [Bury("x") for _ in deliveries]

    observed = Observed()
    async with batches(bus, stream, bury, quick(observe=observed)):
        await eventually(lambda: bool(observed.buried))
    (message,) = await buried(bus, stream)
    assert "Nats-Expected-Stream" not in message.headers
    assert message.headers["A"] == "b"


async def test_a_retry_comes_back_after_at_least_its_delay(bus: Bus, stream: Stream) -> None:
    times: list[float] = []

    async def once_busy(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        times.append(time.monotonic())
        return [Ack() if d.attempt > 1 else Retry("busy", delay_s=0.3) for d in deliveries]

    observed = Observed()
    await fill(bus, stream, [(0, "k")])
    async with batches(bus, stream, once_busy, quick(observe=observed)):
        await eventually(lambda: len(times) == 2)
    assert 0.3 <= times[1] - times[0] < 1.0
    assert (observed.retried, observed.redelivered, observed.handled) == (1, 1, 1)


def test_the_pause_doubles_up_to_half_a_minute() -> None:
    assert [backoff_s(attempt) for attempt in range(1, 7)] == [2, 4, 8, 16, 30, 30]


OUTAGES = {
    "the store is away": StoreUnavailableError("away"),
    "the bus is away": BusUnavailableError("away"),
}


@pytest.mark.parametrize("error", OUTAGES.values(), ids=OUTAGES)
async def test_an_outage_is_waited_out_and_counts_as_no_try(
    bus: Bus, stream: Stream, error: Exception
) -> None:
    calls: list[int] = []

    async def away_for_long(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        calls.append(len(deliveries))
        if len(calls) < 5:
            raise error
        return [Ack() if d.attempt == 1 else Bury("tried twice") for d in deliveries]

    observed = Observed()
    await fill(bus, stream, [(0, "k")] * 3)
    # Signs of life each 0.2 s keep the server from delivering again after 0.6 s.
    options = quick(observe=observed, ack_wait_s=0.6, pin_ttl_s=3.0)
    async with batches(bus, stream, away_for_long, options):
        await eventually(lambda: observed.handled == 3)
    assert calls[:5] == calls[:1] * 5, "the same work each time"
    assert (observed.interrupted, observed.redelivered, observed.buried) == (4, 0, {})


async def test_a_stop_during_an_outage_gives_the_work_back(bus: Bus, stream: Stream) -> None:
    async def away(_deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        raise StoreUnavailableError("away")

    observed, seen = Observed(), Seen()
    await fill(bus, stream, [(0, "k")])
    async with batches(bus, stream, away, quick(observe=observed)) as stop:
        await eventually(lambda: observed.interrupted > 0)
        started = time.monotonic()
        stop.set()
    assert time.monotonic() - started < 20
    async with batches(bus, stream, seen.batch):
        await eventually(lambda: seen.bodies == ["0"])


async def test_slow_work_is_not_delivered_twice(bus: Bus, stream: Stream) -> None:
    seen = Seen()

    async def slow(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        await asyncio.sleep(0.9)
        return await seen.batch(deliveries)

    observed = Observed()
    await fill(bus, stream, [(0, "k")] * 3)
    options = quick(observe=observed, ack_wait_s=0.6, pin_ttl_s=3.0)
    async with batches(bus, stream, slow, options, batch=1):
        await eventually(lambda: len(seen.bodies) == 3)
    assert seen.bodies == ["0", "1", "2"]
    assert observed.redelivered == 0


async def test_too_few_outcomes_are_a_bug_and_lose_nothing(
    bus: Bus, stream: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    handled: list[str] = []

    async def forgetful(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        if len(deliveries) > 1:
            return [Ack()]
        handled.extend(d.data.decode() for d in deliveries)
        return [Ack()]

    await fill(bus, stream, [(0, "k")] * 4)
    with caplog.at_level(logging.WARNING):
        async with batches(bus, stream, forgetful):
            await eventually(lambda: len(handled) == 4)
    assert handled == ["0", "1", "2", "3"]
    assert "bus.batch_split" in [record.message for record in caplog.records]


async def test_a_refused_command_is_tried_again_under_its_own_code(
    bus: Bus, stream: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    async def stale(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        if deliveries[0].attempt == 1:
            raise StaleEpochError("moved on")
        return [Ack()] * len(deliveries)

    observed = Observed()
    await fill(bus, stream, [(0, "k")])
    with caplog.at_level(logging.WARNING):
        async with batches(bus, stream, stale, quick(observe=observed)):
            await eventually(lambda: observed.handled == 1)
    told = [record.__dict__.get("code") for record in caplog.records]
    assert "stale_epoch" in told
    assert "bus.handler_bug" not in [record.message for record in caplog.records]


async def test_a_burial_that_dead_does_not_confirm_is_repeated(bus: Bus, stream: Stream) -> None:
    async def bury(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        return [Bury("x") for _ in deliveries]

    observed = Observed()
    await bus.asker.api(f"STREAM.DELETE.{DEAD.name}")
    await fill(bus, stream, [(0, "k")])
    async with batches(bus, stream, bury, quick(observe=observed)):
        await eventually(lambda: observed.buried == {"x": 1})
    assert observed.retried > 0
    assert len(await buried(bus, stream)) == 1


async def test_own_filters_take_the_place_of_partitions(bus: Bus, stream: Stream) -> None:
    seen = Seen()
    await fill(bus, stream, [(0, "a"), (1, "b"), (2, "c")])
    where = stream.subjects[0].split(".")[0]
    options = quick(filters=(f"{where}.*.a", f"{where}.*.c"))
    async with batches(bus, stream, seen.batch, options):
        await eventually(lambda: len(seen.bodies) == 2)
        await asyncio.sleep(0.1)
    assert sorted((d.data.decode(), d.partition) for d in seen.deliveries) == [("0", 0), ("2", 1)]


async def test_gauges_follow_the_work(bus: Bus, stream: Stream) -> None:
    go = asyncio.Event()

    async def slow(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        await go.wait()
        return [Ack()] * len(deliveries)

    observed = Observed()
    await fill(bus, stream, [(0, "k")] * 10)
    async with batches(bus, stream, slow, quick(observe=observed), batch=2):
        await eventually(lambda: observed.in_flight > 0 and observed.partitions == 16)
        await asyncio.sleep(0.1)
        assert 0.1 < observed.oldest_age_s < 60
        assert observed.in_flight + observed.pending[0] == 10
        go.set()
        await eventually(lambda: observed.handled == 10)
        assert (observed.in_flight, observed.oldest_age_s, observed.pending[0]) == (0, 0.0, 0)


async def test_memory_is_bounded_by_what_may_be_outstanding(bus: Bus, stream: Stream) -> None:
    go = asyncio.Event()

    async def slow(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        await go.wait()
        return [Ack()] * len(deliveries)

    observed = Observed()
    await fill(bus, stream, [(number % 2, "k") for number in range(2000)])
    async with batches(bus, stream, slow, quick(observe=observed), batch=20):
        await eventually(lambda: observed.in_flight > 20)
        await asyncio.sleep(1.9)  # longer than a request lives
        assert observed.in_flight < 200
        go.set()
        await eventually(lambda: observed.handled == 2000)


async def test_a_long_call_with_a_full_buffer_keeps_the_pin(bus: Bus, stream: Stream) -> None:
    """Else another replica could begin with the messages behind those that we hold."""
    go = asyncio.Event()

    async def slow(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        await go.wait()
        return [Ack()] * len(deliveries)

    async def pinned() -> str:
        info = await bus.asker.api(f"CONSUMER.INFO.{stream.name}.work-3")
        return str(info["priority_groups"][0].get("pinned_client_id", ""))

    observed = Observed()
    await fill(bus, stream, [(3, "k")] * 40)
    options = quick(observe=observed, ack_wait_s=1.0, pin_ttl_s=2.0)
    async with batches(bus, stream, slow, options, batch=2):
        await eventually(lambda: observed.in_flight > 3)
        before = await pinned()
        await asyncio.sleep(3.0)
        assert before == await pinned() != ""
        go.set()
        await eventually(lambda: observed.handled == 40)
    assert observed.redelivered == 0


async def test_what_is_for_another_consumer_is_passed_over_as_fast_as_it_comes(
    bus: Bus, stream: Stream
) -> None:
    """Not at one request a look: thousands of letters may be brought back at once."""
    others = [
        bus.publish_soon(subject(stream, 7), b"", msg_id=f"a{number}", headers={FOR: "other"})
        for number in range(400)
    ]
    await asyncio.gather(*others)
    await bus.publish(subject(stream, 7), b"mine", msg_id="mine", headers={FOR: "work"})
    seen = Seen()
    async with batches(bus, stream, seen.batch, batch=10):
        started = time.monotonic()
        await eventually(lambda: seen.bodies == ["mine"])
        assert time.monotonic() - started < 5
