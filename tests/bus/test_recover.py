"""Consuming over faults: cuts, kills, pauses, deleted and restored things."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from libs.common.bus.ask import Asker
from libs.common.bus.client import Bus, open_bus
from libs.common.bus.delivery import Delivery, Outcome
from libs.common.bus.durables import Durables
from libs.common.bus.options import Observed, Options
from libs.common.subjects import Stream
from tests.bus.kit import (
    Cable,
    Seen,
    batches,
    eventually,
    fill,
    patient_bus,
    quick,
    reconnecting,
)
from tests.nats_server import NatsProcess


async def test_consuming_goes_on_over_a_kill_of_the_server(
    nats_process: NatsProcess, stream: Stream
) -> None:
    seen = Seen()
    async with (
        patient_bus(nats_process.url, stream) as bus,
        batches(bus, stream, seen.batch, quick(ack_wait_s=1.0, pin_ttl_s=2.0)),
    ):
        await fill(bus, stream, [(n % 16, "k") for n in range(200)])
        await eventually(lambda: len(seen.bodies) >= 100)
        async with reconnecting(bus):
            nats_process.kill()
            nats_process.start()
        await fill(bus, stream, [(n % 16, "k") for n in range(200)], start=200)
        await eventually(lambda: set(seen.bodies) == set(map(str, range(400))), within_s=15)


@pytest.mark.chaos
async def test_consuming_goes_on_after_a_pause_of_the_server(
    nats_process: NatsProcess, stream: Stream
) -> None:
    seen = Seen()
    async with (
        patient_bus(nats_process.url, stream) as bus,
        batches(bus, stream, seen.batch, quick(ack_wait_s=1.0, pin_ttl_s=2.0)),
    ):
        await fill(bus, stream, [(n % 16, "k") for n in range(100)])
        await eventually(lambda: len(seen.bodies) == 100)
        nats_process.pause()
        await eventually(lambda: not bus.connected)
        nats_process.resume()
        await eventually(lambda: bus.connected)
        await fill(bus, stream, [(n % 16, "k") for n in range(100)], start=100)
        await eventually(lambda: set(seen.bodies) == set(map(str, range(200))))


async def test_work_held_over_a_cut_is_done_once(nats_url: str, bus: Bus, stream: Stream) -> None:
    """The server delivers again what it heard nothing about; we hold it already."""
    seen, go = Seen(), asyncio.Event()

    async def slow(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        outcomes = await seen.batch(deliveries)
        await go.wait()
        return outcomes

    observed = Observed()
    await fill(bus, stream, [(3, "k")] * 5)
    options = quick(observe=observed, ack_wait_s=0.6, pin_ttl_s=1.0)
    async with (
        Cable(nats_url) as cable,
        open_bus(cable.url, name="t", provision=False) as far,
        batches(far, stream, slow, options),
    ):
        await eventually(lambda: len(seen.bodies) == 5)
        async with reconnecting(far):
            cable.up = False
            cable.cut()
            await asyncio.sleep(1.5)
            cable.up = True
        await eventually(lambda: observed.redelivered >= 5)
        go.set()
        await eventually(lambda: observed.handled == 5)
    assert seen.bodies == ["0", "1", "2", "3", "4"]


async def test_a_lost_acknowledgement_is_given_again_without_working_twice(
    nats_url: str, bus: Bus, stream: Stream
) -> None:
    seen = Seen()
    observed = Observed()

    async with Cable(nats_url) as cable, open_bus(cable.url, name="t", provision=False) as far:

        async def then_cut(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            outcomes = await seen.batch(deliveries)
            if len(seen.sizes) == 1:
                cable.cut()  # so that the acknowledgements go nowhere
            return outcomes

        await fill(bus, stream, [(3, "k")] * 5)
        options = quick(observe=observed, ack_wait_s=0.6, pin_ttl_s=1.0)
        async with reconnecting(far), batches(far, stream, then_cut, options):
            await eventually(lambda: observed.redelivered >= 5)
            await asyncio.sleep(1.0)
            info = await bus.asker.api(f"CONSUMER.INFO.{stream.name}.work-3")
            assert info["num_ack_pending"] == 0
    assert seen.bodies == ["0", "1", "2", "3", "4"]


async def test_a_deleted_consumer_comes_back_where_it_was(
    bus: Bus, stream: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Seen()
    async with batches(bus, stream, seen.batch):
        await fill(bus, stream, [(3, "k")] * 10)
        await eventually(lambda: len(seen.bodies) == 10)
        with caplog.at_level(logging.ERROR):
            await bus.asker.api(f"CONSUMER.DELETE.{stream.name}.work-3")
            await fill(bus, stream, [(3, "k")] * 10, start=10)
            await eventually(lambda: len(set(seen.bodies)) == 20)


async def test_a_deleted_stream_comes_back_with_its_consumers(bus: Bus, stream: Stream) -> None:
    seen = Seen()
    async with batches(bus, stream, seen.batch):
        await fill(bus, stream, [(3, "k")] * 10)
        await eventually(lambda: len(seen.bodies) == 10)
        await bus.asker.api(f"STREAM.DELETE.{stream.name}")
        bus.look_now()
        await _until_published(bus, stream)
        await eventually(lambda: "99" in seen.bodies)


async def _until_published(bus: Bus, stream: Stream) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await fill(bus, stream, [(3, "k")], start=99)
            except Exception:  # noqa: BLE001 (until the stream is there)
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_stream_restored_from_an_old_copy_under_newer_consumers_skips_nothing(
    nats_process: NatsProcess, stream: Stream, tmp_path: Path
) -> None:
    seen = Seen()
    async with patient_bus(nats_process.url, stream) as bus:
        await fill(bus, stream, [(3, "k")] * 10)
        async with reconnecting(bus):
            nats_process.stop()
            nats_process.save(tmp_path / "old")
            nats_process.start()
        async with batches(bus, stream, seen.batch):
            await fill(bus, stream, [(3, "k")] * 90, start=10)
            await eventually(lambda: len(seen.bodies) == 100)
        async with reconnecting(bus):
            nats_process.stop()
            consumers = _consumers(nats_process.disk, stream)
            nats_process.save(tmp_path / "new")
            nats_process.restore(tmp_path / "old")
            _put_consumers(tmp_path / "new", nats_process.disk, consumers)
            nats_process.start()
        async with batches(bus, stream, seen.batch):
            await fill(bus, stream, [(3, "k")] * 5, start=500)
            await eventually(lambda: "504" in seen.bodies)
    assert {"500", "501", "502", "503", "504"} <= set(seen.bodies)


class ScriptedApi(Asker):
    """Answers like a cluster whose stream came back older than its consumers."""

    def __init__(self, floor: int, lasts: list[int]) -> None:
        self._floor = floor
        self._lasts = lasts
        self.asked: list[str] = []

    async def api(self, verb: str, body: object = None, timeout_s: float = 5.0) -> Any:
        del body, timeout_s
        self.asked.append(verb.rsplit(".", 1)[0] if "CREATE" not in verb else "CONSUMER.CREATE")
        if verb.startswith("STREAM.INFO"):
            return {"state": {"last_seq": self._lasts.pop(0)}}
        config = Durables(self, "T", "work", ("t.0.*",), 1000, Options())._config(0)
        return {"ack_floor": {"stream_seq": self._floor}, "num_pending": 7, "config": config}


REBUILDS = {
    "behind the stream it is left alone": (100, [100], False),
    "ahead for good it is rebuilt": (100, [10, 10], True),
    "ahead of a leader that catches up it is left alone": (100, [10, 100], False),
}


@pytest.mark.parametrize(("floor", "lasts", "rebuilt"), REBUILDS.values(), ids=REBUILDS)
async def test_a_consumer_ahead_of_its_stream_is_rebuilt_loudly(
    floor: int,
    lasts: list[int],
    rebuilt: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("libs.common.bus.durables._CATCH_UP_S", 0)
    api = ScriptedApi(floor, list(lasts))
    with caplog.at_level(logging.ERROR):
        waiting = await Durables(api, "T", "work", ("t.0.*",), 1000, Options()).check({0})
    assert waiting == {0: 7}
    assert ("CONSUMER.DELETE.T" in api.asked) == rebuilt
    assert ("CONSUMER.CREATE" in api.asked) == rebuilt
    told = ["bus.consumer_rebuilt"] if rebuilt else []
    assert [record.message for record in caplog.records] == told


def _consumers(disk: Path, stream: Stream) -> Path:
    (found,) = disk.rglob(f"streams/{stream.name}/obs")
    return found.relative_to(disk)


def _put_consumers(new: Path, disk: Path, consumers: Path) -> None:
    shutil.copytree(new / consumers, disk / consumers, dirs_exist_ok=True)


async def test_other_settings_of_a_present_consumer_are_corrected_loudly(
    bus: Bus, stream: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Seen()
    observed: list[Observed] = []
    with caplog.at_level(logging.WARNING):
        for ack_wait_s in (3.0, 4.0):
            observed.append(Observed())
            options = quick(ack_wait_s=ack_wait_s, observe=observed[-1])
            async with batches(bus, stream, seen.batch, options):
                await eventually(lambda: observed[-1].partitions == 16)
    info = await bus.asker.api(f"CONSUMER.INFO.{stream.name}.work-3")
    assert info["config"]["ack_wait"] == 4_000_000_000
    assert Counter(r.message for r in caplog.records)["bus.consumer_drift"] == 16


async def test_consuming_waits_for_a_missing_stream_and_can_be_stopped(bus: Bus) -> None:
    seen = Seen()
    missing = Stream(name="MISSING", subjects=("missing.*.*",))
    async with batches(bus, missing, seen.batch) as stop:
        await asyncio.sleep(0.3)
        stop.set()
