"""A session that is put aside until a time: what it is spared, and what takes it back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec
import pytest

from libs.common.commands import Snooze
from libs.common.documents import Session
from libs.common.events import DeliveryReported
from libs.common.switches import IdleRule
from services.router.snooze import LONGEST
from tests.router.idle_stage import HOUR, Days, idle_settings
from tests.router.rig import Rig, at, event
from tests.router.stage import agents, policy

RULE = IdleRule(
    lists=("bot_hosted", "unassigned", "assigned"), last=("visitor", "agent", "bot"), idle_s=HOUR
)
WAITS = idle_settings(RULE, auto_hosting=False, silent_owner_s=1800)
UNTIL = 10 * HOUR
Deed = Callable[[Days, Session], Awaitable[object]]


@pytest.fixture
def days(rig: Rig) -> Days:
    rig.policy = policy(members=agents("amy", "bob"))
    rig.settings = WAITS
    return Days(rig)


async def put_aside(days: Days, *, owner: str = "", until: float = UNTIL) -> Session:
    """Return a session that Lea has put aside; *owner* has it."""
    session = await days.write()
    if owner:
        await days.rig.done(days.rig.assign(session.id, "lea", owner, "bob"))
    await days.rig.done(days.snooze(session.id, "lea", until))
    return await days.session()


async def test_it_stays_where_it_is_and_nobody_waits_for_it(days: Days) -> None:
    session = await days.write()
    waiting = (session.waiting_since, session.queue_key)
    done = await days.rig.done(days.snooze(session.id, "lea", UNTIL))
    after = await days.session()
    assert (after.list, after.waiting_since, after.queue_key) == ("unassigned", waiting[0], None)
    assert (after.snoozed_until, after.snoozed_by) == (at(UNTIL), "lea")
    assert after.due == {"snooze": at(UNTIL)}
    assert after.epoch == session.epoch
    assert done.session.snoozed_until == at(UNTIL)
    [fact] = days.rig.bus.facts("session.snoozed")
    assert (fact.actor, fact.because, fact.due) == ("agent:lea", "snoozed", at(UNTIL))
    assert await days.lines(session.id, "snoozed") == ["snoozed by Lea until 2026-03-01 22:00 UTC"]


async def test_its_owner_is_not_silent_and_it_does_not_end(days: Days) -> None:
    session = await put_aside(days, owner="amy")
    assert set(session.due) == {"snooze"}
    await days.until(UNTIL - 1)
    after = await days.session()
    assert (after.list, after.snoozed_until) == ("assigned", at(UNTIL))
    assert days.rig.bus.facts("session.notice", "session.ended") == []


async def test_it_wakes_at_its_time_once_and_its_agents_are_told(days: Days) -> None:
    session = await put_aside(days, owner="amy")
    await days.until(UNTIL)
    after = await days.session()
    assert (after.list, after.owner) == ("assigned", "amy")
    assert (after.snoozed_until, after.snoozed_by) == (None, "")
    assert await days.lines(session.id, "woken") == ["woken: the time has come"]
    [notice] = days.rig.bus.facts("session.notice")
    assert (notice.because, notice.notify) == ("snooze_over", ("amy", "bob"))
    snoozed = [(f.because, f.due) for f in days.rig.bus.facts("session.snoozed")]
    assert snoozed == [("snoozed", at(UNTIL)), ("snooze_over", None)]
    await days.rig.done(days.timer(session.id, "snooze", at(UNTIL)))  # brought again
    assert len(days.rig.bus.facts("session.notice")) == 1


async def test_d17_after_it_the_silent_owners_clock_begins_anew(days: Days) -> None:
    await put_aside(days, owner="amy")
    await days.until(UNTIL)
    assert (await days.session()).awaiting_since == at(UNTIL)
    await days.until(UNTIL + 1799)
    assert [fact.because for fact in days.rig.bus.facts("session.notice")] == ["snooze_over"]
    await days.until(UNTIL + 1800)
    because = [fact.because for fact in days.rig.bus.facts("session.notice")]
    assert because == ["snooze_over", "silent_owner"]


async def test_d17_after_it_nobody_is_silent_where_the_visitor_was_answered(days: Days) -> None:
    session = await days.write()
    await days.rig.done(days.rig.send(session.id, "amy", "yes?"))
    await days.rig.done(days.snooze(session.id, "lea", UNTIL))
    await days.until(UNTIL)
    assert (await days.session()).awaiting_since is None


async def test_after_it_the_idle_time_begins_anew(days: Days) -> None:
    await put_aside(days)
    await days.until(UNTIL + HOUR - 1)
    assert (await days.session()).list == "unassigned"
    await days.until(UNTIL + HOUR)
    assert (await days.session()).end_reason == "auto_terminated"


async def test_unassigned_it_wakes_into_its_old_place_and_nobody_is_told(days: Days) -> None:
    session = await days.write()
    await days.rig.done(days.snooze(session.id, "lea", UNTIL))
    await days.until(UNTIL)
    after = await days.session()
    assert (after.waiting_since, after.queue_key) == (session.waiting_since, session.queue_key)
    assert days.rig.bus.facts("session.notice") == []


async def test_auto_assign_leaves_it_alone_until_it_wakes(days: Days) -> None:
    rig = days.rig
    rig.settings = msgspec.structs.replace(WAITS, auto_assign=True)
    await put_aside(days)
    rig.present = {"amy": "online"}
    await rig.assigner.look("acme")
    assert (await days.session()).list == "unassigned"
    await days.until(UNTIL)
    await rig.assigner.look("acme")
    assert (await days.session()).owner == "amy"


# --- what takes it back ------------------------------------------------------------------------


async def write(days: Days, _session: Session) -> None:
    await days.write("are you there?")


async def reply(days: Days, session: Session) -> None:
    await days.rig.done(days.rig.send(session.id, "amy", "yes?"))


async def take_back(days: Days, session: Session) -> None:
    await days.rig.done(days.snooze(session.id, "lea", None))


async def end(days: Days, session: Session) -> None:
    await days.rig.done(days.rig.end(session.id, "amy"))


async def outside(days: Days, _session: Session) -> None:
    await days.answer_outside()


async def note(days: Days, session: Session) -> None:
    await days.rig.done(days.rig.note(session.id, "amy", "hm"))


async def receipt(days: Days, _session: Session) -> None:
    await days.take(event(DeliveryReported, "r1", days.now_s, status="read", watermark=at(1)))


async def automate(days: Days, session: Session) -> None:
    machine = days.rig.machine("automation", "crm")
    current = await days.session()
    parts = days.rig.send(session.id, machine, "still there?", epoch=current.epoch)
    await days.rig.done(parts)


async def claim(days: Days, session: Session) -> None:
    await days.rig.done(days.rig.claim(session.id, "amy"))


WAKES: dict[str, tuple[Deed, str, str, str]] = {
    "the visitor's message": (write, "visitor_wrote", "visitor", "woken: the visitor wrote"),
    "an agent's reply": (reply, "agent_reply", "agent:amy", "woken: an agent answered"),
    "an agent who takes it back": (take_back, "taken_back", "agent:lea", "woken: by Lea"),
}


@pytest.mark.parametrize(("deed", "because", "actor", "line"), WAKES.values(), ids=WAKES)
async def test_it_is_taken_back(
    days: Days, deed: Deed, because: str, actor: str, line: str
) -> None:
    session = await put_aside(days)
    await days.until(HOUR)
    await deed(days, session)
    after = await days.session()
    assert (after.snoozed_until, after.snoozed_by, "snooze" in after.due) == (None, "", False)
    assert (after.queue_key is not None) == (after.list == "unassigned")
    assert await days.lines(session.id, "woken") == [line]
    fact = days.rig.bus.facts("session.snoozed")[-1]
    assert (fact.because, fact.actor, fact.due) == (because, actor, None)
    assert days.rig.bus.facts("session.notice") == []
    woken = len(days.rig.bus.facts("session.snoozed"))
    await days.until(UNTIL + 60)
    assert len(days.rig.bus.facts("session.snoozed")) == woken


SLEEPS: dict[str, Deed] = {
    "an answer typed elsewhere": outside,
    "a note": note,
    "a receipt": receipt,
    "what an automation says": automate,
    "an agent who takes the session": claim,
}


@pytest.mark.parametrize("deed", SLEEPS.values(), ids=SLEEPS)
async def test_it_stays_put_aside(days: Days, deed: Deed) -> None:
    session = await put_aside(days)
    await days.until(HOUR)
    await deed(days, session)
    after = await days.session()
    assert (after.snoozed_until, after.queue_key) == (at(UNTIL), None)
    assert not {"silent_owner", "idle_end"} & set(after.due)
    assert await days.lines(session.id, "woken") == []


async def test_its_end_is_the_end_of_it(days: Days) -> None:
    session = await put_aside(days)
    await end(days, session)
    after = await days.session()
    assert (after.snoozed_until, after.snoozed_by, after.due) == (None, "", {})
    await days.until(UNTIL + 60)
    assert days.rig.bus.facts("session.notice") == []
    assert (await days.rig.refused(days.snooze(session.id, "amy", 2 * UNTIL))).code == (
        "session_ended"
    )


# --- the command -------------------------------------------------------------------------------

NOW = 60.0
"""When it is asked, after the start of the story."""
YEAR = LONGEST.total_seconds()
TIMES: dict[str, tuple[float, bool]] = {
    "the past": (NOW - 1, False),
    "now": (NOW, False),
    "a moment ahead": (NOW + 0.001, True),
    "a year ahead": (NOW + YEAR, True),
    "more than a year ahead": (NOW + YEAR + 1, False),
}


@pytest.mark.parametrize(("until", "taken"), TIMES.values(), ids=TIMES)
async def test_until_when(days: Days, until: float, taken: bool) -> None:
    session = await days.write()
    if taken:
        await days.rig.done(days.snooze(session.id, "lea", until))
        assert (await days.session()).snoozed_until == at(until)
        return
    refused = await days.rig.refused(days.snooze(session.id, "lea", until))
    assert (refused.code, refused.facts["field"]) == ("invalid_input", "until")
    assert datetime.fromisoformat(refused.facts["latest"]) == at(NOW + YEAR)
    assert (await days.session()).snoozed_until is None


async def test_a_time_without_a_zone_is_refused(days: Days) -> None:
    session = await days.write()
    head = days.rig.head(session.id, "lea")
    refused = await days.rig.refused(Snooze(**head, until=at(UNTIL).replace(tzinfo=None)))
    assert refused.facts["field"] == "until"


async def test_until_another_time_it_is_armed_anew(days: Days) -> None:
    session = await put_aside(days)
    await days.rig.done(days.snooze(session.id, "amy", 2 * UNTIL))
    await days.until(UNTIL + 1)
    after = await days.session()
    assert (after.snoozed_until, after.snoozed_by) == (at(2 * UNTIL), "amy")
    await days.until(2 * UNTIL)
    assert (await days.session()).snoozed_until is None


REPEATS: dict[str, tuple[str, str, float | None]] = {
    "the same call": ("k", "k", UNTIL),
    "the same wish": ("k", "l", UNTIL),
}


@pytest.mark.parametrize(("first", "second", "until"), REPEATS.values(), ids=REPEATS)
async def test_what_is_so_already_is_not_said_again(
    days: Days, first: str, second: str, until: float
) -> None:
    session = await days.write()
    for key in (first, second):
        await days.rig.done(days.snooze(session.id, "lea", until, key))
    assert len(await days.lines(session.id, "snoozed")) == 1
    for key in ("m", "n"):
        await days.rig.done(days.snooze(session.id, "lea", None, key))
    assert len(await days.lines(session.id, "woken")) == 1


async def test_a_batch_of_messages_wakes_it_once(days: Days) -> None:
    session = await put_aside(days)
    await days.until(HOUR)
    rig = days.rig
    texts = [f"t{number}" for number in range(5)]
    for text in texts:
        await days.write(text)
    assert await days.lines(session.id, "woken") == ["woken: the visitor wrote"]
    assert len(rig.bus.facts("session.snoozed")) == 2
