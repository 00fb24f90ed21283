"""Timers are armed before their documents are written; those that are lost, again from them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec
import pytest

from libs.common.armed import WRITTEN_IN, Change, arm_again, written
from libs.common.bus.client import Bus
from libs.common.bus.delivery import PubAck
from libs.common.directory import Directory
from libs.common.errors import BusUnavailableError, StaleRevisionError
from libs.common.events import Timer
from libs.common.later import SCHEDULED, ScheduledMessage
from libs.common.seal import Sealer, new_key_setting
from services.scheduler import reconcile
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


LATELY: dict[str, tuple[float, int, bool]] = {
    "due a minute ago": (-60, 1, True),
    "due a moment ago: it has its turn": (-5, 0, True),
    "many: they wait for their turn": (-60, 0, False),
}


@pytest.mark.parametrize(("in_s", "armed", "looked"), LATELY.values(), ids=LATELY)
async def test_c04_what_was_due_just_before_the_start_is_armed_once_few_wait(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, in_s: float, armed: int, *, looked: bool
) -> None:
    timers, due = Timers(), NOW + timedelta(seconds=in_s)
    monkeypatch.setattr(reconcile, "_PAGE", 2 if looked else 1)
    await rig.store.insert(SCHEDULED, scheduled(due_at=due, fires_at=due))
    assert await reconciler(rig, timers).late() is looked
    assert len(timers.armed) == armed


async def test_c04_what_is_held_is_armed_again_to_be_looked_at_now(rig: Rig) -> None:
    """Never for its later time: that could take the place of the router's own timer."""
    timers, until = Timers(), NOW + timedelta(minutes=5)
    await rig.store.insert(SCHEDULED, scheduled(held=True, hold_until=until, fires_at=until))
    assert await reconciler(rig, timers).reconcile() == 1
    assert [one.due for one in timers.armed] == [at(100)]


# --- the timer first, then the write -------------------------------------------------------------

HOUR, SOON = at(1000 + 3600), NOW + WRITTEN_IN


class Crash(BaseException):
    """The process is gone."""


