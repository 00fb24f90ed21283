"""What becomes of an idle end that is due: put off, given a place in the pace, or brought."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest

from libs.common import subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.bus.delivery import Ack, Delivery, KvEntry, Outcome
from libs.common.directory import Directory
from libs.common.documents import COLLECTIONS, SESSIONS, WORKSPACES, Workspace
from libs.common.events import Timer
from libs.common.policy import Policy
from libs.common.seal import Sealer, new_key_setting
from libs.common.store.open import open_store
from libs.common.subjects import POLICY_KV, TIMERS
from libs.common.switches import ChannelSettings, IdleRule, Settings, Termination
from services.scheduler import idle_pass
from services.scheduler.idle import ROW, IdleEnds, pace_of
from services.scheduler.idle_pass import IdlePass, Spread, Watch, cause_of, lists_of
from services.scheduler.means import Means
from services.scheduler.meter import book, take_of
from tests.scheduler.rig import in_s, session_of

HOUR_S = 3600
LONG_AGO = in_s(-90 * 24 * HOUR_S)
RULE = IdleRule(idle_s=HOUR_S, lists=("assigned",))


def settings(**more: Any) -> Settings:
    termination = Termination(rules=(RULE,), per_minute=60, since=LONG_AGO)
    return Settings(
        auto_termination=more.pop("on", True),
        termination=msgspec.structs.replace(termination, **more),
    )


class Desk(NamedTuple):
    """The handler on real NATS and a store; `now` is its clock, `brought` what it brought."""

    means: Means
    brought: list[Timer]
    workspace: str

    async def set(self, chosen: Settings, *, heard: bool = True) -> None:
        value = msgspec.json.encode(Policy(settings=chosen))
        revision = await self.means.bus.kv_put(POLICY_KV, self.workspace, value)
        if heard:
            self.means.directory.put_policy(
                KvEntry(key=self.workspace, value=value, revision=revision)
            )

    async def idle(self, idle_s: float, **more: Any) -> str:
        """Store a session in which nothing has happened for so long."""
        id_ = f"ses_{uuid.uuid4().hex}"
        made = msgspec.structs.replace(
            session_of(id_),
            workspace=self.workspace,
            open_key=id_,
            idle_since=in_s(-idle_s),
            spoke="visitor",
            **more,
        )
        await self.means.store.insert(SESSIONS, made)
        return made.id

    async def fires(self, session: str, due: datetime, **more: Any) -> Outcome:
        timer = Timer(kind="idle_end", workspace=self.workspace, session=session, due=due, **more)
        return await IdleEnds(self.means).handle(timer, delivered(timer))

    async def told(self) -> Policy:
        """Return what all others are told."""
        found = await self.means.bus.kv_get(POLICY_KV, self.workspace)
        assert found is not None
        assert found.value is not None
        return msgspec.json.decode(found.value, type=Policy)

    async def armed(self, session: str) -> Timer | None:
        data = await self.means.bus.newest(TIMERS, subjects.timer("idle_end", session))
        return None if data is None else msgspec.json.decode(data, type=Timer)


def delivered(timer: Timer) -> Delivery:
    return Delivery(
        subject=f"due.0.idle_end.{timer.key}",
        data=msgspec.json.encode(timer),
        headers={},
        sequence=1,
        attempt=1,
        partition=0,
        pending=0,
        reply="",
    )


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    async with open_bus(nats_url, name="idle-test") as opened:
        yield opened


@pytest.fixture
async def desk(bus: Bus, ready_url: str) -> AsyncIterator[Desk]:
    brought: list[Timer] = []

    async def bring(timer: Timer, _delivery: Delivery) -> Outcome:
        brought.append(timer)
        return Ack()

    async with open_store(ready_url, COLLECTIONS) as store:
        directory = Directory(Sealer.from_setting(new_key_setting()))
        means = Means(bus, store, directory, lambda: in_s(0), bring)
        made = Desk(means, brought, f"w{uuid.uuid4().hex[:8]}")
        await made.set(settings())
        yield made


GONE: dict[str, dict[str, Any]] = {
    "it has ended": {"list": "ended"},
    "it is put aside": {"snoozed_until": in_s(HOUR_S)},
    "another application holds it": {"standby": True},
    "it went where no rule is": {"list": "unassigned"},
}


@pytest.mark.parametrize("change", GONE.values(), ids=GONE)
async def test_what_does_not_end_needs_no_timer(desk: Desk, change: dict[str, Any]) -> None:
    session = await desk.idle(2 * HOUR_S, **change)
    assert await desk.fires(session, in_s(-1)) == Ack()
    assert (desk.brought, await desk.armed(session)) == ([], None)


WROTE_MEANWHILE = {"it was too early": 60.0, "it waits for a place": 2.0 * HOUR_S}


@pytest.mark.parametrize("by_pass", [False, True], ids=["timer", "pass"])
@pytest.mark.parametrize("idle_s", WROTE_MEANWHILE.values(), ids=WROTE_MEANWHILE)
async def test_what_a_router_arms_meanwhile_is_not_replaced_by_a_later_time(
    desk: Desk, idle_s: float, by_pass: bool
) -> None:
    """It writes, and arms, between our look and our arming."""
    means = desk.means
    soon = IdleRule(idle_s=60, lists=("assigned",), last=("agent",))
    await desk.set(settings(rules=(RULE, soon)))
    pace = pace_of(means.directory.settings(desk.workspace))
    await book(means.store, desk.workspace, pace._replace(name=ROW), 900, means.now())
    session = await desk.idle(idle_s)
    publishes = means.bus.publish_soon

    def meanwhile(*what: Any, **more: Any) -> Any:
        means.bus.publish_soon = publishes  # type: ignore[method-assign]

        async def write_first() -> Any:
            found = await means.store.get(SESSIONS, desk.workspace, session)
            assert found is not None
            after = msgspec.structs.replace(found, spoke="agent", idle_since=in_s(0))
            await means.store.replace(SESSIONS, after)
            return await publishes(*what, **more)

        return write_first()

    means.bus.publish_soon = meanwhile  # type: ignore[method-assign]
    if by_pass:
        timer = Timer(kind="idle_pass", workspace=desk.workspace, ref=desk.workspace, due=in_s(0))
        assert await IdlePass(means).handle(timer, delivered(timer)) == Ack()
    else:
        assert await desk.fires(session, in_s(-1)) == Ack()
    armed = await desk.armed(session)
    assert armed is not None
    assert armed.due - in_s(0) < timedelta(seconds=61)
    assert not armed.slot


async def test_a_session_that_is_gone_needs_no_timer(desk: Desk) -> None:
    assert await desk.fires("ses_gone", in_s(-1)) == Ack()
    assert desk.brought == []


async def test_one_that_comes_too_early_is_armed_again_for_its_time(desk: Desk) -> None:
    session = await desk.idle(60)
    assert await desk.fires(session, in_s(-1)) == Ack()
    timer = await desk.armed(session)
    assert timer is not None
    assert (desk.brought, timer.slot) == ([], False)
    assert abs(timer.due - in_s(HOUR_S - 60)) < timedelta(seconds=5)


async def test_one_that_comes_by_the_servers_clock_alone_is_brought(desk: Desk) -> None:
    """Armed again, it would come back at once, until the clocks agree."""
    session = await desk.idle(HOUR_S - 2)
    stored = await desk.means.store.get(SESSIONS, desk.workspace, session)
    assert stored is not None
    assert stored.idle_since is not None
    assert await desk.fires(session, stored.idle_since + timedelta(hours=1)) == Ack()
    assert len(desk.brought) == 1


async def test_the_first_has_its_place_at_once_the_next_waits_for_theirs(desk: Desk) -> None:
    began = desk.means.now()
    ids = [await desk.idle(2 * HOUR_S) for _ in range(3)]
    for session in ids:
        assert await desk.fires(session, in_s(-1)) == Ack()
    assert [timer.session for timer in desk.brought] == ids[:1]
    for number, session in enumerate(ids[1:], 1):
        timer = await desk.armed(session)
        assert timer is not None
        assert timer.slot
        assert abs((timer.due - began).total_seconds() - number) < 0.5


PLACES: dict[str, tuple[float, str, bool, bool, tuple[float, float]]] = {
    "its place has come": (-0.1, "now", True, False, (0, 0)),
    "it comes late, and there is room": (-60, "now", True, False, (0, 0)),
    "it comes a moment too early for the pace": (-0.1, "now", True, True, (0, 3)),
    "it comes late, and there is no room": (-60, "now", True, True, (7, 10)),
    "its place was in another pace": (-0.1, "7/", True, False, (7, 10)),
    "it never had one": (-0.1, "now", False, False, (7, 10)),
}
"""When it was due, by which pace, as a place or not, whether the pace is full; then seconds between
which it is armed again: none, it is brought."""


@pytest.mark.parametrize(("ago_s", "of", "slot", "full", "waits"), PLACES.values(), ids=PLACES)
async def test_a_place_is_good_for_its_pace_and_room_for_who_comes(
    desk: Desk, ago_s: float, of: str, slot: bool, full: bool, waits: tuple[float, float]
) -> None:
    store, pace = desk.means.store, pace_of(settings())
    row = pace._replace(name=ROW)
    await book(store, desk.workspace, row, 9, desk.means.now())  # others come before
    if full:
        await take_of(store, desk.workspace, pace, 9, desk.means.now())
    session = await desk.idle(2 * HOUR_S)
    ref = pace.of if of == "now" else of
    assert await desk.fires(session, in_s(ago_s), slot=slot, ref=ref) == Ack()
    timer = await desk.armed(session)
    assert bool(desk.brought) is (timer is None) is (waits == (0, 0))
    if timer is not None:
        assert in_s(waits[0]) < timer.due < in_s(waits[1])


async def test_a12_switched_off_a_moment_ago_and_not_heard_of_yet(desk: Desk) -> None:
    session = await desk.idle(2 * HOUR_S)
    await desk.set(settings(on=False), heard=False)
    assert await desk.fires(session, in_s(-1)) == Ack()
    assert desk.brought == []


# --- the pass ------------------------------------------------------------------------------------


async def passed(desk: Desk, ref: str = "", due: datetime | None = None) -> None:
    timer = Timer(
        kind="idle_pass",
        workspace=desk.workspace,
        ref=ref or desk.workspace,
        due=due or desk.means.now(),
    )
    assert await IdlePass(desk.means).handle(timer, delivered(timer)) == Ack()


async def dues(desk: Desk, ids: list[str]) -> list[datetime | None]:
    found = [await desk.armed(session) for session in ids]
    return [timer.due if timer else None for timer in found]


async def test_a_pass_arms_what_nobody_touches_page_by_page(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle_pass, "PAGE", 2)
    ahead = [await desk.idle(60 * n) for n in range(5)]
    other = await desk.idle(60, list="unassigned")
    await passed(desk)
    found = await dues(desk, ahead)
    for number, due in enumerate(found):
        assert due is not None
        assert abs(due - in_s(HOUR_S - 60 * number)) < timedelta(seconds=5)
    assert await desk.armed(other) is None
    assert desk.brought == []


async def test_a12_those_who_are_counted_anew_are_looked_at_as_the_pace_allows(desk: Desk) -> None:
    since = desk.means.now()
    await desk.set(settings(since=since))
    ids = [await desk.idle(30 * 24 * HOUR_S) for _ in range(4)]
    await passed(desk)
    first = since + timedelta(seconds=HOUR_S)
    assert sorted(filter(None, await dues(desk, ids))) == [
        first + timedelta(seconds=n) for n in range(4)
    ]


async def test_what_is_overdue_gets_a_place_and_keeps_it_in_the_next_pass(desk: Desk) -> None:
    ids = [await desk.idle(2 * HOUR_S) for _ in range(3)]
    await passed(desk)
    places = await dues(desk, ids)
    began = min(filter(None, places))
    assert sorted(filter(None, places)) == [began + timedelta(seconds=n) for n in range(3)]
    await passed(desk)
    again = await dues(desk, ids)
    assert again[1:] == places[1:]  # the first was due at once
    await desk.set(settings(per_minute=6))
    await passed(desk)
    slower = sorted(filter(None, await dues(desk, ids)))
    assert slower[2] - slower[0] == timedelta(seconds=20)


async def test_a_second_look_is_at_what_was_written_lately(desk: Desk) -> None:
    """By a router that had not heard of the change when the first came by."""
    old, new = await desk.idle(60, updated_at=in_s(-HOUR_S)), await desk.idle(60)
    await passed(desk, f"{desk.workspace}=lately")
    assert [due is not None for due in await dues(desk, [old, new])] == [False, True]
    asked = subjects.timer("idle_pass", f"{desk.workspace}=lately")
    assert await desk.means.bus.newest(TIMERS, asked) is None
    await passed(desk)
    assert await desk.means.bus.newest(TIMERS, asked) is not None
    await desk.set(settings(on=False))
    await passed(desk)


# --- which changes arm anew ----------------------------------------------------------------------

ON = settings()


async def test_a12_on_from_before_there_was_a_policy_it_counts_from_when_it_is_seen(
    desk: Desk,
) -> None:
    """What a former version stored: the switch, which did nothing."""
    means, workspace = desk.means, desk.workspace
    former = msgspec.json.decode(b'{"auto_termination":true}', type=Settings)
    stored = Workspace(id=workspace, workspace=workspace, settings=former)
    await means.store.insert(WORKSPACES, stored)
    session = await desk.idle(60 * 24 * HOUR_S, list="unassigned", channel="messenger")
    began = in_s(0)
    watching = asyncio.create_task(Watch(means).run(asyncio.Event()))
    await desk.set(former)
    async with asyncio.timeout(30):
        while (policy := await desk.told()).settings.termination.since is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    watching.cancel()
    since = policy.settings.termination.since
    assert since is not None
    assert began <= since <= in_s(0)
    found = await means.store.get(WORKSPACES, workspace, workspace)
    assert found is not None
    assert found.settings == policy.settings
    await desk.set(policy.settings)
    timer = Timer(kind="idle_pass", workspace=workspace, ref=workspace, due=in_s(0))
    await IdlePass(means).handle(timer, delivered(timer))
    armed = await desk.armed(session)
    assert armed is not None
    assert armed.due == since + timedelta(days=1)
    assert not armed.slot


CAUSES: dict[str, tuple[Settings, bool]] = {
    "switched off": (settings(on=False), True),
    "another time": (settings(rules=(IdleRule(idle_s=60),)), True),
    "another pace": (settings(per_minute=7), True),
    "counted anew": (settings(since=in_s(0)), True),
    "an exception": (
        msgspec.structs.replace(ON, channels={"line": ChannelSettings(auto_termination=False)}),
        True,
    ),
    "another farewell": (settings(rules=(msgspec.structs.replace(RULE, farewell="Bye"),)), False),
    "longer undoing": (settings(undo_s=5), False),
    "another switch": (msgspec.structs.replace(ON, auto_assign=True), False),
    "another exception": (
        msgspec.structs.replace(ON, channels={"line": ChannelSettings(auto_assign=False)}),
        False,
    ),
}


@pytest.mark.parametrize(("after", "anew"), CAUSES.values(), ids=CAUSES)
def test_a_pass_is_for_what_decides_when(after: Settings, anew: bool) -> None:
    assert (cause_of(after) != cause_of(ON)) is anew


LISTS: dict[str, tuple[Settings, tuple[str, ...]]] = {
    "of the rules": (ON, ("assigned",)),
    "of all rules": (settings(rules=(RULE, IdleRule())), ("assigned", "bot_hosted", "unassigned")),
    "none where it is off": (settings(on=False), ()),
    "of a channel alone": (
        msgspec.structs.replace(
            settings(on=False), channels={"line": ChannelSettings(auto_termination=True)}
        ),
        ("assigned",),
    ),
}


@pytest.mark.parametrize(("chosen", "expected"), LISTS.values(), ids=LISTS)
def test_the_lists_that_a_pass_looks_through(chosen: Settings, expected: tuple[str, ...]) -> None:
    assert lists_of(chosen) == expected


def test_those_due_at_once_are_looked_at_one_after_the_other_others_at_their_time() -> None:
    spread, due = Spread(), in_s(0)
    found = [spread.look_at(due, 30) - due for _ in range(3)]
    assert found == [timedelta(seconds=2 * n) for n in range(3)]
    later = due + timedelta(microseconds=1)
    assert spread.look_at(later, 30) == later
