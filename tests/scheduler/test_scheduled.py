"""A scheduled message at its time: what becomes of it, and why, as the document says."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal, NamedTuple

import msgspec
import pytest
from prometheus_client import REGISTRY

from libs.common.bus.delivery import Ack, PubAck
from libs.common.commands import Refused
from libs.common.documents import SESSIONS, Session
from libs.common.errors import StaleRevisionError
from libs.common.events import Fact, TextPart, Timer
from libs.common.later import SCHEDULED
from libs.common.switches import QuietHours
from services.scheduler import metrics
from services.scheduler.outcomes import Outcomes
from services.scheduler.scheduled import HELD_FOR, PATIENCE
from tests.router.faulty import Crashed, Steps
from tests.router.planned import DAY, HELLO, TEMPLATE, on
from tests.router.rig import WORKSPACE, Rig, at
from tests.scheduler.conftest import NewRig
from tests.scheduler.scheduled_stage import DELIVERY, DUE, Scene, scheduled

Story = Callable[[Scene], Awaitable[None]]
LATE = at(2 * DAY)
"""Behind the window of a visitor who wrote at the beginning."""
NIGHT = QuietHours(start="11:30", end="13:00")


async def _wrote(scene: Scene) -> None:
    await scene.writes("hello", 1)


async def _never_wrote(scene: Scene) -> None:
    """The visitor has no session."""


async def _wrote_since(scene: Scene) -> None:
    await scene.writes("hello", 1)
    await scene.writes("still there?", 50)


async def _here(scene: Scene) -> Session:
    session = await scene.writes("hello", 1)
    scene.plans |= {"session": session.id, "epoch": session.epoch}
    return session


async def _unmoved(scene: Scene) -> None:
    await _here(scene)


async def _taken(scene: Scene) -> None:
    session = await _here(scene)
    await scene.rig.done(scene.rig.claim(session.id, "ben"))


async def _ended(scene: Scene) -> None:
    session = await _here(scene)
    await scene.rig.done(scene.rig.end(session.id, "ben"))


async def _came_back(scene: Scene) -> None:
    await _ended(scene)
    await scene.writes("me again", 60)


class Case(NamedTuple):
    story: Story
    plan: dict[str, Any]
    state: str
    reason: str = ""
    says: str = ""
    channel: str = "messenger"
    account: dict[str, Any] = {}
    text: str = "Your parcel, Vera"


WAITS = {"due_at": LATE, "fires_at": LATE}
CASES = {
    "b25 into the session that is open": Case(_wrote, {}, "sent"),
    "b25 into one that has ended, where it is the newest": Case(_ended, {}, "sent"),
    "b25 into the one that is open by now": Case(_came_back, {}, "sent"),
    "b25 to somebody who never wrote, where the channel lets us": Case(
        _never_wrote, {}, "sent", channel="line", text="Your parcel, friend"
    ),
    "d08 to somebody who never wrote, where it does not": Case(
        _never_wrote, {}, "failed", "no_window", "has not written yet"
    ),
    "d08 the window has closed, and it is to fail": Case(
        _wrote, WAITS, "failed", "window_closed", "The time in which one may answer is over"
    ),
    "d08 the window has closed, and a template goes instead": Case(
        _wrote,
        {**WAITS, "when_closed": "template", "template": TEMPLATE},
        "sent",
        "template",
        "The window was closed: the template hello went out in its place.",
        channel="whatsapp",
        account={"templates": (HELLO,)},
        text="",
    ),
    "d08 the window is open, and the template is not needed": Case(
        _wrote,
        {"when_closed": "template", "template": TEMPLATE},
        "sent",
        channel="whatsapp",
        account={"templates": (HELLO,)},
    ),
    "d08 the account is switched off": Case(
        _wrote,
        {},
        "failed",
        "account_unavailable",
        "The account is switched off.",
        account={"enabled": False},
    ),
    "d08 only if no reply, and there was one": Case(
        _wrote_since,
        {"only_if_no_reply": True},
        "skipped",
        "replied",
        "The visitor wrote on 2026-03-01 12:00 (UTC), after this was scheduled.",
    ),
    "d08 only if no reply, and there was none": Case(_wrote, {"only_if_no_reply": True}, "sent"),
    "d03 only unless moved, and somebody took the session": Case(
        _taken,
        {"unless_moved": True},
        "skipped",
        "stale_epoch",
        "The session changed hands",
    ),
    "d03 only unless moved, and the visitor has another session": Case(
        _came_back, {"unless_moved": True}, "skipped", "stale_epoch", "has another session"
    ),
    "d03 only unless moved, and nothing did": Case(_unmoved, {"unless_moved": True}, "sent"),
    "d08 due in quiet hours that are over": Case(
        _wrote, {"quiet_hours": NIGHT, "zone": "Asia/Bangkok"}, "sent"
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_it_is_settled_with_a_reason_that_people_understand(rig: Rig, case: Case) -> None:
    scene = Scene(rig, case.channel, **case.account)
    await case.story(scene)
    due = (await scene.plan(**case.plan)).due_at
    await scene.run(due)
    doc = await scene.doc()
    assert (doc.state, doc.reason, doc.fires_at, doc.held) == (case.state, case.reason, None, False)
    assert case.says in doc.detail
    assert bool(doc.detail) == bool(case.reason)
    assert (bool(doc.message), doc.settled_at) == (case.state == "sent", due)
    texts = [part.text for one in scene.sent() for part in one.parts if isinstance(part, TextPart)]
    assert texts == ([case.text] if case.state == "sent" and case.text else [])
    assert len(scene.sent()) == (case.state == "sent")


# --- held --------------------------------------------------------------------------------------

HOLD = {**WAITS, "when_closed": "hold"}


async def test_d08_held_it_goes_out_when_the_visitor_writes(rig: Rig) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await scene.plan(**HOLD)
    await scene.run(LATE)
    doc = await scene.doc()
    assert (doc.state, doc.held, doc.reason, doc.claimed_at) == ("pending", True, "held", None)
    assert doc.fires_at == doc.hold_until == LATE + HELD_FOR
    assert "fails if they have not by 2026-03-10 12:00 (UTC)" in doc.detail
    await scene.writes("back", 3 * DAY)
    await scene.run(at(3 * DAY + 5))
    doc = await scene.doc()
    assert (doc.state, doc.reason, doc.held, len(scene.sent())) == ("sent", "", False, 1)


async def test_d08_held_it_fails_when_its_time_is_over(rig: Rig) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    until = LATE + timedelta(hours=3)
    await scene.plan(**HOLD, hold_until=until)
    await scene.run(until - timedelta(seconds=1))
    assert (await scene.doc()).state == "pending"
    await scene.run(until)
    doc = await scene.doc()
    assert (doc.state, doc.reason, doc.settled_at) == ("failed", "window_closed", until)
    assert doc.detail.startswith("The visitor did not write by 2026-03-03 15:00 (UTC). The time in")
    await scene.writes("back", 3 * DAY)  # the session still names it
    await scene.run(at(3 * DAY + 5))
    assert scene.sent() == []


async def test_d08_the_visitor_writes_while_the_end_of_the_waiting_is_armed(rig: Rig) -> None:
    """The router's timer is replaced by that of the end; so it is looked at once more."""
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await scene.plan(**HOLD)
    asked = scene.line.publish

    async def meanwhile(*what: Any, **more: Any) -> PubAck:
        scene.line.publish = asked  # type: ignore[method-assign]
        await scene.writes("back", 2 * DAY + 1)
        return await asked(*what, **more)

    scene.line.publish = meanwhile  # type: ignore[method-assign]
    await scene.run(LATE + timedelta(seconds=5))
    assert ((await scene.doc()).state, len(scene.sent())) == ("sent", 1)


