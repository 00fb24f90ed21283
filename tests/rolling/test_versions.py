"""Processes of two versions work beside each other, on the way to the later one and back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from libs.common import subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.cli.admin import migrate
from libs.common.documents import COLLECTIONS, DIRECTORY, SYSTEM
from libs.common.schema import SCHEMA
from libs.common.seal import new_key_setting
from libs.common.store.open import open_store
from libs.common.subjects import DEAD, EVENTS
from tests.nats_server import NatsProcess
from tests.rolling.checks import check_all
from tests.rolling.fleet import Fleet, Replica, fleet
from tests.rolling.load import Load
from tests.rolling.next_version import make
from tests.soak import SOAK, sized

pytestmark = pytest.mark.chaos

IN_ORDER = ("notifier", "router", "scheduler", "desk", "ingest")
READERS_FIRST = IN_ORDER if SOAK else ("router",)
GOES_BACK = "desk" if SOAK else "router"
BESIDE_S = sized(2, 60)
STARTED = ("router", "desk") if SOAK else ("router",)


async def test_c06_d14_two_versions_work_beside_each_other_under_load(
    tmp_path: Path, nats_process: NatsProcess
) -> None:
    later = make()
    async with (
        fleet(tmp_path / "fleet", nats_process, later=later) as found,
        open_bus(nats_process.url, name="test") as bus,
    ):
        load = Load(found.stack)
        try:
            await load.begin()
            await say_what_is_not_known(bus, (await load.sessions())[0])
            await asyncio.sleep(BESIDE_S)
            for service in READERS_FIRST:
                await change(found, service, later)
            await change(found, GOES_BACK, None)
            await load.stop()
            await check_all(load)
        finally:
            await load.close()
        assert await bus.end_of(DEAD) == 0, "something was buried"
        await check_both_wrote(bus)


async def change(found: Fleet, service: str, source: Path | None) -> None:
    """Replace the first replica of a service by one of another version."""
    one = found.of(service)[0]
    one.source = source
    await one.restart(found.stack.http)


async def say_what_is_not_known(bus: Bus, session: str) -> None:
    """Publish a fact and a timer of kinds that no version here knows."""
    now = datetime.now(UTC)
    fact = {"fact_id": "f1", "type": "session.folded", "workspace": "demo", "session": session}
    body = msgspec.json.encode({**fact, "at": now, "fold": {"deep": [1]}})
    await bus.publish(subjects.fact("demo", "session.folded", session), body, msg_id="f1")
    timer = {"kind": "unfold", "workspace": "demo", "session": session}
    body = msgspec.json.encode({**timer, "due": now + timedelta(seconds=1)})
    await bus.publish(f"due.0.unfold.{session}", body, msg_id="t1")


async def check_both_wrote(bus: Bus) -> None:
    """Both versions have told facts: else they have not met."""
    first, last = await bus.bounds_of(EVENTS)
    of_next = 0
    for sequence in range(first, last + 1):
        message = await bus.stored(EVENTS, sequence)
        of_next += message is not None and b'"from_next":"n+1"' in message.data
    assert 0 < of_next < last - first + 1


@pytest.mark.parametrize("service", STARTED)
async def test_d14_a_service_does_not_start_on_the_store_of_a_later_schema(
    service: str, tmp_path: Path, nats_process: NatsProcess
) -> None:
    settings = {
        "RELAYDESK_NATS_URL": nats_process.url,
        "RELAYDESK_STORE_URL": f"sqlite:///{tmp_path / 'relaydesk.db'}",
        "RELAYDESK_SECRET_KEY": new_key_setting(),
    }
    await migrate(settings)
    async with open_store(settings["RELAYDESK_STORE_URL"], COLLECTIONS) as store:
        entry = await store.get(DIRECTORY, SYSTEM, "schema")
        assert entry is not None
        newer = (str(SCHEMA + 1), str(SCHEMA + 1))
        await store.replace(DIRECTORY, msgspec.structs.replace(entry, targets=newer))
    one = Replica(service, 0, tmp_path, settings)
    await one.start()
    assert one.process is not None
    assert await asyncio.wait_for(one.process.wait(), 30) == 2
    assert f"the store has schema {SCHEMA + 1}" in one.log.read_text()
