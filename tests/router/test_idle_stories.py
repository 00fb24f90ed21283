"""A10-A12, D07 as stories: events and commands through the real handlers, on a test's clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from libs.common.commands import SendMessage
from libs.common.documents import Session
from libs.common.events import (
    ContactChanged,
    DeliveryReported,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    ReactionChanged,
    SendReported,
    TextPart,
)
from libs.common.policy import Policy
from libs.common.switches import IdleRule, Settings
from services.router.execute import Executor
from services.router.rooms import Rooms
from tests.router.idle_stage import DAY, HOUR, Days, idle_settings
from tests.router.rig import Rig, at, event
from tests.router.stage import agents, policy
from tests.router.test_seats_crash import places

WAITS = idle_settings(auto_hosting=False)
T = DAY
WRITTEN = 60.0
"""When the visitor writes, after the start of the story."""
Deed = Callable[[Days, Session], Awaitable[object]]


@pytest.fixture
def days(rig: Rig) -> Days:
    rig.settings = WAITS
    return Days(rig)


async def nothing(_days: Days, _session: Session) -> None:
    """Let it be."""


async def reply(days: Days, session: Session) -> None:
    await days.rig.done(days.rig.send(session.id, "amy", "yes?"))


async def reply_and_give_back(days: Days, session: Session) -> None:
    await reply(days, session)
    await days.rig.done(days.rig.assign(session.id, "amy"))


async def outside(days: Days, _session: Session) -> None:
    await days.answer_outside()


async def write_again(days: Days, _session: Session) -> None:
    await days.write("more")


async def note(days: Days, session: Session) -> None:
    await days.rig.done(days.rig.note(session.id, "amy", "hm"))


async def read(days: Days, session: Session) -> None:
    await days.rig.done(days.rig.read(session.id, "amy"))


async def move(days: Days, session: Session) -> None:
    await days.rig.done(days.rig.bot(session.id, "amy", on=True))


async def claim(days: Days, session: Session) -> None:
    await days.rig.done(days.rig.claim(session.id, "amy"))


async def end(days: Days, session: Session) -> None:
    await days.rig.done(days.rig.end(session.id, "amy"))


async def switch_off(days: Days, _session: Session) -> None:
    days.rig.settings = Settings(auto_hosting=False)


async def automate(days: Days, session: Session) -> None:
    machine = days.rig.machine("automation", "crm")
    current = await days.session()
    await days.rig.done(days.rig.send(session.id, machine, "still there?", epoch=current.epoch))


def happens(kind: Any, **fields: Any) -> Deed:
    async def deed(days: Days, _session: Session) -> None:
        await days.take(event(kind, f"x-{kind.__name__}", days.now_s, **fields))

    return deed


TEXT = (TextPart(text="x"),)
LATE = 1.0
"""Seconds before the end at which something happens."""
JUST_BEFORE: dict[str, tuple[Deed, float | None]] = {
    "nothing happens: it ends": (nothing, T),
    "an agent's reply at T-1 s: it never ends": (reply, None),
    "an agent's reply, and it waits again: it never ends": (reply_and_give_back, None),
    "an answer typed elsewhere at T-1 s: it ends": (outside, T),
    "a message of the visitor's puts it off": (write_again, 2 * T - LATE),
    "a message of an automation's puts it off": (automate, 2 * T - LATE),
    "a change of list puts it off": (move, 2 * T - LATE),
    "an agent takes it: it never ends": (claim, None),
    "an agent ends it: not by itself": (end, None),
    "switched off: it never ends": (switch_off, None),
    "a note puts nothing off": (note, T),
    "reading it puts nothing off": (read, T),
    "a receipt puts nothing off": (happens(DeliveryReported, status="read", targets=("m-k1",)), T),
    "an edit puts nothing off": (happens(MessageEdited, target="m-k1", parts=TEXT), T),
    "an unsending puts nothing off": (happens(MessageDeleted, target="m-k1"), T),
    "a reaction puts nothing off": (happens(ReactionChanged, target="m-k1", emoji="+"), T),
    "a follow puts nothing off": (happens(ContactChanged, change="follow"), T),
}


@pytest.mark.parametrize(("deed", "ends"), JUST_BEFORE.values(), ids=JUST_BEFORE)
async def test_a11_what_puts_the_end_off(days: Days, deed: Deed, ends: float | None) -> None:
    session = await days.write()
    await days.until(WRITTEN + T - LATE)
    assert (await days.session()).list == "unassigned"
    await deed(days, session)
    await days.until(WRITTEN + 9 * T)
    after = await days.session()
    assert after.id == session.id
    if ends is None:
        assert after.end_reason != "auto_terminated"
        return
    assert (after.end_reason, after.list) == ("auto_terminated", "ended")
    assert after.ended_at is not None
    assert (after.ended_at - session.created_at).total_seconds() == ends
    assert len([one for one in days.brought if one[1] == "idle_end"]) == 1


async def test_a11_an_answer_elsewhere_is_in_the_record(days: Days) -> None:
    session = await days.write()
    await days.until(WRITTEN + T - LATE)
    await days.answer_outside()
    assert (await days.session()).outside_at == days.rig.now
    await days.until(WRITTEN + 2 * T)
    [line] = await days.lines(session.id, "ended")
    assert line == (
        "ended automatically: no message for 1 day (rule 1: after 1 day in unassigned); "
        "answered outside at 2026-03-02 12:00 UTC"
    )


OURS: dict[str, tuple[str, ...]] = {
    "the report first": ("report", "echo"),
    "the echo first": ("echo", "report"),
}


@pytest.mark.parametrize("order", OURS.values(), ids=OURS)
async def test_a11_an_echo_of_what_was_said_here_is_no_answer_elsewhere(
    days: Days, order: tuple[str, ...]
) -> None:
    """Where the channel does not say whose it is, the provider's id does, whichever comes first."""
    session = await days.write()
    machine = days.rig.machine("automation", "crm")
    said = await days.rig.done(days.rig.send(session.id, machine, "hi", epoch=session.epoch))
    assert said.message is not None
    fields = {"message_id": said.message.id, "status": "sent", "provider_ids": ("p1",)}
    for number, what in enumerate(order, start=1):
        await days.until(WRITTEN + number)
        if what == "report":
            await days.take(event(SendReported, "r1", days.now_s, **fields))
        else:
            await days.take(event(MessageEchoed, "e1", days.now_s, message_id="p1", parts=TEXT))
    assert (await days.session()).outside_at is None
    await days.until(WRITTEN + 2 * T)
    [line] = await days.lines(session.id, "ended")
    assert "outside" not in line