@pytest.mark.parametrize("late_s", [1, 60, 20 * 3600], ids=["1 s", "1 min", "20 h"])
async def test_d08_a_session_that_knows_nothing_of_it_is_found(rig: Rig, late_s: float) -> None:
    """A router reads the ended session, it is held there, and the router opens the next one."""
    scene = Scene(rig)
    ended = (await scene.writes("hello", 1)).id
    await rig.done(rig.claim(ended, "ann"))
    await rig.done(rig.end(ended, "ann"))
    await scene.plan(**HOLD)
    written = LATE + timedelta(seconds=late_s)
    await scene.run(written)
    holding = await rig.only()
    assert holding.held == ("sch1",)
    seen = await rig.store.replace(SESSIONS, msgspec.structs.replace(holding, held=()))
    opened = await scene.writes("back", (written - at(0)).total_seconds())
    await rig.store.replace(SESSIONS, msgspec.structs.replace(seen, held=("sch1",)))
    assert (opened.id == ended, opened.held, scene.sent()) == (False, (), [])
    await scene.run(max(written + timedelta(seconds=5), LATE + 2 * (written - LATE)))
    doc = await scene.doc()
    assert (doc.state, doc.held, len(scene.sent())) == ("sent", False, 1)


async def test_d08_while_it_waits_it_is_looked_at_ever_less_often_and_in_quiet_hours_too(
    rig: Rig,
) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await scene.plan(**HOLD, quiet_hours=EVENING)
    await scene.run(LATE)
    before = await scene.doc()
    await scene.run(LATE + HELD_FOR - timedelta(seconds=1))
    assert await scene.doc() == before  # nothing is written, and nothing is moved
    assert scene.fired < 25


