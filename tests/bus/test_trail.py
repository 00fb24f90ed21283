"""A ledger's trail: everything that is settled is counted once, whatever dies or is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from libs.common.bus.client import Bus
from libs.common.bus.delivery import Ack, Delivery, Outcome, StoredMessage
from libs.common.documents import COLLECTIONS, SYSTEM
from libs.common.ledger import trail
from libs.common.ledger.buried import stored_time
from libs.common.ledger.page import LEDGERS, Ledger, missing_of
from libs.common.ledger.trail import Item, Standing, Trail
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.subjects import Stream
from tests.bus.kit import Seen, batches, fill, patient_bus, reconnecting, subject
from tests.nats_server import NatsProcess

CHANNEL = "line"


class Facts:
    """A judge who is told what is nowhere; everything else is stored."""

    def __init__(self, *nowhere: str) -> None:
        self.nowhere = set(nowhere)
        self.judged: list[str] = []

    def read(self, message: StoredMessage) -> Item:
        return Item(
            sequence=message.sequence,
            subject=message.subject,
            stored_at=stored_time(message.stored_at_ns),
            data=message.data,
            channel=CHANNEL,
            event=message.data.decode(),
        )

    async def judge(self, items: Sequence[Item]) -> list[str]:
        await asyncio.sleep(0)
        self.judged += [item.event for item in items]
        return ["" if item.event in self.nowhere else "stored" for item in items]


class Watched:
    """A trail whose clock is an hour ahead, so that nothing is too fresh to be counted."""

    def __init__(self, bus: Bus, store: Store, stream: Stream, judge: Facts) -> None:
        self.judge = judge
        self.told: list[Standing] = []
        self.trail = Trail(
            bus, store, stream, durable="work", judge=judge, tell=self.told.append, now=_ahead
        )

    async def sums(self, passed: int, within_s: float = 20.0) -> Ledger:
        """Step until *passed* messages are counted; return the sums."""
        async with asyncio.timeout(within_s):
            while not self.told or sum(self.told[-1].ledger.passed.values()) < passed:
                await self.trail.step()
                await asyncio.sleep(0.02)
        return self.told[-1].ledger


def _ahead() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


@pytest.fixture
async def store(ready_url: str) -> AsyncIterator[Store]:
    async with open_store(ready_url, COLLECTIONS) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is nowhere is missing at once; who lost a race does not rest."""
    monkeypatch.setattr(trail, "CONFIRM_S", 0.0)
    monkeypatch.setattr(trail, "YIELD_S", 0.0)


async def test_i15_what_is_settled_is_counted_once_over_pages(
    bus: Bus, stream: Stream, store: Store
) -> None:
    await fill(bus, stream, [(number % 16, "k") for number in range(450)])
    async with batches(bus, stream, Seen().batch):
        watched = Watched(bus, store, stream, Facts())
        ledger = await watched.sums(450)
    assert (ledger.passed, ledger.outcomes) == ({CHANNEL: 450}, {CHANNEL: {"stored": 450}})
    assert (ledger.expired, ledger.sequence, watched.told[-1].in_flight) == (0, 450, 0)
    assert len(watched.judge.judged) == 450
    assert await watched.trail.step() is False
    assert (await store.get(LEDGERS, SYSTEM, stream.name)) is not None


async def test_i15_what_is_in_work_is_in_flight_and_not_counted(
    bus: Bus, stream: Stream, store: Store
) -> None:
    await fill(bus, stream, [(3, "k")] * 10)
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        begun.set()
        await go.wait()
        return [Ack()] * len(deliveries)

    async with batches(bus, stream, slow):
        watched = Watched(bus, store, stream, Facts())
        await begun.wait()
        await watched.trail.step()
        assert (watched.told[-1].in_flight, watched.told[-1].ledger.passed) == (10, {})
        assert watched.told[-1].oldest is not None
        go.set()
        await watched.sums(10)
    last = watched.told[-1]
    assert last.in_flight == 0
    assert last.oldest is None