async def test_a10_each_ends_once_wherever_it_stands(days: Days) -> None:
    """Messenger and comments, with a bot and waiting; not on other channels, not with an agent."""
    rig = days.rig
    for visitor, channel in (("U1", "messenger"), ("U2", "fb_comment"), ("U3", "line")):
        await days.write(visitor=visitor, channel=channel)
    rig.settings = idle_settings()
    for visitor, channel in (("U4", "messenger"), ("U5", "fb_comment"), ("U6", "web")):
        await days.write(visitor=visitor, channel=channel)
    taken = await days.write(visitor="U7")
    await rig.done(rig.claim(taken.id, "amy"))
    await days.until(WRITTEN + 30 * DAY)
    ended = {session.visitor for session in await rig.sessions("ended")}
    assert ended == {"U1", "U2", "U4", "U5"}
    facts = rig.bus.facts("session.ended")
    assert sorted(fact.because for fact in facts) == ["auto_terminated"] * 4
    assert {fact.actor for fact in facts} == {"system:timer"}


async def test_d07_an_end_is_silent(days: Days) -> None:
    session = await days.write()
    before = len(days.rig.bus.facts())
    await days.until(WRITTEN + 2 * T)
    told = days.rig.bus.facts()[before:]
    assert [(fact.type, fact.session, fact.notify) for fact in told] == [
        ("session.ended", session.id, ())
    ]
    assert days.rig.bus.sends() == []


async def test_d07_a_conversation_that_goes_on_arms_a_timer_a_day(days: Days) -> None:
    """Each message puts the end off; what is armed does not grow with the messages."""
    await days.write()
    for number in range(1, 60):
        await days.until(WRITTEN + number * HOUR)
        await days.write(f"message {number}")
    published = [
        data for subject, data in days.rig.bus.kept.values() if "timer.idle_end" in subject
    ]
    assert len(published) == 3  # at the start, and when the time of the one before was over
    await days.until(WRITTEN + 59 * HOUR + T)
    session = await days.session()
    assert session.ended_at is not None
    assert (session.ended_at - session.created_at).total_seconds() == 59 * HOUR + T


async def test_a12_switched_off_nothing_is_armed_or_stored(days: Days) -> None:
    days.rig.settings = Settings(auto_hosting=False)
    session = await days.write()
    days.arm()
    assert (session.due, days.armed) == ({}, {})
    await days.until(WRITTEN + 9 * T)
    assert (await days.session()).list == "unassigned"