EVENING = QuietHours(start="13:30", end="20:00")
"""Around the time until which it is held."""
MORROW = at(3 * DAY + 8 * 3600)
"""When they are over on that day."""
ENDS_QUIETLY: dict[str, tuple[bool, str, str]] = {
    "nobody wrote": (False, "failed", "window_closed"),
    "the visitor did": (True, "sent", ""),
}


@pytest.mark.parametrize(("writes", "state", "reason"), ENDS_QUIETLY.values(), ids=ENDS_QUIETLY)
async def test_d08_held_until_a_time_in_quiet_hours_it_ends_when_they_are_over(
    rig: Rig, writes: bool, state: str, reason: str
) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    until = at(3 * DAY + 2 * 3600)
    await scene.plan(**HOLD, hold_until=until, quiet_hours=EVENING)
    await scene.run(until - timedelta(minutes=10))
    if writes:
        await scene.writes("back", (until - timedelta(minutes=9) - at(0)).total_seconds())
    before = scene.fired
    await scene.run(MORROW - timedelta(seconds=1))
    assert scene.fired - before == 1
    doc = await scene.doc()
    assert (doc.state, doc.fires_at, scene.sent()) == ("pending", MORROW, [])
    await scene.run(MORROW)
    doc = await scene.doc()
    assert (doc.state, doc.settled_at, len(scene.sent())) == (state, MORROW, int(writes))
    assert doc.reason in {reason, "quiet_hours"}


async def test_d08_held_and_let_go_in_quiet_hours_it_is_due_when_they_are_over(rig: Rig) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await scene.plan(**HOLD, quiet_hours=EVENING)
    await scene.run(LATE)
    await scene.writes("back", 3 * DAY + 3 * 3600)
    await scene.run(at(3 * DAY + 3 * 3600 + 5))
    doc = await scene.doc()
    assert (doc.state, doc.reason, doc.held) == ("pending", "quiet_hours", True)
    assert (doc.due_at, doc.wanted_at, doc.fires_at) == (MORROW, LATE, MORROW)
    await scene.run(MORROW)
    assert ((await scene.doc()).state, len(scene.sent())) == ("sent", 1)


# --- not yet -----------------------------------------------------------------------------------


async def test_d08_in_quiet_hours_it_moves_to_their_end(rig: Rig) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await scene.plan(quiet_hours=NIGHT)
    await scene.run(DUE)
    doc, end = await scene.doc(), at(3600)
    assert (doc.state, doc.reason, doc.fires_at, doc.due_at) == ("pending", "quiet_hours", end, end)
    assert doc.detail == "Moved to 2026-03-01 13:00 (UTC), when the quiet hours are over."
    await scene.run(end)
    doc = await scene.doc()
    assert (doc.state, doc.reason, len(scene.sent())) == ("sent", "quiet_hours", 1)


