"""D07: an automatic end is undone, and the session stands again where it stood."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import pytest

from libs.common.documents import Bot, EndedFrom, Session
from libs.common.events import IdentityChanged
from libs.common.policies import bot_ref
from libs.common.policy import Policy
from libs.common.switches import IdleRule
from services.router.context import Context
from services.router.draft import Draft
from services.router.restore import RESTORED, restore
from services.router.room import Room
from services.router.seats import LEASE
from tests.router.faulty import FaultyStore, Steps
from tests.router.idle_stage import DAY, HOUR, Days, idle_settings
from tests.router.rig import WORKSPACE, Rig, at, event
from tests.router.stage import agents, policy
from tests.router.test_seats_crash import places

T = TypeVar("T")
RULE = IdleRule(
    lists=("bot_hosted", "unassigned", "assigned"), last=("visitor", "agent", "bot"), idle_s=HOUR
)
WAITS = idle_settings(RULE, auto_hosting=False)


@pytest.fixture
def days(rig: Rig) -> Days:
    rig.policy = policy(members=agents("amy", "bob"))
    rig.settings = WAITS
    return Days(rig)


async def ended(days: Days, *, owner: str = "", bot: bool = False) -> tuple[Session, Session]:
    """Return a session before and after its automatic end; *owner* has it, or a *bot*."""
    if bot:
        days.rig.settings = msgspec.structs.replace(WAITS, auto_hosting=True)
    session = await days.write()
    if owner:
        await days.rig.done(days.rig.assign(session.id, "lea", owner, "bob"))
    before = await days.session()
    await days.until(days.now_s + 2 * HOUR)
    after = await days.session()
    assert (after.list, after.end_reason) == ("ended", "auto_terminated")
    return before, after


STOOD: dict[str, dict[str, Any]] = {
    "with a bot": {"bot": True},
    "waiting, in its old place of the queue": {},
    "with its agents": {"owner": "amy"},
}
SAME = (
    "list",
    "open_key",
    "owner",
    "assignees",
    "assignee_ids",
    "bot",
    "bot_id",
    "automation",
    "switched",
    "waiting_since",
    "queue_key",
    "queue_need",
)


@pytest.mark.parametrize("how", STOOD.values(), ids=STOOD)
async def test_d07_it_stands_again_where_it_stood(days: Days, how: dict[str, Any]) -> None:
    before, end = await ended(days, **how)
    told = len(days.rig.bus.facts())
    done = await days.rig.done(days.restore(end.id))
    after = await days.session()
    assert {name: getattr(after, name) for name in SAME} == {
        name: getattr(before, name) for name in SAME
    }
    assert (after.ended_at, after.end_reason, after.ended_from) == (None, "", None)
    assert (after.because, after.epoch, after.idle_since) == (RESTORED, end.epoch + 1, days.rig.now)
    assert (done.session.list, done.session.epoch) == (before.list, after.epoch)
    moved = days.rig.bus.facts()[told]
    assert (moved.type, moved.because, moved.actor) == ("session.moved", RESTORED, "agent:lea")
    assert (moved.previous_list, moved.list, moved.owner) == (
        "ended",
        before.list,
        before.owner or "",
    )
    assert await days.lines(end.id, RESTORED) == ["restored by Lea: its automatic end is undone"]
    assert await places(days.rig.store) == ({"amy": {end.id}} if before.owner else {})


async def test_d07_it_ends_again_when_it_is_idle_again_and_not_before(days: Days) -> None:
    _, end = await ended(days)
    restored_s = days.now_s
    await days.rig.done(days.restore(end.id))
    stale = days.timer(end.id, "idle_end", at(restored_s - HOUR))
    await days.rig.done(stale)  # brought again, late
    await days.until(restored_s + HOUR - 1)
    assert (await days.session()).list == "unassigned"
    await days.until(restored_s + HOUR)
    after = await days.session()
    assert (after.list, after.ended_at) == ("ended", at(restored_s + HOUR))
    assert after.ended_from is not None
    assert after.ended_from.until == at(restored_s + HOUR + DAY)


async def test_d07_restored_twice_is_restored_once(days: Days) -> None:
    _, end = await ended(days)
    first = await days.rig.done(days.restore(end.id, key="same"))
    again = await days.rig.done(days.restore(end.id, key="same"))
    other = await days.rig.done(days.restore(end.id, "bob"))
    assert (again.repeated, other.message) == (True, None)
    assert first.session.epoch == other.session.epoch
    assert len(days.rig.bus.facts("session.moved")) == 1


async def test_d07_an_agent_who_is_full_by_now_has_it_all_the_same(days: Days) -> None:
    days.rig.policy = policy(members=agents("amy", limit=1))
    _, end = await ended(days, owner="amy")
    other = await days.write(visitor="U2")
    await days.rig.done(days.rig.claim(other.id, "amy"))
    await days.rig.done(days.restore(end.id))
    assert await places(days.rig.store) == {"amy": {end.id, other.id}}


async def test_d17_the_silent_owners_clock_begins_anew(days: Days) -> None:
    days.rig.settings = msgspec.structs.replace(WAITS, silent_owner_s=1800, auto_hosting=False)
    _, end = await ended(days, owner="amy")
    reminders = len(days.rig.bus.facts("session.notice"))
    await days.rig.done(days.restore(end.id))
    assert (await days.session()).awaiting_since == days.rig.now
    await days.pass_time(1801)
    assert len(days.rig.bus.facts("session.notice")) == reminders + 1


async def test_d07_what_the_visitor_writes_next_joins_the_restored_session(days: Days) -> None:
    _, end = await ended(days)
    await days.rig.done(days.restore(end.id))
    assert (await days.write("again")).id == end.id
    assert len(await days.rig.sessions()) == 1


UNDO_S = 600
REFUSED: dict[str, tuple[str, float, str]] = {
    "ended by an agent": ("agent", 0, "not_restorable"),
    "ended automatically, in time": ("auto", UNDO_S, ""),
    "ended automatically, too long ago": ("auto", UNDO_S + 0.001, "not_restorable"),
    "the visitor has another open session": ("another", 0, "another_open"),
    "the visitor had another one since, which has ended": ("another ended", 0, "another_open"),
}


@pytest.mark.parametrize(("how", "later", "code"), REFUSED.values(), ids=REFUSED)
async def test_d07_what_can_be_restored(days: Days, how: str, later: float, code: str) -> None:
    undo = msgspec.structs.replace(WAITS.termination, undo_s=UNDO_S)
    days.rig.settings = msgspec.structs.replace(WAITS, termination=undo)
    session = await days.write()
    if how == "agent":
        await days.rig.done(days.rig.end(session.id, "amy"))
    else:
        await days.pass_time(HOUR)
    other = session
    if how.startswith("another"):
        other = await days.write("hello again")
        assert other.id != session.id
    if how == "another ended":
        await days.rig.done(days.rig.end(other.id, "amy"))
    await days.pass_time(later)
    if not code:
        await days.rig.done(days.restore(session.id))
        [opened] = [one for one in await days.rig.sessions() if one.open_key]
        assert opened.id == session.id
        return
    refused = await days.rig.refused(days.restore(session.id))
    assert (refused.code, refused.status) == (code, 409)
    if code == "another_open":
        assert refused.facts == {"session": other.id}
    assert session.id in {one.id for one in await days.rig.sessions("ended")}


GONE: dict[str, tuple[list[dict[str, Any]], tuple[str, tuple[str, ...]]]] = {
    "all are there": (agents("amy", "bob"), ("assigned", ("amy", "bob"))),
    "the owner is disabled by now: the other one has it": (
        agents("bob", "eve"),
        ("assigned", ("bob",)),
    ),
    "nobody is left: it waits": (agents("eve"), ("unassigned", ())),
    "they may only read by now: it waits": (
        agents("amy", "bob", role="read_only"),
        ("unassigned", ()),
    ),
}


@pytest.mark.parametrize(("members", "stands"), GONE.values(), ids=GONE)
async def test_d07_only_who_may_still_have_sessions_gets_it_back(
    days: Days, members: list[dict[str, Any]], stands: tuple[str, tuple[str, ...]]
) -> None:
    _, end = await ended(days, owner="amy")
    days.rig.policy = policy(members=members)
    await days.rig.done(days.restore(end.id))
    after = await days.session()
    assert (after.list, after.assignee_ids) == stands
    assert (after.waiting_since, after.queue_key is not None) == (
        (None, False) if stands[1] else (days.rig.now, True)
    )
    assert await places(days.rig.store) == ({stands[1][0]: {end.id}} if stands[1] else {})


BOT = Bot(id="bot_a", workspace=WORKSPACE, name="a", kind="faq")
OTHER = msgspec.structs.replace(BOT, id="bot_b", name="b")
HOSTED = EndedFrom(list="bot_hosted", until=at(0), bot=True, bot_id="bot_a")
BOTS: dict[str, tuple[list[Bot], tuple[str, bool, str]]] = {
    "it is there": ([BOT, OTHER], ("bot_hosted", True, "bot_a")),
    "it is gone, another serves the channel": ([OTHER], ("bot_hosted", True, "bot_b")),
    "it is gone, and there is none: people have it": ([], ("unassigned", False, "")),
}


@pytest.mark.parametrize(("bots", "stands"), BOTS.values(), ids=BOTS)
async def test_d07_a_bot_that_is_gone_gets_nothing_back(
    days: Days, bots: list[Bot], stands: tuple[str, bool, str]
) -> None:
    _, end = await ended(days, bot=True)
    end.ended_from = msgspec.structs.replace(HOSTED, until=at(DAY * 9))
    rules = Policy(settings=WAITS, bots=tuple(map(bot_ref, bots)))
    room = Room(policy=rules, bots={bot.id: bot for bot in bots})
    draft = Draft(end, WAITS)
    restore(draft, days.restore(end.id), Context(now=days.rig.now, room=room))
    assert (draft.session.list, draft.session.bot, draft.session.bot_id) == stands


async def test_d07_a_session_that_somebody_ended_after_it_was_restored_stays_ended(
    days: Days,
) -> None:
    _, end = await ended(days)
    await days.rig.done(days.restore(end.id))
    await days.rig.done(days.rig.end(end.id, "amy"))
    assert (await days.rig.refused(days.restore(end.id))).code == "not_restorable"


# --- races, step by step -----------------------------------------------------------------------


class Interrupted(Steps):
    """Lets somebody else be faster, once, just before a step."""

    def __init__(self, name: str, rival: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self._name = name
        self._rival: Callable[[], Awaitable[object]] | None = rival

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        rival = self._rival
        if name == self._name and rival is not None:
            self._rival = None
            await rival()
        return await work()


def interrupted(days: Days, name: str, rival: Callable[[], Awaitable[object]]) -> Days:
    """Return another process, which is overtaken at the step *name*."""
    store = FaultyStore(days.rig.store, Interrupted(name, rival))
    return Days(days.rig.process(store, days.rig.bus), first=100)


async def test_d07_who_writes_while_it_is_restored_has_one_open_session(rig_of_each: Rig) -> None:
    """The visitor's new session is stored between the look and the write of the restored one."""
    rig_of_each.policy, rig_of_each.settings = policy(members=agents("amy")), WAITS
    days = Days(rig_of_each)
    _, end = await ended(days, owner="amy")
    slow = interrupted(days, "replace sessions", lambda: days.write("hello again"))
    refused = await slow.rig.refused(slow.restore(end.id, key="slow"))
    [opened] = [one for one in await days.rig.sessions() if one.open_key]
    assert opened.id != end.id
    assert (refused.code, refused.facts) == ("another_open", {"session": opened.id})
    slow.rig.now += LEASE  # until then nobody knows that no write of this revision comes
    await slow.rig.seats.settle()
    assert await places(days.rig.store) == {}


async def test_d07_restored_while_the_visitor_writes_the_message_joins_it(
    rig_of_each: Rig,
) -> None:
    """It is restored between the batch's look and its write of a new session."""
    rig_of_each.policy, rig_of_each.settings = policy(members=agents("amy")), WAITS
    days = Days(rig_of_each)
    _, end = await ended(days)
    slow = interrupted(days, "insert_many sessions", lambda: days.rig.done(days.restore(end.id)))
    wrote = await slow.write("hello again")
    [only] = await days.rig.sessions()
    assert (wrote.id, only.id, only.inbound) == (end.id, end.id, 2)


async def test_a_session_under_a_former_id_is_restored_under_the_present_one(days: Days) -> None:
    _, end = await ended(days)
    became = event(IdentityChanged, "i1", days.now_s, visitor="U9", previous="U1")
    await days.take(became)
    await days.rig.done(days.restore(end.id))
    assert (await days.session()).open_key == f"{end.account}|U9"
    await days.write("it is me", visitor="U9")
    [only] = await days.rig.sessions()
    assert (only.id, only.inbound) == (end.id, 2)