async def test_a12_switched_on_later_only_the_time_since_then_counts(days: Days) -> None:
    days.rig.settings = Settings(auto_hosting=False)
    for number in range(20):
        await days.write(visitor=f"U{number}")
    await days.until(40 * DAY)
    on = msgspec.structs.replace(WAITS.termination, since=days.rig.now)
    days.rig.settings = msgspec.structs.replace(WAITS, termination=on)
    for session in await days.rig.sessions():  # as the scheduler's pass brings all of them
        await days.rig.done(days.timer(session.id, "idle_end", days.rig.now))
    assert len(await days.rig.sessions("unassigned")) == 20
    await days.until(41 * DAY - 1)
    assert len(await days.rig.sessions("unassigned")) == 20
    await days.until(41 * DAY)
    assert len(await days.rig.sessions("ended")) == 20


async def test_d07_a_farewell_goes_out_and_nothing_that_answers_it_opens_the_session(
    days: Days,
) -> None:
    rule = IdleRule(idle_s=HOUR, farewell="Goodbye!")
    days.rig.settings = idle_settings(rule, auto_hosting=False)
    session = await days.write()
    await days.until(WRITTEN + HOUR)
    [send] = days.rig.bus.sends()
    assert send.parts == (TextPart(text="Goodbye!"),)
    shown = [entry.what or entry.sender for entry in await days.rig.timeline(session.id)]
    assert shown == ["visitor", "automation", "ended"]
    fields = {"message_id": send.message_id, "status": "sent", "provider_ids": ("p9",)}
    await days.take(event(SendReported, "r9", days.now_s, **fields))
    await days.take(event(MessageEchoed, "e9", days.now_s, message_id="p9", parts=TEXT))
    await days.take(event(DeliveryReported, "d9", days.now_s, status="read", targets=("p9",)))
    await days.until(WRITTEN + 9 * DAY)
    [after] = await days.rig.sessions()
    assert (after.id, after.list, after.end_reason) == (session.id, "ended", "auto_terminated")
    again = await days.write("hello again")
    assert again.id != session.id
    assert again.list == "unassigned"


async def test_d07_the_agents_place_is_free_when_an_assigned_session_ends(days: Days) -> None:
    rule = IdleRule(lists=("assigned",), last=("agent", "visitor"), idle_s=HOUR)
    days.rig.policy = policy(members=agents("amy", limit=1))
    days.rig.settings = idle_settings(rule, auto_hosting=False)
    session = await days.write()
    await days.rig.done(days.rig.send(session.id, "amy", "yes?"))
    assert await places(days.rig.store) == {"amy": {session.id}}
    await days.until(WRITTEN + HOUR + 1)
    after = await days.session()
    assert (after.list, after.owner) == ("ended", "amy")
    assert await places(days.rig.store) == {}


async def test_d07_a_bot_that_waits_for_the_visitor_waits_no_more(days: Days) -> None:
    days.rig.settings = idle_settings()
    session = await days.write()
    assert session.list == "bot_hosted"
    await days.until(WRITTEN + 2 * T)
    after = await days.session()
    assert (after.list, after.bot, after.bot_id, after.due) == ("ended", False, "", {})


async def test_d07_what_machines_say_of_a_session_that_ended_is_refused(days: Days) -> None:
    session = await days.write()
    await days.until(WRITTEN + 2 * T)
    late = SendMessage(
        **days.rig.head(session.id, days.rig.machine("bot", "faq")), parts=TEXT, epoch=session.epoch
    )
    assert (await days.rig.refused(late)).code in {"session_ended", "stale_epoch"}


async def test_a11_late_events_say_who_spoke_last_by_when_they_came(days: Days) -> None:
    """A message that came before the agent's reply is taken after it: the agent spoke last."""
    session = await days.write()
    came_at = days.rig.now
    days.rig.now = days.rig.now.replace(second=30)
    await days.rig.done(days.rig.send(session.id, "amy", "yes?"))
    answered_at = days.rig.now
    days.rig.now = came_at
    await days.write("too late")
    after = await days.session()
    assert (after.spoke, after.idle_since, after.inbound) == ("agent", answered_at, 2)


async def test_a12_switched_off_before_its_time_though_this_router_has_not_heard_of_it(
    days: Days,
) -> None:
    """The switch was acknowledged before: what this router knows is looked at afresh."""
    rig = days.rig
    session = await days.write()
    rig.now = at(WRITTEN + T)

    async def hear(_workspace: str) -> None:
        rig.settings = Settings(auto_hosting=False)

    rooms = Rooms(lambda _workspace: Policy(settings=rig.settings), rig.seats, refresh=hear)
    deaf = Executor(rig.store, rig.outbox, rooms, lambda: rig.now)
    assert rig.settings.auto_termination
    await deaf.execute(days.timer(session.id, "idle_end", rig.now))
    assert (await days.session()).list == "unassigned"