async def test_i15_what_is_nowhere_is_missing_until_it_is_found(
    bus: Bus, stream: Stream, store: Store
) -> None:
    await fill(bus, stream, [(number % 16, "k") for number in range(20)])
    async with batches(bus, stream, Seen().batch):
        watched = Watched(bus, store, stream, Facts("7", "9"))
        ledger = await watched.sums(20)
        assert [one.event for one in ledger.missing] == ["7", "9"]
        assert (ledger.passed, missing_of(ledger)) == ({CHANNEL: 20}, {CHANNEL: 2})
        assert ledger.outcomes == {CHANNEL: {"stored": 18}}
        watched.judge.nowhere = {"9"}
        await watched.trail.step()
    ledger = watched.told[-1].ledger
    assert [one.event for one in ledger.missing] == ["9"]
    assert ledger.outcomes == {CHANNEL: {"stored": 19}}


async def test_i15_an_erased_message_stops_being_missing(
    bus: Bus, stream: Stream, store: Store
) -> None:
    await fill(bus, stream, [(0, "k")] * 5)
    async with batches(bus, stream, Seen().batch):
        watched = Watched(bus, store, stream, Facts("2"))
        await watched.sums(5)
        await bus.erase(stream, lambda message: message.data == b"2")
        await watched.trail.step()
    ledger = watched.told[-1].ledger
    assert (ledger.missing, ledger.outcomes) == ((), {CHANNEL: {"stored": 4, "erased": 1}})


async def test_i15_it_is_not_called_missing_at_the_first_look(
    bus: Bus, stream: Stream, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "CONFIRM_S", 60.0)
    await fill(bus, stream, [(0, "k")] * 5)
    async with batches(bus, stream, Seen().batch):
        watched = Watched(bus, store, stream, Facts("2"))
        assert (await watched.sums(2)).missing == ()
        await watched.trail.step()
        assert sum(watched.told[-1].ledger.passed.values()) == 2, "it waits before the suspect"
        watched.judge.nowhere.clear()
        assert (await watched.sums(5)).outcomes == {CHANNEL: {"stored": 5}}


async def test_i15_what_left_the_stream_unseen_is_told_as_expired(
    bus: Bus, stream: Stream, store: Store
) -> None:
    await fill(bus, stream, [(number % 16, "k") for number in range(30)])
    async with batches(bus, stream, Seen().batch):
        watched = Watched(bus, store, stream, Facts())
        await watched.sums(30)
        await fill(bus, stream, [(number % 16, "k") for number in range(30)], start=30)
        gone = {str(number).encode() for number in (30, 31, 40, 58, 59)}
        await bus.erase(stream, lambda message: message.data in gone)
        ledger = await watched.sums(55)
        await watched.trail.step()
    ledger = watched.told[-1].ledger
    assert (ledger.outcomes, ledger.expired) == ({CHANNEL: {"stored": 55}}, 5)
    assert (ledger.sequence, watched.told[-1].in_flight) == (60, 0)


async def test_i15_replicas_beside_each_other_count_once(
    bus: Bus, stream: Stream, store: Store
) -> None:
    await fill(bus, stream, [(number % 16, "k") for number in range(600)])
    async with batches(bus, stream, Seen().batch):
        replicas = [Watched(bus, store, stream, Facts()) for _ in range(3)]
        found = await asyncio.gather(*(one.sums(600) for one in replicas))
    assert {one.sequence for one in found} == {600}
    assert all(one.outcomes == {CHANNEL: {"stored": 600}} for one in found), "alike in each"


async def test_i15_one_replica_works_while_the_others_rest(
    bus: Bus, stream: Stream, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "YIELD_S", 60.0)
    await fill(bus, stream, [(number % 16, "k") for number in range(600)])
    async with batches(bus, stream, Seen().batch):
        one, other = (Watched(bus, store, stream, Facts()) for _ in range(2))
        await other.trail.step()
        await asyncio.gather(one.sums(600), other.sums(600))
    assert len(one.judge.judged) + len(other.judge.judged) <= 800, "a page was looked at twice"


async def test_i15_a_new_process_goes_on_where_the_last_one_died(
    bus: Bus, stream: Stream, store: Store
) -> None:
    await fill(bus, stream, [(number % 16, "k") for number in range(450)])
    async with batches(bus, stream, Seen().batch):
        await Watched(bus, store, stream, Facts()).sums(200)
        after = Watched(bus, store, stream, Facts())
        assert (await after.sums(450)).outcomes == {CHANNEL: {"stored": 450}}
    assert len(after.judge.judged) <= 250