async def test_b25_a_timer_that_is_too_early_is_armed_again(rig: Rig) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await scene.plan()
    scene.line.armed["timer.scheduled.sch1"] = scene.timer(at(70))
    await scene.run(at(99))
    assert ((await scene.doc()).state, scene.sent()) == ("pending", [])
    await scene.run(DUE)
    assert len(scene.sent()) == 1


async def test_c04_however_often_its_timer_fires_it_goes_out_once(rig: Rig) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await scene.plan()
    rig.now = DUE
    handler = scene.handler()
    fired = (handler.fire(scene.timer(DUE), DELIVERY) for _ in range(8))
    assert set(await asyncio.gather(*fired)) == {Ack()}
    assert ((await scene.doc()).state, len(scene.sent())) == ("sent", 1)


async def test_b25_by_a_clock_behind_the_servers_it_goes_out_all_the_same(rig: Rig) -> None:
    """The server fired it: armed again for its time it would come back at once."""
    scene = Scene(rig)
    await scene.writes("hello", 1)
    doc = await scene.plan()
    rig.now = DUE - timedelta(seconds=2)
    assert await scene.handler().fire(scene.timer(DUE), DELIVERY) == Ack()
    doc = await scene.doc()
    assert (doc.state, doc.settled_at, len(scene.sent())) == ("sent", DUE, 1)


# --- a router that fails at it -----------------------------------------------------------------


async def test_i14_a_routers_own_fault_is_repeated_for_a_minute_and_keeps_nobody_waiting(
    rig: Rig,
) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await scene.plan()
    scene.line.answer = Refused(code="internal", status=500, detail="something went wrong")
    await scene.run(DUE + PATIENCE - timedelta(seconds=1))
    doc = await scene.doc()
    assert (doc.state, doc.claimed_at is not None) == ("pending", True)
    await scene.run(DUE + PATIENCE + timedelta(seconds=5))
    doc = await scene.doc()
    assert (doc.state, doc.reason, doc.detail) == ("failed", "internal", "Something went wrong.")
    assert 10 < scene.fired < 30


async def test_i14_a_router_that_recovers_sends_it(rig: Rig) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await scene.plan()
    scene.line.answer = Refused(code="internal", status=500, detail="something went wrong")
    await scene.run(DUE + timedelta(seconds=10))
    scene.line.answer = None
    await scene.run(DUE + timedelta(seconds=20))
    assert ((await scene.doc()).state, len(scene.sent())) == ("sent", 1)


# --- counted -----------------------------------------------------------------------------------


def counts() -> Counter[str]:
    found = {name: metrics.SCHEDULED.labels(name)._value.get() for name in COUNTED}
    late = REGISTRY.get_sample_value(
        "relaydesk_scheduler_late_seconds_count", {"kind": "scheduled"}
    )
    fired = metrics.FIRED.labels("scheduled")._value.get()
    return Counter({**found, "fired": fired, "late": late or 0})


COUNTED = ("sent", "failed", "skipped", "held")


async def test_what_is_held_counts_once_and_says_nothing_of_lateness(rig: Rig) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    await scene.plan(**HOLD)
    before = counts()
    await scene.run(LATE)
    scene.line.armed["timer.scheduled.sch1"] = scene.timer(LATE)  # as the sweep does
    await scene.run(LATE)
    assert counts() - before == {"held": 1}
    await scene.writes("back", 3 * DAY)
    await scene.run(at(3 * DAY + 5))
    assert counts() - before == {"held": 1, "sent": 1, "fired": 1}


async def test_an_outcome_that_is_faster_than_the_answer_counts_once(rig: Rig) -> None:
    scene = Scene(rig)
    await scene.writes("hello", 1)
    doc = await scene.plan()
    before = counts()
    sent = Fact(
        fact_id="f",
        type="scheduled.status",
        workspace=WORKSPACE,
        session="s",
        at=DUE,
        message="msg",
        status="sent",
        origin=f"scheduled:{doc.id}",
    )
    told = msgspec.structs.replace(DELIVERY, data=msgspec.json.encode(sent))
    outcomes = Outcomes(scene.means())
    assert await outcomes.handle(told) == Ack()
    assert counts() - before == {"sent": 1, "fired": 1, "late": 1}
    failed = msgspec.structs.replace(sent, status="failed", detail="blocked")
    told = msgspec.structs.replace(DELIVERY, data=msgspec.json.encode(failed))
    assert await outcomes.handle(told) == Ack()
    assert counts() - before == {"sent": 1, "fired": 1, "late": 1, "failed": 1}


