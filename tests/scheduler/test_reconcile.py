"""Timers that a crash left unarmed, or that are lost, are armed from their documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

import msgspec
import pytest

from libs.common.armed import arm
from libs.common.bus.client import Bus
from libs.common.bus.delivery import PubAck
from libs.common.directory import Directory
from libs.common.errors import BusUnavailableError
from libs.common.events import Timer
from libs.common.later import SCHEDULED, ScheduledMessage
from libs.common.seal import Sealer, new_key_setting
from services.scheduler.means import Means
from services.scheduler.reconcile import Reconciler
from tests.router.rig import WORKSPACE, Rig, at
from tests.scheduler.scheduled_stage import nobody, scheduled

NOW = at(1000)


class Timers:
    """Keeps what is armed; `before` is done first, as by somebody who is faster."""

    def __init__(self) -> None:
        self.armed: list[Timer] = []
        self.numbers: list[str] = []
        self.away = False
        self.before: Any = None

    async def publish(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> PubAck:
        assert subject.startswith("timer.")
        assert not msg_id
        if self.away:
            raise BusUnavailableError("away")
        self.armed.append(msgspec.json.decode(data, type=Timer))
        self.numbers.append((headers or {}).get("Nats-Msg-Id", ""))
        if self.before is not None:
            before, self.before = self.before, None
            await before()
        return PubAck(sequence=1, duplicate=False)


def reconciler(rig: Rig, timers: Timers) -> Reconciler:
    directory = Directory(Sealer.from_setting(new_key_setting()))
    return Reconciler(Means(cast(Bus, timers), rig.store, directory, lambda: NOW, nobody))


AGES: dict[str, tuple[dict[str, Any], bool]] = {
    "written a moment ago: who wrote it arms it": ({"unarmed_since": at(997)}, False),
    "unarmed for six seconds": ({"unarmed_since": at(994)}, True),
    "armed": ({}, False),
}


@pytest.mark.parametrize(("fields", "swept"), AGES.values(), ids=AGES)
async def test_c04_what_a_crash_left_unarmed_is_swept(
    rig: Rig, fields: dict[str, Any], *, swept: bool
) -> None:
    timers = Timers()
    await rig.store.insert(SCHEDULED, scheduled(**fields))
    assert await reconciler(rig, timers).sweep() == swept
    assert [one.due for one in timers.armed] == [at(100)] * swept
    doc = await rig.store.get(SCHEDULED, WORKSPACE, "sch1")
    assert doc is not None
    assert (doc.unarmed_since is None) == (swept or not fields)
    assert await reconciler(rig, timers).sweep() == 0


DUES: dict[str, tuple[float, bool]] = {
    "due in an hour and a second": (3601, False),
    "due within the hour": (3599, True),
    "due a minute ago: it has fired and waits its turn": (-60, False),
    "due long ago: it was lost": (-601, True),
}


@pytest.mark.parametrize(("in_s", "again"), DUES.values(), ids=DUES)
async def test_c04_what_is_due_soon_or_was_lost_is_armed_again(
    rig: Rig, in_s: float, *, again: bool
) -> None:
    timers, due = Timers(), NOW + timedelta(seconds=in_s)
    await rig.store.insert(SCHEDULED, scheduled(due_at=due, fires_at=due))
    assert await reconciler(rig, timers).reconcile() == again
    assert [one.due for one in timers.armed] == [due] * again
    assert timers.numbers == [""] * again  # no id by which the server would drop it as a repeat


async def test_c04_what_is_held_is_armed_again_to_be_looked_at_now(rig: Rig) -> None:
    """Never for its later time: that could take the place of the router's own timer."""
    timers, until = Timers(), NOW + timedelta(minutes=5)
    await rig.store.insert(SCHEDULED, scheduled(held=True, hold_until=until, fires_at=until))
    assert await reconciler(rig, timers).reconcile() == 1
    assert [one.due for one in timers.armed] == [at(100)]


async def test_c04_armed_right_after_its_write_the_mark_is_gone(rig: Rig) -> None:
    timers = Timers()
    doc = await rig.store.insert(SCHEDULED, scheduled(unarmed_since=NOW))
    doc = await arm(timers, rig.store, SCHEDULED, doc)
    assert (doc.unarmed_since, doc.rev) == (None, 2)
    assert await rig.store.get(SCHEDULED, WORKSPACE, "sch1") == doc
    assert timers.numbers == ["sch1:scheduled:1"]


async def test_c04_without_a_bus_the_write_stands_and_is_armed_later(rig: Rig) -> None:
    timers = Timers()
    timers.away = True
    doc = await rig.store.insert(SCHEDULED, scheduled(unarmed_since=at(990)))
    assert await arm(timers, rig.store, SCHEDULED, doc) == doc
    timers.away = False
    assert await reconciler(rig, timers).sweep() == 1


async def test_c04_of_two_who_arm_at_once_the_newer_stands(rig: Rig) -> None:
    """The slower one arms the older time behind the newer one's, and sees it."""
    timers = Timers()
    doc = await rig.store.insert(SCHEDULED, scheduled(unarmed_since=NOW))

    async def edited() -> None:
        newer: ScheduledMessage = msgspec.structs.replace(doc, due_at=at(50), fires_at=at(50))
        await rig.store.replace(SCHEDULED, msgspec.structs.replace(newer, unarmed_since=None))

    timers.before = edited
    after = await arm(timers, rig.store, SCHEDULED, doc)
    assert [one.due for one in timers.armed] == [at(100), at(50)]
    assert after.fires_at == at(50)
