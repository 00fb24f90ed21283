"""What is told of the state that no counter can tell: real NATS, and the stores."""

from __future__ import annotations

import asyncio
import math
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import pytest
from prometheus_client import REGISTRY, Gauge
from prometheus_client.parser import text_string_to_metric_families

from libs.common.board import Board
from libs.common.bus.client import Bus, open_bus
from libs.common.bus.delivery import Ack, Delivery, Outcome
from libs.common.bus.options import Options
from libs.common.bus.shared import consume_shared
from libs.common.channel import Account
from libs.common.directory import AccountEntry, Directory
from libs.common.documents import (
    COLLECTIONS,
    DIRECTORY,
    SESSIONS,
    SYSTEM,
    DirectoryEntry,
    Session,
)
from libs.common.errors import BusUnavailableError, StoreUnavailableError
from libs.common.health import Seen
from libs.common.rhythm import WEEK_H, Rhythm, hour_of
from libs.common.seal import Sealer, new_key_setting
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.subjects import ACCOUNTS_KV, DEAD, EVENTS, HEALTH_KV, RHYTHM_KV
from services.scheduler import watch_metrics as metrics
from services.scheduler import watch_sessions
from services.scheduler.watch import MISSES, Rounds, SessionWatch
from services.scheduler.watch_accounts import MOST, AccountWatch
from services.scheduler.watch_bus import BusWatch
from services.scheduler.watch_rhythm import Rhythms
from tests.bus.kit import eventually
from tests.nats_server import NatsProcess
from tests.router.processes import Process
from tests.scheduler.rig import running, scheduler