class Desk:
    """Somebody who writes a scheduled message, and who may crash at any step of it."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.timers = rig, Timers()
        self.now = NOW

    async def stands(self, fires_at: datetime | None, **more: Any) -> ScheduledMessage:
        """Store it as it is, armed for its time."""
        more |= {"fires_at": fires_at, "due_at": fires_at or HOUR}
        return await self.rig.store.insert(SCHEDULED, scheduled(**more))

    async def write(
        self,
        before: ScheduledMessage | None,
        fires_at: datetime | None,
        instead: Callable[[], Awaitable[Any]] | None = None,
    ) -> ScheduledMessage:
        """Let it fire at *fires_at*; *instead* of the write, or just before it, something else."""
        more = {"fires_at": fires_at, "due_at": fires_at or HOUR}
        after = scheduled(**more) if before is None else msgspec.structs.replace(before, **more)

        async def write() -> ScheduledMessage:
            if instead is not None:
                await instead()
            store = self.rig.store
            return await (store.replace if before else store.insert)(SCHEDULED, after)

        change = Change(SCHEDULED, before, after)
        return await written(self.timers, self.rig.store, change, write, lambda: self.now)

    async def fires_at(self) -> datetime | None:
        doc = await self.rig.store.get(SCHEDULED, WORKSPACE, "sch1")
        return doc.fires_at if doc is not None else None

    @property
    def armed(self) -> list[datetime]:
        return [one.due for one in self.timers.armed]


@pytest.fixture
def desk(rig: Rig) -> Desk:
    return Desk(rig)


LATER = HOUR + timedelta(hours=1)
NONE = at(0)
"""No document yet."""
MOVES: dict[str, tuple[datetime | None, datetime | None, list[datetime], list[datetime]]] = {
    "made": (NONE, HOUR, [HOUR], []),
    "made to go at once": (NONE, NOW, [SOON], [NOW]),
    "made to go in a second": (NONE, at(1001), [SOON], [at(1001)]),
    "a draft": (NONE, None, [], []),
    "started": (None, HOUR, [HOUR], [HOUR]),
    "started at once": (None, NOW, [SOON], [NOW]),
    "earlier": (LATER, HOUR, [HOUR], [HOUR]),
    "earlier, to now": (LATER, NOW, [SOON], [NOW]),
    "earlier, where it fires in a moment anyhow": (at(1002), NOW, [], [NOW]),
    "later: what is armed is early, and armed again": (HOUR, LATER, [], []),
    "from long ago to now": (at(900), NOW, [], [NOW]),
    "no other time": (HOUR, HOUR, [], []),
    "cancelled": (HOUR, None, [], []),
}


@pytest.mark.parametrize(("stood", "wanted", "first", "then"), MOVES.values(), ids=MOVES)
async def test_c04_the_timer_comes_before_the_write(
    desk: Desk,
    stood: datetime | None,
    wanted: datetime | None,
    first: list[datetime],
    then: list[datetime],
) -> None:
    before = None if stood == NONE else await desk.stands(stood)
    seen: list[datetime] = []

    async def look() -> None:
        seen.extend(desk.armed)

    doc = await desk.write(before, wanted, look)
    assert (doc.fires_at, seen, desk.armed) == (wanted, first, first + then)
    assert desk.timers.numbers == [""] * len(desk.armed)


@pytest.mark.parametrize(("stood", "wanted", "first", "then"), MOVES.values(), ids=MOVES)
@pytest.mark.parametrize("writes", [False, True], ids=["before", "right after"])
async def test_c04_after_a_crash_at_the_write_nothing_is_armed_later_than_what_stands(
    desk: Desk,
    stood: datetime | None,
    wanted: datetime | None,
    first: list[datetime],
    then: list[datetime],
    writes: bool,
) -> None:
    del first, then
    before = None if stood == NONE else await desk.stands(stood)
    armed = [stood] if before is not None and stood is not None else []

    async def crash() -> None:
        if writes:
            more = {"fires_at": wanted}
            after = scheduled(**more) if not before else msgspec.structs.replace(before, **more)
            await (desk.rig.store.replace if before else desk.rig.store.insert)(SCHEDULED, after)
        raise Crash

    with pytest.raises(Crash):
        await desk.write(before, wanted, crash)
    stands = await desk.fires_at()
    newest = (armed + desk.armed)[-1:]
    assert stands is None or newest[0] <= max(stands, SOON)


async def test_c04_without_a_bus_nothing_is_written(desk: Desk) -> None:
    desk.timers.away = True
    with pytest.raises(BusUnavailableError):
        await desk.write(None, HOUR)
    assert await desk.rig.store.get(SCHEDULED, WORKSPACE, "sch1") is None


async def test_c04_a_write_that_took_long_is_armed_once_more(desk: Desk) -> None:
    """Its timer has perhaps fired before it."""

    async def long() -> None:
        desk.now = at(1090)

    await desk.write(None, at(1091), long)
    assert desk.armed == [at(1091), at(1091)]


async def test_c04_who_loses_the_write_arms_what_the_other_has_written(desk: Desk) -> None:
    before = await desk.stands(LATER)

    async def faster() -> None:
        other = msgspec.structs.replace(before, fires_at=at(2000), due_at=at(2000))
        await desk.rig.store.replace(SCHEDULED, other)

    with pytest.raises(StaleRevisionError):
        await desk.write(before, HOUR, faster)
    assert desk.armed == [HOUR, at(2000)]


async def test_c04_who_wins_the_write_is_armed_though_a_slower_one_arms_behind(desk: Desk) -> None:
    """An early timer is armed again for the time that stood, between the timer and the write."""
    before = await desk.stands(LATER)

    async def slower() -> None:
        await arm_again(desk.timers, desk.rig.store, SCHEDULED, before)

    await desk.write(before, HOUR, slower)
    assert desk.armed == [HOUR, LATER, HOUR]


async def test_c04_of_two_who_arm_at_once_the_newer_stands(desk: Desk) -> None:
    """The slower one arms the older time behind the newer one's, and sees it."""
    before = await desk.stands(LATER)

    async def edited() -> None:
        other = msgspec.structs.replace(before, fires_at=HOUR, due_at=HOUR)
        await desk.rig.store.replace(SCHEDULED, other)

    desk.timers.before = edited
    after = await arm_again(desk.timers, desk.rig.store, SCHEDULED, before)
    assert desk.armed == [LATER, HOUR]
    assert after.fires_at == HOUR