async def test_i15_a_full_list_stands_still_and_goes_on_when_it_empties(
    bus: Bus, stream: Stream, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "MOST_MISSING", 200)
    await fill(bus, stream, [(number % 16, "k") for number in range(450)])
    async with batches(bus, stream, Seen().batch):
        watched = Watched(bus, store, stream, Facts(*map(str, range(450))))
        await watched.sums(200)
        await watched.trail.step()
        assert (len(watched.told[-1].ledger.missing), watched.told[-1].in_flight) == (200, 250)
        watched.judge.nowhere.clear()
        await watched.sums(450)
        while watched.told[-1].ledger.missing:
            await watched.trail.step()
    assert watched.told[-1].ledger.outcomes == {CHANNEL: {"stored": 450}}


async def test_i15_a_stream_made_anew_is_counted_on_top(
    nats_process: NatsProcess, stream: Stream, store: Store
) -> None:
    async with patient_bus(nats_process.url, stream) as bus:
        await fill(bus, stream, [(number % 16, "k") for number in range(30)])
        async with batches(bus, stream, Seen().batch):
            watched = Watched(bus, store, stream, Facts())
            await watched.sums(30)
            await bus.asker.api(f"STREAM.DELETE.{stream.name}")
            bus.look_now()
            seen = Seen()
        await eventually_there(bus, stream)
        await fill(bus, stream, [(number % 16, "n") for number in range(20)], start=100)
        async with batches(bus, stream, seen.batch):
            ledger = await watched.sums(50)
    assert (ledger.outcomes, ledger.expired, ledger.sequence) == ({CHANNEL: {"stored": 50}}, 0, 20)


async def test_i15_a_stream_restored_from_an_older_copy_is_counted_on(
    nats_process: NatsProcess, stream: Stream, store: Store, tmp_path: Path
) -> None:
    async with patient_bus(nats_process.url, stream) as bus:
        await fill(bus, stream, [(number % 16, "k") for number in range(30)])
        async with batches(bus, stream, Seen().batch):
            watched = Watched(bus, store, stream, Facts())
            await watched.sums(30)
            async with reconnecting(bus):
                nats_process.stop()
                nats_process.save(tmp_path / "copy")
                nats_process.start()
            await fill(bus, stream, [(1, "k")] * 10, start=30)
            await watched.sums(40)
            async with reconnecting(bus):
                nats_process.stop()
                nats_process.restore(tmp_path / "copy")
                nats_process.start()
            while watched.told[-1].ledger.sequence != 30:
                await watched.trail.step()
            await fill(bus, stream, [(1, "k")] * 5, start=60)
            ledger = await watched.sums(45)
    assert (ledger.outcomes, ledger.expired, ledger.sequence) == ({CHANNEL: {"stored": 45}}, 0, 35)


async def test_i15_a_store_restored_from_a_backup_misses_what_it_lost(
    bus: Bus, stream: Stream, store: Store
) -> None:
    """Its sums are as old as its entries: what came since is looked for again, and told."""
    await fill(bus, stream, [(number % 16, "k") for number in range(20)])
    async with batches(bus, stream, Seen().batch):
        watched = Watched(bus, store, stream, Facts())
        backup = await watched.sums(20)
        await fill(bus, stream, [(1, "k")] * 3, start=20)
        await watched.sums(23)
        now = await store.get(LEDGERS, SYSTEM, stream.name)
        assert now is not None
        await store.delete(LEDGERS, SYSTEM, stream.name)
        await store.insert(LEDGERS, backup)
        after = Watched(bus, store, stream, Facts("20", "21", "22"))
        ledger = await after.sums(23)
    assert [one.event for one in ledger.missing] == ["20", "21", "22"]
    assert ledger.missing[0].subject == subject(stream, 1)


async def eventually_there(bus: Bus, stream: Stream) -> None:
    while True:
        try:
            await bus.bounds_of(stream)
        except Exception:  # noqa: BLE001 (not there yet)
            await asyncio.sleep(0.05)
        else:
            return
