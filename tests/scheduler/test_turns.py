"""A contact's scheduled messages go out as they were due, however their timers come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest

from libs.common.bus.delivery import Ack
from libs.common.commands import SendScheduled
from libs.common.errors import StoreUnavailableError
from libs.common.events import TextPart, Timer
from libs.common.later import SCHEDULED
from libs.common.switches import QuietHours
from services.scheduler import turns
from services.scheduler.scheduled import Scheduled
from tests.router.planned import DAY
from tests.router.rig import WORKSPACE, Rig, at
from tests.scheduler.scheduled_stage import DELIVERY, Scene, scheduled

LATE = at(2 * DAY)
"""Behind the window of a visitor who wrote at the beginning."""
FIRST, OVERDUE = at(100), at(200)
IDS = "5c", "1a", "4f", "2b", "3e", "0d"
"""In the order in which they are due; another one than that of their ids."""


class Planned(NamedTuple):
    """Differing from the others in *more*, and due *seconds* after the first."""

    ref: str
    seconds: float
    more: dict[str, Any] = {}


ROW = [Planned(ref, number) for number, ref in enumerate(IDS)]


async def plan(scene: Scene, row: Sequence[Planned], first: datetime = FIRST) -> None:
    for one in row:
        due = first + timedelta(seconds=one.seconds)
        fields = {"parts": (TextPart(text=one.ref),), "due_at": due, "fires_at": due}
        doc = scheduled(**scene.plans | fields | one.more | {"id": one.ref})
        await scene.rig.store.insert(SCHEDULED, doc)


def timer(ref: str, due: datetime) -> Timer:
    return Timer(kind="scheduled", workspace=WORKSPACE, ref=ref, due=due)


async def fire(scene: Scene, handler: Scheduled, refs: Sequence[str]) -> None:
    """Fire all at once, in this order."""
    fired = (handler.fire(timer(ref, scene.rig.now), DELIVERY) for ref in refs)
    assert set(await asyncio.gather(*fired)) == {Ack()}


def texts(scene: Scene) -> list[str]:
    return [part.text for one in scene.sent() for part in one.parts if isinstance(part, TextPart)]


ORDERS: dict[str, tuple[str, ...]] = {
    "backwards": IDS[::-1],
    "by their ids": tuple(sorted(IDS)),
    "the last alone": (IDS[-1],),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
async def test_b25_what_is_overdue_goes_out_as_it_was_due(rig: Rig, order: tuple[str, ...]) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await plan(scene, ROW)
    rig.now = OVERDUE
    await fire(scene, scene.handler(), order)
    assert texts(scene) == list(IDS)


async def test_b25_two_schedulers_keep_the_order_too(rig: Rig) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await plan(scene, ROW)
    rig.now = OVERDUE
    one, other = scene.handler(), scene.handler()
    await asyncio.gather(fire(scene, one, IDS[::-2]), fire(scene, other, IDS[-2::-2]))
    assert texts(scene) == list(IDS)


SAME: dict[str, list[Planned]] = {
    "by when they were wanted, where quiet hours moved them": [
        Planned("2", 0, {"wanted_at": at(50)}),
        Planned("3", 0, {"wanted_at": at(60)}),
        Planned("1", 0),
    ],
    "by when they were made, where nothing else differs": [
        Planned("2", 0, {"created_at": at(11)}),
        Planned("1", 0, {"created_at": at(12)}),
    ],
    "by id, where nothing differs": [Planned("1", 0), Planned("2", 0)],
}


@pytest.mark.parametrize("row", SAME.values(), ids=SAME)
async def test_b25_of_those_that_are_due_together(rig: Rig, row: list[Planned]) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await plan(scene, row)
    rig.now = OVERDUE
    await fire(scene, scene.handler(), [one.ref for one in reversed(row)])
    assert texts(scene) == [one.ref for one in row]


HOLDING = [one._replace(more={"when_closed": "hold"}) for one in ROW]


async def test_d08_what_is_held_goes_out_as_it_was_due(rig: Rig) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await plan(scene, HOLDING, LATE)
    handler = scene.handler()
    rig.now = LATE + timedelta(seconds=10)
    for ref in IDS:
        await handler.fire(timer(ref, rig.now), DELIVERY)
    assert scene.sent() == []
    await scene.writes("back", 3 * DAY)
    await fire(scene, handler, IDS[::-1])
    assert texts(scene) == list(IDS)


NIGHT = QuietHours(start="11:30", end="13:00")
KEEPS_NOTHING_BACK: dict[str, dict[str, Any]] = {
    "another account": {"account": "other"},
    "another contact": {"contact": "con2"},
    "not pending": {"state": "cancelled", "fires_at": None},
    "moved on": {"fires_at": at(3600)},
    "a router failed at it": {"faulty_since": at(150), "claimed_at": at(150)},
}


@pytest.mark.parametrize("more", KEEPS_NOTHING_BACK.values(), ids=KEEPS_NOTHING_BACK)
async def test_b25_what_does_not_go_now_keeps_nothing_back(rig: Rig, more: dict[str, Any]) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await plan(scene, [Planned("1", 0, more), Planned("2", 1)])
    rig.now = OVERDUE
    await fire(scene, scene.handler(), ["2"])
    assert texts(scene) == ["2"]


async def test_d08_what_waits_for_the_visitor_keeps_nothing_back(rig: Rig) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await plan(scene, [Planned("1", 0, {"when_closed": "hold"}), Planned("2", 1)], LATE)
    handler = scene.handler()
    rig.now = LATE + timedelta(seconds=10)
    await fire(scene, handler, ["1"])
    before = await rig.store.get(SCHEDULED, WORKSPACE, "1")
    await fire(scene, handler, ["2"])
    after = await rig.store.get(SCHEDULED, WORKSPACE, "2")
    assert after is not None
    assert after.state == "failed"
    assert await rig.store.get(SCHEDULED, WORKSPACE, "1") == before


async def test_b25_in_quiet_hours_all_move_to_their_end_and_keep_their_order(rig: Rig) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await plan(scene, [one._replace(more={"quiet_hours": NIGHT}) for one in ROW])
    rig.now = OVERDUE
    handler = scene.handler()
    await fire(scene, handler, IDS)
    assert scene.sent() == []
    rig.now = at(3600)
    await fire(scene, handler, IDS[::-1])
    assert texts(scene) == list(IDS)


async def test_c04_one_that_was_claimed_and_left_is_waited_for_and_goes_first(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever claimed it may have died; it is not waited for longer than an answer takes."""
    monkeypatch.setattr(turns, "UNDER_WAY", timedelta(seconds=0.2))
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await plan(scene, [Planned("1", 0, {"claimed_at": OVERDUE}), Planned("2", 1)])
    rig.now = OVERDUE
    began = time.monotonic()
    await fire(scene, scene.handler(), ["2"])
    assert time.monotonic() - began >= turns.UNDER_WAY.total_seconds()
    assert texts(scene) == ["1", "2"]


FAULTS: dict[str, tuple[Exception, bool]] = {
    "a router has no time for it": (StoreUnavailableError("overloaded"), False),
    "a fault of ours": (RuntimeError("it cannot be rendered"), True),
}


@pytest.mark.parametrize(("fault", "at_once"), FAULTS.values(), ids=FAULTS)
async def test_b25_one_that_comes_to_nothing_keeps_others_back_for_seconds_only(
    rig: Rig, fault: Exception, at_once: bool
) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await plan(scene, [Planned("1", 0), Planned("2", 1)])
    rig.now = OVERDUE
    handler = scene.handler()
    asked = scene.line.request

    async def request(subject: str, data: bytes, *, timeout_s: float) -> bytes:
        if msgspec.json.decode(data, type=SendScheduled).key == "1":
            raise fault
        return await asked(subject, data, timeout_s=timeout_s)

    scene.line.request = request  # type: ignore[method-assign]
    if not at_once:
        with pytest.raises(StoreUnavailableError):
            await handler.fire(timer("2", rig.now), DELIVERY)
        assert scene.sent() == []
        rig.now += turns.STUCK + timedelta(seconds=0.1)
    await fire(scene, handler, ["2"])
    assert texts(scene) == ["2"]