NOW = datetime(2026, 11, 4, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def value(name: str, **labels: str) -> float | None:
    """Return what /metrics says of one line."""
    return REGISTRY.get_sample_value(name, labels)


def lines(gauge: Gauge) -> dict[tuple[str, ...], float]:
    """Return all lines of a gauge, by the values of their labels."""
    (metric,) = gauge.collect()
    return {tuple(sample.labels.values()): sample.value for sample in metric.samples}


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """Each engine."""
    async with open_store(store_url, COLLECTIONS) as opened:
        yield opened


@pytest.fixture
async def bus(nats_process: NatsProcess) -> AsyncIterator[Bus]:
    """A server of the test's own: what it holds is told."""
    async with open_bus(nats_process.url, name="t") as opened:
        yield opened


async def add_workspace(store: Store, name: str) -> None:
    entry = DirectoryEntry(
        id=f"workspace:{name}", workspace=SYSTEM, kind="workspace", targets=(name,)
    )
    await store.insert(DIRECTORY, entry)


def session(number: int, workspace: str, **more: Any) -> Session:
    return Session(
        **{
            "id": f"s{number}",
            "workspace": workspace,
            "account": "a",
            "channel": "line",
            "visitor": f"v{number}",
            "contact": f"c{number}",
            "list": "assigned",
            "open_key": f"a|v{number}",
            "created_at": NOW,
            "updated_at": NOW,
            **more,
        }
    )


def queued(number: int, workspace: str, waits: timedelta, priority: int = 0) -> Session:
    since = NOW - waits
    key = f"{999 - priority:03d} {since:%Y-%m-%dT%H:%M:%S.%f}"
    return session(number, workspace, list="unassigned", waiting_since=since, queue_key=key)


async def test_d14_sessions_are_told_by_list_and_channel_over_all_workspaces(store: Store) -> None:
    for name in ("one", "two"):
        await add_workspace(store, name)
    await store.insert_many(
        SESSIONS,
        [
            session(1, "one"),
            session(2, "two"),
            session(3, "two", channel="web", list="bot_hosted"),
            session(4, "two", list="ended", open_key=None),
        ],
    )

    await SessionWatch(store, lambda: NOW).look()

    told = lines(metrics.SESSIONS)
    assert told["assigned", "line"] == 2
    assert told["bot_hosted", "web"] == 1
    assert sum(told.values()) == 3, "those that ended are not open"
    assert told["unassigned", "whatsapp"] == 0, "each list and channel has a line"


WAITING = {
    "nobody waits": ((), {"unassigned": 0, "assigned": 0}),
    "the oldest of the queue": (
        (queued(1, "one", HOUR), queued(2, "one", 3 * HOUR), queued(3, "one", 2 * HOUR)),
        {"unassigned": 3 * 3600, "assigned": 0},
    ),
    "the oldest is behind those of a higher priority": (
        (queued(1, "one", HOUR, 9), queued(2, "one", 2 * HOUR, 5), queued(3, "one", 5 * HOUR)),
        {"unassigned": 5 * 3600, "assigned": 0},
    ),
    "one who waits for an answer": (
        (session(1, "one", awaiting_since=NOW - HOUR), session(2, "one")),
        {"unassigned": 0, "assigned": 3600},
    ),
    "of several workspaces the oldest": (
        (
            session(1, "one", awaiting_since=NOW - HOUR),
            session(2, "two", awaiting_since=NOW - 2 * HOUR),
            queued(3, "two", HOUR),
            queued(4, "one", 2 * HOUR),
        ),
        {"unassigned": 7200, "assigned": 7200},
    ),
    "a clock behind the writer's makes no negative age": (
        (session(1, "one", awaiting_since=NOW + HOUR),),
        {"unassigned": 0, "assigned": 0},
    ),
}


@pytest.mark.parametrize(("sessions", "expected"), WAITING.values(), ids=WAITING)
async def test_d14_longest_wait_is_told(
    ready_url: str, sessions: Sequence[Session], expected: dict[str, float]
) -> None:
    async with open_store(ready_url, COLLECTIONS) as store:
        for name in ("one", "two"):
            await add_workspace(store, name)
        for one in sessions:
            await store.insert(SESSIONS, msgspec.structs.replace(one))

        await SessionWatch(store, lambda: NOW).look()

    assert lines(metrics.OLDEST_WAITING) == {(name,): age for name, age in expected.items()}


class Counted:
    """Passes on to a store, and counts the commands."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.commands = 0

    def __getattr__(self, name: str) -> Any:
        self.commands += 1
        return getattr(self._store, name)


async def test_d14_pass_costs_the_same_however_many_sessions_there_are(ready_url: str) -> None:
    async with open_store(ready_url, COLLECTIONS) as store:
        await add_workspace(store, "one")
        costs = []
        for first, last in ((0, 10), (10, 10_000)):
            for start in range(first, last, 1000):
                rows = [
                    queued(number, "one", HOUR)
                    if number % 3
                    else session(number, "one", awaiting_since=NOW)
                    for number in range(start, min(start + 1000, last))
                ]
                await store.insert_many(SESSIONS, rows)
            counted = Counted(store)
            began = time.perf_counter()
            await watch_sessions.look(counted)
            costs.append((counted.commands, time.perf_counter() - began))

    assert costs[0][0] == costs[1][0] == 7
    assert costs[1][1] < 1.0, "measured: some 10 ms"
    print(f"10,000 sessions: {costs[1][0]} commands, {costs[1][1] * 1000:.1f} ms")  # noqa: T201


async def test_d14_streams_storage_and_dead_letters_are_told(bus: Bus) -> None:
    watch = BusWatch(bus.asker, 5_000_000, lambda: datetime.now(UTC))
    await watch.look()
    assert value("relaydesk_dead_letters", origin="router") == 0
    assert value("relaydesk_stream_messages", stream="DEAD") == 0
    assert value("relaydesk_jetstream_storage_limit_bytes") == 5_000_000

    for number, origin in enumerate(("router", "router", "notifier", "somebody")):
        await bus.publish(f"dead.{origin}.in.{number}.x", b"payload", msg_id=f"d{number}")
    await watch.look()

    assert value("relaydesk_dead_letters", origin="router") == 2
    assert value("relaydesk_dead_letters", origin="notifier") == 1
    assert value("relaydesk_dead_letters", origin="other") == 1
    assert value("relaydesk_dead_letters", origin="desk") == 0
    assert value("relaydesk_stream_messages", stream="DEAD") == 4
    assert (value("relaydesk_stream_bytes", stream="DEAD") or 0) > 4 * len(b"payload")
    assert (value("relaydesk_jetstream_storage_bytes") or 0) > 4 * len(b"payload")
    assert "KV_health" in {name for (name,) in lines(metrics.STREAM_MESSAGES)}

    (stored,) = await bus.read(DEAD, "dead.notifier.>")
    await bus.asker.api("STREAM.MSG.DELETE.DEAD", {"seq": stored.sequence})
    await watch.look()
    assert value("relaydesk_dead_letters", origin="notifier") == 0
    info = await bus.asker.api("STREAM.INFO.DEAD")
    assert info["state"]["consumer_count"] == 0, "counting leaves nothing behind"


async def test_d14_lag_and_age_of_the_oldest_are_told_by_reader(bus: Bus) -> None:
    stop, go_on = asyncio.Event(), asyncio.Event()

    async def handle(_delivery: Delivery) -> Outcome:
        await go_on.wait()
        return Ack()

    reading = asyncio.create_task(
        consume_shared(
            bus,
            EVENTS,
            "hooks-due",
            handle,
            subject="ev.one.>",
            stop=stop,
            service="notifier",
            at_once=2,
            options=Options(),
        )
    )
    late = timedelta(minutes=10)
    watch = BusWatch(bus.asker, 0, lambda: datetime.now(UTC) + late)
    labels = {"stream": "EVENTS", "reader": "hooks-due"}
    try:
        for number in range(5):
            await bus.publish(f"ev.one.x.{number}", b"{}", msg_id=f"e{number}")
            await asyncio.sleep(1.0 if number == 0 else 0.0)
        await bus.publish("ev.two.x.1", b"{}", msg_id="not this one's")
        await eventually_lag(watch, 5)
        assert value("relaydesk_consumer_lag", **labels) == 5, "two in hand, three wait"
        age = value("relaydesk_consumer_oldest_seconds", **labels) or 0
        assert late.total_seconds() + 1.0 <= age < late.total_seconds() + 60, "of the first of them"

        go_on.set()
        await eventually_lag(watch, 0)
        assert value("relaydesk_consumer_oldest_seconds", **labels) == 0
        assert math.isnan(value("relaydesk_jetstream_storage_limit_bytes") or 0)
    finally:
        stop.set()
        await reading


async def eventually_lag(watch: BusWatch, lag: int) -> None:
    """Look until the reader is known and so far behind."""
    async with asyncio.timeout(20):
        while lines(metrics.LAG).get(("EVENTS", "hooks-due")) != lag:
            await asyncio.sleep(0.05)
            await watch.look()


class Faulty:
    """A part that shows two gauges, and fails when told to."""

    def __init__(self, labelled: Gauge, single: Gauge) -> None:
        self.gauges = (labelled, single)
        self.error: Exception | None = None
        self.slow_s = 0.0

    async def look(self) -> None:
        await asyncio.sleep(self.slow_s)
        if self.error:
            raise self.error
        metrics.show(self.gauges[0], {("here",): 7})
        self.gauges[1].set(9)

    def shown(self) -> tuple[dict[tuple[str, ...], float], bool]:
        """Return the lines of the one, and whether the other says a number."""
        single = lines(self.gauges[1])[()]
        return lines(self.gauges[0]), not math.isnan(single)


FAULTS: dict[str, Callable[[Faulty], None]] = {
    "the store is away": lambda part: setattr(part, "error", StoreUnavailableError("away")),
    "a defect of ours": lambda part: setattr(part, "error", KeyError("bug")),
    "it takes too long": lambda part: setattr(part, "slow_s", 5.0),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_d14_figures_that_cannot_be_read_are_withdrawn(
    fault: Callable[[Faulty], None],
) -> None:
    part = Faulty(metrics.STREAM_BYTES, metrics.STORAGE)
    other = Faulty(metrics.STREAM_MESSAGES, metrics.UNTOLD)
    clock = [0.0]
    rounds = Rounds((part, other), timeout_s=0.05, clock=lambda: clock[0])
    assert math.isnan(rounds.age_s()), "before the first pass"
    await rounds.once()
    fault(part)

    for missed in range(1, MISSES + 1):
        assert part.shown() == ({("here",): 7}, True), f"after {missed - 1} passes it stands"
        clock[0] += 15.0
        await rounds.once()
        assert rounds.age_s() == 15.0 * missed, "as old as the oldest of them"

    assert part.shown() == ({}, False)
    assert other.shown() == ({("here",): 7}, True), "the others are read all the same"

    part.error, part.slow_s = None, 0.0
    await rounds.once()
    assert part.shown() == ({("here",): 7}, True)
    assert rounds.age_s() == 0.0


async def test_d14_passes_never_overlap_and_end_with_the_service() -> None:
    running_now, most, passes = [0], [0], [0]

    class Slow:
        gauges = ()

        async def look(self) -> None:
            running_now[0] += 1
            most[0] = max(most[0], running_now[0])
            await asyncio.sleep(0.02)
            running_now[0] -= 1
            passes[0] += 1

    stop = asyncio.Event()
    work = asyncio.create_task(Rounds((Slow(),)).run(stop, 0.0))
    await eventually(lambda: passes[0] >= 2)
    stop.set()
    async with asyncio.timeout(5):
        await work

    assert most[0] == 1


# --- accounts ------------------------------------------------------------------------------------

STEADY = Rhythm(
    last_at=NOW - HOUR, upto=hour_of(NOW) - 1, hours=("cccc",) * WEEK_H, weeks=(2016,) * 4
)


def account(slug: str, channel: str = "line", workspace: str = "one") -> Account:
    return Account(workspace=workspace, slug=slug, channel=channel, external_id=slug)


class Known(Directory):
    """A directory of accounts that a test sets."""

    def __init__(self, *accounts: Account) -> None:
        super().__init__(Sealer.from_setting(new_key_setting()))
        self.set(*accounts)

    def set(self, *accounts: Account) -> None:
        for slug in [one.slug for one in self.accounts()]:
            self.put_account(slug, None)
        for one in accounts:
            entry = AccountEntry(
                workspace=one.workspace,
                slug=one.slug,
                channel=one.channel,
                external_id=one.external_id,
            )
            self.put_account(one.slug, msgspec.json.encode(entry))


class Radar:
    """An account watch on a bus, with a clock, a directory and a board of the test's."""

    def __init__(self, bus: Bus, *accounts: Account) -> None:
        self.bus = bus
        self.now = NOW
        self.directory = Known(*accounts)
        self.board = Board()
        self.board.complete.set()
        self.rhythms = Rhythms()
        self.rhythms.complete.set()
        self.watch = AccountWatch(bus, self.directory, self.board, self.rhythms, lambda: self.now)

    def saw(self, slug: str, writer: str = "ingest.01", **seen: Any) -> None:
        value = msgspec.json.encode(Seen(at=self.now, **seen))
        self.board.put(f"{slug}.{writer}", value)

    async def live(self, until: datetime, *, heard: str = "") -> None:
        """Look every minute, a webhook of account *heard* each time."""
        while self.now < until:
            self.now += timedelta(minutes=1)
            if heard:
                self.saw(heard, webhook_at=self.now - timedelta(seconds=1))
            await self.watch.look()


async def test_d10_health_of_an_account_is_told(bus: Bus) -> None:
    radar = Radar(bus, account("acme"), account("other", "wechat", "two"), account("new", "web"))
    ends = NOW + timedelta(days=9)
    radar.saw("acme", webhook_at=NOW - HOUR, refused=2)
    radar.saw("acme", "ingest.02", webhook_at=NOW - 2 * HOUR, refused=3)
    radar.saw(
        "acme",
        "notifier.01",
        state="failing",
        state_at=NOW,
        errors={"throttled": 4, "a made-up code": 1, "another": 2},
        token_expires_at=ends,
        quota_used=0.8,
        quota_at=NOW,
    )
    radar.saw("other", "notifier.01", token_expires_at=ends)

    await radar.watch.look()

    acme = {"account": "acme", "channel": "line"}
    assert lines(metrics.ACCOUNT) == {
        ("acme", "line", "one"): 1,
        ("new", "web", "one"): 1,
        ("other", "wechat", "two"): 1,
    }
    told = value("relaydesk_account_last_webhook_timestamp_seconds", **acme)
    assert told == (NOW - HOUR).timestamp()
    assert value("relaydesk_account_refused", **acme) == 5
    assert value("relaydesk_account_refused", account="new", channel="web") == 0
    assert value("relaydesk_account_errors", **acme, code="throttled") == 4
    assert value("relaydesk_account_errors", **acme, code="other") == 3
    states = {"unknown": 0, "ok": 0, "failing": 1, "revoked": 0}
    for state, number in states.items():
        assert value("relaydesk_account_state", **acme, state=state) == number
    assert value("relaydesk_account_state", account="new", channel="web", state="unknown") == 1
    assert lines(metrics.TOKEN_EXPIRES) == {("acme", "line"): ends.timestamp()}
    assert value("relaydesk_account_quota_used_ratio", **acme) == 0.8
    assert value("relaydesk_accounts_untold") == 0
    assert ("new", "web") not in lines(metrics.LAST_WEBHOOK)

    radar.directory.set(account("new", "web"))
    await radar.watch.look()
    assert set(lines(metrics.STATE)) == {("new", "web", state) for state in states}


async def test_d14_no_more_than_a_thousand_accounts_are_told(bus: Bus) -> None:
    radar = Radar(bus, *(account(f"a{number:04d}") for number in range(MOST + 3)))
    began = time.perf_counter()

    await radar.watch.look()

    assert time.perf_counter() - began < 2.0, "measured: some 30 ms"
    assert len(lines(metrics.ACCOUNT)) == len(lines(metrics.SILENT)) == MOST
    assert value("relaydesk_accounts_untold") == 3


async def test_d10_stopped_feed_is_told_and_a_return_clears_it(bus: Bus) -> None:
    radar = Radar(bus, account("acme"), account("fresh"))
    radar.rhythms.put("acme", msgspec.json.encode(STEADY))
    acme, fresh = ({"account": slug, "channel": "line"} for slug in ("acme", "fresh"))
    radar.saw("acme", webhook_at=NOW - timedelta(minutes=1))
    radar.saw("fresh", webhook_at=NOW - timedelta(minutes=1))
    await radar.watch.look()
    assert value("relaydesk_account_silent", **acme) == 0

    await radar.live(NOW + timedelta(minutes=26))
    assert value("relaydesk_account_silent", **acme) == 1
    assert value("relaydesk_account_silent", **fresh) == 0, "nothing is known of it yet"

    radar.saw("acme", webhook_at=radar.now)
    await radar.watch.look()
    assert value("relaydesk_account_silent", **acme) == 0


async def test_d10_hours_watched_from_begin_to_end_are_learned_once_by_all_replicas(
    bus: Bus,
) -> None:
    radar, beside = Radar(bus, account("acme")), Radar(bus, account("acme"))
    for one in (radar, beside):
        await one.live(NOW + timedelta(hours=3), heard="acme")
        await one.live(NOW + timedelta(hours=3, minutes=40))

    entry = await bus.kv_get(RHYTHM_KV, "acme")
    assert entry is not None
    assert entry.value is not None
    rhythm = msgspec.json.decode(entry.value, type=Rhythm)
    assert rhythm.learned == 3, "13, 14 and 15 o'clock; of 12 the first half was not watched"
    assert rhythm.upto == hour_of(NOW) + 3
    digits = [rhythm.hours[(hour_of(NOW) + place) % WEEK_H] for place in range(5)]
    assert digits == ["", "c", "c", "6", ""]


async def test_d10_hour_with_a_gap_is_not_learned(bus: Bus) -> None:
    radar = Radar(bus, account("acme"))
    await radar.live(NOW + timedelta(minutes=35), heard="acme")
    radar.now += timedelta(minutes=10)
    await radar.live(NOW + timedelta(hours=2, minutes=35), heard="acme")

    entry = await bus.kv_get(RHYTHM_KV, "acme")
    assert entry is not None
    rhythm = msgspec.json.decode(entry.value or b"", type=Rhythm)
    hours = [rhythm.hours[(hour_of(NOW) + place) % WEEK_H] for place in range(4)]
    assert hours == ["", "", "c", ""], "of 13 o'clock ten minutes were not watched"


async def test_d10_silent_account_teaches_nothing(bus: Bus) -> None:
    radar = Radar(bus, account("acme"))
    radar.rhythms.put("acme", msgspec.json.encode(STEADY))
    await radar.live(NOW + timedelta(hours=3))

    entry = await bus.kv_get(RHYTHM_KV, "acme")
    assert entry is not None
    rhythm = msgspec.json.decode(entry.value or b"", type=Rhythm)
    assert rhythm.upto > STEADY.upto, "the hours are passed over"
    assert (rhythm.hours, rhythm.weeks) == (STEADY.hours, STEADY.weeks)


async def test_d10_account_switched_on_again_is_not_silent_at_once(bus: Bus) -> None:
    radar = Radar(bus, account("acme"))
    radar.rhythms.put("acme", msgspec.json.encode(STEADY))
    acme = {"account": "acme", "channel": "line"}
    await radar.watch.look()
    assert value("relaydesk_account_silent", **acme) == 1

    off = AccountEntry(
        workspace="one", slug="acme", channel="line", external_id="acme", enabled=False
    )
    radar.directory.put_account("acme", msgspec.json.encode(off))
    await radar.watch.look()
    assert value("relaydesk_account_silent", **acme) is None

    radar.directory.set(account("acme"))
    await radar.watch.look()
    assert value("relaydesk_account_silent", **acme) == 0
    await radar.live(NOW + timedelta(minutes=27))
    assert value("relaydesk_account_silent", **acme) == 1


async def test_d10_what_was_learned_of_an_account_goes_with_it(bus: Bus) -> None:
    radar = Radar(bus, account("acme"))
    await radar.live(NOW + timedelta(minutes=92), heard="acme")
    assert await bus.kv_get(RHYTHM_KV, "acme")

    radar.directory.set()
    await radar.watch.look()

    assert await bus.kv_get(RHYTHM_KV, "acme") is None


async def test_d10_unreadable_entry_of_a_newer_version_harms_nobody(bus: Bus) -> None:
    radar = Radar(bus, account("acme"))
    radar.rhythms.put("acme", b'{"last_at": 5}')

    await radar.watch.look()

    assert value("relaydesk_account_silent", account="acme", channel="line") == 0


async def test_d14_accounts_are_not_told_before_all_is_known(bus: Bus) -> None:
    radar = Radar(bus, account("acme"))
    radar.board.complete.clear()

    with pytest.raises(BusUnavailableError):
        await radar.watch.look()


# --- a process -----------------------------------------------------------------------------------


async def test_d14_scheduler_tells_all_of_it_and_withdraws_what_it_cannot_read(
    nats_process: NatsProcess, empty_store: Path, tmp_path: Path
) -> None:
    shutil.copy(empty_store, tmp_path / "store.db")
    process = scheduler("watch", tmp_path, nats_process.url, RELAYDESK_WATCH_S="1")
    async with open_bus(nats_process.url, name="t") as bus, running(process):
        entry = AccountEntry(workspace="one", slug="acme", channel="line", external_id="x")
        await bus.kv_put(ACCOUNTS_KV, "acme", msgspec.json.encode(entry))
        seen = Seen(at=datetime.now(UTC), webhook_at=datetime.now(UTC), refused=1)
        await bus.kv_put(HEALTH_KV, "acme.ingest.01", msgspec.json.encode(seen))
        where = {"account": "acme", "channel": "line"}
        await eventually_told(process, "relaydesk_account_refused", where, 1.0)
        told = scraped(process)
        assert {
            "relaydesk_sessions",
            "relaydesk_sessions_oldest_waiting_seconds",
            "relaydesk_dead_letters",
            "relaydesk_stream_messages",
            "relaydesk_account_silent",
        } <= {name for name, _ in told}
        assert told["relaydesk_watch_age_seconds", frozenset()] < 10

        nats_process.pause()
        try:
            events = {"stream": "EVENTS"}
            await eventually_told(process, "relaydesk_stream_messages", events, None)
            assert scraped(process)["relaydesk_watch_age_seconds", frozenset()] > 1
        finally:
            nats_process.resume()
        await eventually_told(process, "relaydesk_stream_messages", events, 0.0)


Line = tuple[str, frozenset[tuple[str, str]]]


def scraped(process: Process) -> dict[Line, float]:
    """Return what its /metrics says."""
    port = msgspec.json.decode(process.ports.read_bytes())["admin"]
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def eventually_told(
    process: Process, name: str, labels: dict[str, str], wanted: float | None
) -> None:
    """Return once /metrics says so; None: says nothing of it."""
    async with asyncio.timeout(60):
        while True:
            told = await asyncio.to_thread(scraped, process)
            if told.get((name, frozenset(labels.items()))) == wanted:
                return
            await asyncio.sleep(0.2)
