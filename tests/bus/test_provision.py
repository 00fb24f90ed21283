"""Streams and buckets: made, compared, brought back."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.bus.ask import ApiError
from libs.common.bus.client import Bus, open_bus
from libs.common.bus.provision import bucket_config, drift, stream_config
from libs.common.errors import BusUnavailableError
from libs.common.subjects import (
    BUCKETS,
    DEAD,
    PRESENCE_KV,
    STREAMS,
    TIMERS,
    WEBHOOKS,
    Bucket,
    Stream,
)
from tests.bus.kit import Seen, batches, eventually, quick, subject
from tests.nats_server import NatsProcess

_S = 1_000_000_000


async def _config(bus: Bus, name: str) -> dict[str, Any]:
    info = await bus.asker.api(f"STREAM.INFO.{name}")
    config: dict[str, Any] = info["config"]
    return config


async def test_everything_declared_is_there_as_declared(nats_process: NatsProcess) -> None:
    async with open_bus(nats_process.url, name="t") as bus:
        for stream in STREAMS:
            assert drift(stream_config(stream, 1), await _config(bus, stream.name)) == {}
        for bucket in BUCKETS:
            assert drift(bucket_config(bucket, 1), await _config(bus, f"KV_{bucket.name}")) == {}
        timers = await _config(bus, TIMERS.name)
        assert (timers["allow_msg_schedules"], timers["max_age"]) == (True, 0)
        assert (await _config(bus, WEBHOOKS.name))["max_bytes"] == WEBHOOKS.max_bytes
        dead = await _config(bus, DEAD.name)
        assert (dead["storage"], dead["retention"], dead["discard"]) == ("file", "limits", "old")


async def test_several_services_may_start_at_once(nats_process: NatsProcess) -> None:
    async def start(number: int) -> None:
        async with open_bus(nats_process.url, name=f"s{number}") as bus:
            assert bus.connected

    await asyncio.gather(*(start(number) for number in range(5)))


CHANGES: dict[str, dict[str, Any]] = {
    "a longer age": {"max_age_s": 3600},
    "another duplicate window": {"duplicate_window_s": 60},
    "a size limit": {"max_bytes": 10_000_000},
    "more subjects": {"subjects": ("drift.*.*", "more.*")},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_drift_is_corrected_and_told(
    nats_process: NatsProcess, caplog: pytest.LogCaptureFixture, change: dict[str, Any]
) -> None:
    before = Stream(name="DRIFT", subjects=("drift.*.*",))
    after = msgspec.structs.replace(before, **change)
    async with open_bus(nats_process.url, name="t", declared=(before,)) as bus:
        await bus.publish("drift.1.x", b"x", msg_id="a")
    with caplog.at_level(logging.WARNING):
        async with open_bus(nats_process.url, name="t", declared=(after,)) as bus:
            assert drift(stream_config(after, 1), await _config(bus, "DRIFT")) == {}
            assert len(await bus.read(after, "drift.1.x")) == 1
    assert [r.message for r in caplog.records if "drift" in r.message] == ["bus.stream_drift"]


async def test_no_change_tells_nothing(
    nats_process: NatsProcess, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        with caplog.at_level(logging.WARNING):
            async with open_bus(nats_process.url, name="t"):
                pass
    assert caplog.records == []


REPLICAS = {
    "more are asked for": (3, 1, {"num_replicas": (1, 3)}),
    "fewer are never asked for": (1, 3, {}),
    "as many as wanted": (3, 3, {}),
}


@pytest.mark.parametrize(("wanted", "present", "changes"), REPLICAS.values(), ids=REPLICAS)
def test_replicas_only_grow(wanted: int, present: int, changes: dict[str, Any]) -> None:
    assert drift(stream_config(DEAD, wanted), stream_config(DEAD, present)) == changes


def test_a_bucket_with_a_time_to_live_tells_watchers_when_entries_expire() -> None:
    config = bucket_config(PRESENCE_KV, 1)
    assert config["max_age"] == config["subject_delete_marker_ttl"] == PRESENCE_KV.ttl_s * _S
    assert "subject_delete_marker_ttl" not in bucket_config(Bucket(name="x"), 1)


async def test_a_deleted_stream_comes_back_when_somebody_publishes(
    bus: Bus, stream: Stream
) -> None:
    await bus.publish(subject(stream, 1), b"x", msg_id="a")
    await bus.asker.api(f"STREAM.DELETE.{stream.name}")
    with pytest.raises(BusUnavailableError, match="no stream"):
        await bus.publish(subject(stream, 1), b"x", msg_id="b")
    async with asyncio.timeout(30):
        while True:
            try:
                await bus.publish(subject(stream, 1), b"x", msg_id="b")
            except BusUnavailableError:
                await asyncio.sleep(0.05)
            else:
                break


async def test_streams_come_back_after_the_server_lost_its_disk(
    nats_process: NatsProcess, stream: Stream
) -> None:
    async with open_bus(nats_process.url, name="t", declared=(stream,)) as bus:
        nats_process.kill()
        nats_process.lose_data()
        nats_process.start()
        await eventually(lambda: bus.connected)
        async with asyncio.timeout(30):
            while True:
                try:
                    await _config(bus, stream.name)
                except (ApiError, BusUnavailableError):
                    await asyncio.sleep(0.05)
                else:
                    break


async def test_a_small_disk_lowers_a_size_limit_loudly_instead_of_failing(
    nats_process: NatsProcess, caplog: pytest.LogCaptureFixture
) -> None:
    nats_process.stop()
    nats_process.max_file_bytes = 1024**3
    nats_process.start()
    with caplog.at_level(logging.WARNING):
        async with open_bus(nats_process.url, name="t", declared=(WEBHOOKS,)) as bus:
            assert (await _config(bus, WEBHOOKS.name))["max_bytes"] <= 1024**3
            assert (await bus.publish("raw.a.b.c", b"x", msg_id="a")).sequence
        async with open_bus(nats_process.url, name="t", declared=(WEBHOOKS,)) as bus:
            assert (await bus.publish("raw.a.b.c", b"x", msg_id="b")).sequence
    told = {record.message for record in caplog.records}
    assert {"bus.stream_limit_lowered", "bus.stream_drift_remains"} <= told


async def test_opening_waits_for_the_server_and_can_be_given_up(
    nats_process: NatsProcess, stream: Stream
) -> None:
    nats_process.kill()
    opening = open_bus(nats_process.url, name="t", declared=(stream,))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(opening.__aenter__(), 0.6)
    waiting = asyncio.create_task(_open_and_publish(nats_process.url, stream))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    nats_process.start()
    await asyncio.wait_for(waiting, 30)


async def _open_and_publish(url: str, stream: Stream) -> None:
    async with open_bus(url, name="t", declared=(stream,)) as bus:
        await bus.publish(subject(stream, 1), b"x", msg_id="a")


async def test_a_schedule_fires_into_its_partition_once_and_in_its_last_version(
    nats_process: NatsProcess,
) -> None:
    seen = Seen()
    filters = tuple(f"due.{partition}.*.*" for partition in range(16))

    async def arm(bus: Bus, body: bytes, after_s: float, generation: int) -> None:
        due = datetime.now(UTC) + timedelta(seconds=after_s)
        headers = {
            "Nats-Schedule": f"@at {due.isoformat()}",
            "Nats-Schedule-Target": "due.3.idle.s1",
            "Nats-Schedule-TTL": "24h",
        }
        await bus.publish("timer.idle.s1", body, msg_id=f"s1:{generation}", headers=headers)

    async with open_bus(nats_process.url, name="t", declared=(TIMERS, DEAD)) as bus:
        await arm(bus, b"early", 30, 1)
        await arm(bus, b"late", 0.5, 2)
        async with batches(bus, TIMERS, seen.batch, quick(filters=filters)):
            await eventually(lambda: len(seen.bodies) > 0)
            await asyncio.sleep(0.5)
    assert seen.bodies == ["late"]
    assert (seen.deliveries[0].subject, seen.deliveries[0].partition) == ("due.3.idle.s1", 3)
