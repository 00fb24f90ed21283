"""An account whose webhooks have stopped, in the words of the doctor."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from libs.common.bus.client import open_bus
from libs.common.directory import AccountEntry
from libs.common.doctor.health import look_at_health
from libs.common.doctor.installation import examine
from libs.common.health import Seen
from libs.common.rhythm import WEEK_H, Rhythm, hour_of
from libs.common.seal import new_key_setting
from libs.common.subjects import ACCOUNTS_KV, RHYTHM_KV
from tests.nats_server import NatsProcess

NOW = datetime(2026, 11, 4, 12, 30, tzinfo=UTC)
ACCOUNT = AccountEntry(workspace="w", slug="acme", channel="line", external_id="x")
BUSY = ("cccc",) * WEEK_H


def rhythm(
    silent_for: timedelta, hours: tuple[str, ...] = BUSY, on_since: datetime | None = None
) -> Rhythm:
    return Rhythm(
        last_at=NOW - silent_for,
        upto=hour_of(NOW) - 1,
        hours=hours,
        weeks=(2016,) * 4,
        on_since=on_since,
    )


class Case(NamedTuple):
    """What is known of an account, and how it is graded."""

    rhythm: Rhythm | None
    seen: Seen | None
    grade: str
    words: str


WELL = Seen(at=NOW, webhook_at=NOW - timedelta(minutes=10), state="ok", state_at=NOW)
CASES = {
    "it hears as usual": Case(rhythm(timedelta(hours=3)), WELL, "ok", "ok"),
    "nothing is known of its rhythm": Case(None, WELL, "ok", "ok"),
    "its webhooks have stopped": Case(
        rhythm(timedelta(hours=1)),
        msgspec.structs.replace(WELL, webhook_at=NOW - timedelta(hours=2)),
        "wrong",
        "silent: no webhook since 2026-11-04T11:30:00+00:00",
    ),
    "they stopped so long ago that no service remembers one": Case(
        rhythm(timedelta(days=20)), None, "wrong", "silent: no webhook since 2026-10-15"
    ),
    "it was switched on again lately": Case(
        rhythm(timedelta(days=2), on_since=NOW - timedelta(minutes=5)), None, "note", "unknown"
    ),
    "nothing is to be expected at this hour": Case(
        rhythm(timedelta(hours=1), hours=("0000",) * WEEK_H), WELL, "ok", "ok"
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_d10_doctor_tells_of_silence(case: Case) -> None:
    sightings = {"acme": [case.seen]} if case.seen else {}
    rhythms = {"acme": case.rhythm} if case.rhythm else {}

    (check,) = look_at_health([ACCOUNT], sightings, rhythms, NOW)

    assert check.grade == case.grade
    assert case.words in check.words


async def test_d10_doctor_reads_what_was_learned(
    nats_process: NatsProcess, empty_store: Path, tmp_path: Path
) -> None:
    shutil.copy(empty_store, tmp_path / "store.db")
    async with open_bus(nats_process.url, name="t") as bus:
        await bus.kv_put(ACCOUNTS_KV, "acme", msgspec.json.encode(ACCOUNT))
        await bus.kv_put(RHYTHM_KV, "acme", msgspec.json.encode(rhythm(timedelta(days=1))))
        await bus.kv_put(RHYTHM_KV, "other", b"of a newer version")
        environ = {
            "RELAYDESK_NATS_URL": nats_process.url,
            "RELAYDESK_STORE_URL": f"sqlite:///{tmp_path / 'store.db'}",
            "RELAYDESK_SECRET_KEY": new_key_setting(),
        }
        checks = {check.name: check async for check in examine(environ)}

    assert checks["health acme"].grade == "wrong"
    assert "silent" in checks["health acme"].words
