"""What is known of accounts: kept in memory, written now and then, added up on reading."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from libs.common import recorder as recorders
from libs.common.bus.client import Bus, open_bus
from libs.common.health import Seen, together
from libs.common.recorder import Recorder, recording
from libs.common.subjects import HEALTH_KV
from tests.nats_server import NatsProcess
from tests.notifier.rig import until

T = datetime(2026, 10, 1, tzinfo=UTC)


def after(minutes: float) -> datetime:
    return T + timedelta(minutes=minutes)


async def written(bus: Bus) -> dict[str, Seen]:
    """Return all entries by account and service."""
    found = {}
    for key in await bus.kv_keys(HEALTH_KV):
        entry = await bus.kv_get(HEALTH_KV, key)
        assert entry is not None
        assert entry.value is not None
        found[key.rpartition(".")[0]] = msgspec.json.decode(entry.value, type=Seen)
    return found


async def test_everything_that_is_noted_is_written(nats_process: NatsProcess) -> None:
    async with open_bus(nats_process.url, name="test") as bus:
        recorder = Recorder("ingest", now=lambda: after(9))
        recorder.webhook("page", after(1))
        recorder.refused(("page", "other"), after(2), count=3)
        recorder.sent("page", "reply", after(3))
        recorder.sent("page", "reply", after(4))
        recorder.failed("page", "throttled", after(5))
        recorder.token("page", after(120))
        await recorder.write(bus)
        assert await written(bus) == {
            "page.ingest": Seen(
                at=after(9),
                webhook_at=after(1),
                refused_at=after(2),
                refused=3,
                sent_at=after(4),
                failed_at=after(5),
                failed_code="throttled",
                errors={"throttled": 1},
                sent={"reply": 2},
                token_expires_at=after(120),
            ),
            "other.ingest": Seen(at=after(9), refused_at=after(2), refused=3),
        }


async def test_only_what_has_changed_is_written_and_replicas_do_not_overwrite_each_other(
    nats_process: NatsProcess,
) -> None:
    async with open_bus(nats_process.url, name="test") as bus:
        one, two = Recorder("notifier"), Recorder("notifier")
        one.webhook("a", T)
        two.webhook("a", T)
        await one.write(bus)
        await two.write(bus)
        keys = await bus.kv_keys(HEALTH_KV)
        assert len(keys) == 2
        assert {key.rpartition(".")[0] for key in keys} == {"a.notifier"}
        for key in keys:
            await bus.kv_delete(HEALTH_KV, key)
        one.webhook("b", T)
        await one.write(bus)
        assert set(await written(bus)) == {"b.notifier"}


async def test_a_round_is_bounded_and_the_rest_follows(
    nats_process: NatsProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorders, "MOST_AT_ONCE", 10)
    async with open_bus(nats_process.url, name="test") as bus:
        recorder = Recorder("ingest")
        recorder.refused([f"page-{n}" for n in range(25)], T)
        for expected in (10, 20, 25, 25):
            await recorder.write(bus)
            assert len(await bus.kv_keys(HEALTH_KV)) == expected


async def test_while_nats_is_away_notes_wait_and_nobody_is_delayed(
    nats_process: NatsProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorders, "WRITE_EVERY_S", 0.1)
    async with open_bus(nats_process.url, name="test") as bus:
        recorder = Recorder("ingest")
        async with recording(recorder, lambda: bus):
            nats_process.kill()
            await asyncio.sleep(0.3)
            began = time.monotonic()
            for n in range(1000):
                recorder.webhook("page", after(n))
            assert time.monotonic() - began < 1
            nats_process.start()

            async def there() -> bool:
                seen = (await written(bus)).get("page.ingest")
                return seen is not None and seen.webhook_at == after(999)

            await until(there, "the notes", within_s=20)


async def test_the_end_writes_what_is_left_and_waits_for_no_server(
    nats_process: NatsProcess,
) -> None:
    async with open_bus(nats_process.url, name="test") as bus:
        recorder = Recorder("ingest")
        async with recording(recorder, lambda: bus):
            recorder.webhook("page", T)
        assert set(await written(bus)) == {"page.ingest"}
        nats_process.pause()
        began = time.monotonic()
        async with recording(recorder, lambda: bus):
            recorder.webhook("page", after(1))
        assert time.monotonic() - began < 10
        nats_process.resume()
    async with recording(Recorder("ingest"), lambda: None):
        pass


OK = Seen(at=after(60), state="ok", state_at=after(1), sent_at=after(50), sent={"push": 2})
FAILING = Seen(at=after(40), state="failing", state_at=after(30), failed_at=after(35), refused=2)
INGEST = Seen(at=after(70), webhook_at=after(65), refused=3, refused_at=after(66))
REVOKED = Seen(
    at=after(61), state="revoked", state_at=after(55), failed_at=after(56), failed_code="credential"
)

VIEWS: dict[str, tuple[list[Seen], dict[str, object]]] = {
    "one alone is what it is": ([OK], {"state": "ok", "state_at": after(1), "sent": {"push": 2}}),
    "who succeeds stands above one that failed before": ([OK, FAILING], {"state": "ok"}),
    "who was refused since stands above the success": (
        [REVOKED, OK],
        {"state": "revoked", "failed_code": "credential", "sent_at": after(50)},
    ),
    "who judges nothing has no say": (
        [INGEST, FAILING],
        {"state": "failing", "refused": 5, "webhook_at": after(65), "at": after(70)},
    ),
    "counts add up": ([OK, OK, INGEST], {"sent": {"push": 4}, "refused": 3, "state": "ok"}),
}


@pytest.mark.parametrize(("seen", "expected"), VIEWS.values(), ids=VIEWS)
def test_d10_together(seen: list[Seen], expected: dict[str, object]) -> None:
    for order in (seen, seen[::-1]):
        view = together(order)
        assert view is not None
        assert {name: getattr(view, name) for name in expected} == expected


def test_of_nothing_nothing_is_known() -> None:
    assert together([]) is None