async def test_d08_a_template_in_its_place_is_told_where_the_outcome_was_faster(rig: Rig) -> None:
    scene = Scene(rig, "whatsapp", templates=(HELLO,))
    await scene.writes("hello", 1)
    await scene.plan(**WAITS, when_closed="template", template=TEMPLATE)
    asked = scene.line.request

    async def request(*what: Any, **more: Any) -> bytes:
        answer = await asked(*what, **more)
        doc = msgspec.structs.replace(await scene.doc(), state="sent", status="sent", message="m")
        await rig.store.replace(SCHEDULED, doc)
        return answer

    scene.line.request = request  # type: ignore[method-assign]
    await scene.run(LATE)
    doc = await scene.doc()
    assert (doc.state, doc.reason, doc.message) == ("sent", "template", "m")
    assert "the template hello went out in its place" in doc.detail


# --- crashes and races -------------------------------------------------------------------------

Moment = Literal["before", "after"]
ROUNDS = 200
HELDS = {"sent": False, "held, then sent": True}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("holds", HELDS.values(), ids=HELDS)
async def test_c04_killed_at_any_step_it_goes_out_once(
    new_rig: NewRig, moment: Moment, *, holds: bool
) -> None:
    """A timer that is not acknowledged comes again."""
    dying = Steps()
    for number in range(1, 100):
        async with new_rig() as rig:
            scene = Scene(rig)
            await scene.writes("hello", 1)
            await scene.plan(**(HOLD if holds else {}))
            until = LATE if holds else DUE
            dying = Steps(number, moment)
            with suppress(Crashed):
                await scene.run(until, dying)
            await scene.run(until)
            if holds:
                assert ((await scene.doc()).held, scene.sent()) == (True, [])
                await scene.writes("back", 3 * DAY)
                await scene.run(at(3 * DAY + 5))
            assert ((await scene.doc()).state, len(scene.sent())) == ("sent", 1), dying.names
            if dying.count < number:
                break
    assert dying.count > 5, dying.names


async def test_i14_an_acknowledged_cancel_always_wins(rig: Rig) -> None:
    """200 races of a cancel, or a change, against the firing."""
    on(rig, "line")
    random.seed(14)
    outcomes = Counter([await _race(rig, number) for number in range(ROUNDS)])
    assert min(outcomes["cancelled"], outcomes["sent"]) >= 5, outcomes


async def _race(rig: Rig, number: int) -> str:
    scene = Scene(rig, "line")
    ref = f"sch{number}"
    await rig.store.insert(SCHEDULED, scheduled(id=ref, visitor=f"V{number}", channel="line"))
    rig.now = DUE
    timer = Timer(kind="scheduled", workspace=WORKSPACE, ref=ref, due=DUE)
    sent = len(scene.sent())

    async def cancel() -> bool:
        if number % 4 > 1:  # else at the very same moment
            await asyncio.sleep(random.uniform(0, 0.0015))  # noqa: S311 (a race, no secret)
        doc = await rig.store.get(SCHEDULED, WORKSPACE, ref)
        assert doc is not None
        if doc.state != "pending" or doc.claimed_at is not None:
            return False
        changed: dict[str, Any] = {"state": "cancelled", "fires_at": None}
        if number % 2:
            changed = {"due_at": LATE, "fires_at": LATE}
        try:
            await rig.store.replace(SCHEDULED, msgspec.structs.replace(doc, **changed))
        except StaleRevisionError:
            return False
        return True

    won, _ack = await asyncio.gather(cancel(), scene.handler().fire(timer, DELIVERY))
    went = len(scene.sent()) - sent
    doc = await rig.store.get(SCHEDULED, WORKSPACE, ref)
    assert doc is not None
    assert (went, doc.state == "sent") == ((0, False) if won else (1, True)), (won, went, doc)
    return "cancelled" if won else "sent"
