"""What is scheduled goes out once: asked again, by many at once, across a crash, in any race."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from libs.common.commands import Answer, Done, Refused, SendScheduled
from libs.common.documents import Message
from libs.common.events import ContentPart, TextPart
from tests.router.faulty import Crashed, FaultyBus, FaultyStore, Steps, When
from tests.router.planned import NEVER, due, on, wrote
from tests.router.rig import Rig, at, rig_on, said

Begin = Callable[[Rig], Awaitable[str]]


async def _open(rig: Rig) -> str:
    return (await wrote(rig, "messenger", "hello", 1)).id


async def _ended(rig: Rig) -> str:
    session = (await wrote(rig, "messenger", "hello", 1)).id
    await rig.done(rig.end(session, "ann"))
    return session


async def _none(_rig: Rig) -> str:
    return NEVER


PLACES: dict[str, Begin] = {
    "an open session": _open,
    "a session that has ended": _ended,
    "no session": _none,
}


def asked(rig: Rig, session: str, **more: Any) -> SendScheduled:
    return due(rig, session, channel="line", over=True, **more)


async def written(rig: Rig) -> list[Message]:
    """Return what was scheduled, wherever it stands."""
    await rig.outbox.flush()
    entries = [e for s in await rig.sessions() for e in await rig.entries(s.id)]
    return [entry for entry in entries if entry.origin]


def identity(done: Done) -> tuple[str, str, int, tuple[ContentPart, ...]]:
    """Return which message was answered, where it stands and what it says."""
    message = done.message
    assert message is not None
    return (message.id, message.session, message.number, message.parts)


@pytest.mark.parametrize("begin", PLACES.values(), ids=PLACES)
async def test_b25_asked_again_it_is_the_same_message(rig: Rig, begin: Begin) -> None:
    on(rig, "line")
    session = await begin(rig)
    first = await rig.done(asked(rig, session))
    rig.restart()
    again = await rig.done(asked(rig, session))
    assert (first.repeated, again.repeated) == (False, True)
    assert identity(again) == identity(first)
    assert len(rig.bus.sends()) == 1


CHANGED: dict[str, dict[str, Any]] = {
    "the contact was renamed": {"parts": (TextPart(text="Dear Eve"),)},
    "it may be held by now": {"hold": True},
    "the visitor has written since": {"since": at(0)},
}


@pytest.mark.parametrize("more", CHANGED.values(), ids=CHANGED)
async def test_b25_asked_again_it_is_the_same_message_although(
    rig: Rig, more: dict[str, Any]
) -> None:
    on(rig, "line")
    session = await _open(rig)
    first = await rig.done(asked(rig, session))
    again = await rig.done(asked(rig, session, **more))
    assert (again.repeated, identity(again)) == (True, identity(first))


async def test_b25_asked_again_for_another_session_it_is_the_same_message(rig: Rig) -> None:
    on(rig, "line")
    first = await rig.done(asked(rig, NEVER))
    opened = (await wrote(rig, "line", "hello", 61)).id
    again = await rig.done(asked(rig, opened))
    assert (again.repeated, identity(again)) == (True, identity(first))
    assert len(await written(rig)) == len(rig.bus.sends()) == 1


@pytest.mark.parametrize("begin", PLACES.values(), ids=PLACES)
async def test_b25_asked_by_fifty_at_once_it_is_one_message(rig_of_each: Rig, begin: Begin) -> None:
    rig = rig_of_each
    on(rig, "line")
    session = await begin(rig)
    replicas = [rig, rig.twin(), rig.twin()]
    answers = await asyncio.gather(*(replicas[n % 3].ask(asked(rig, session)) for n in range(50)))
    done = [answer for answer in answers if isinstance(answer, Done)]
    assert {a.code for a in answers if isinstance(a, Refused)} <= {"stale_revision"}
    [message] = await written(rig)
    assert {answer.message.id for answer in done if answer.message} == {message.id}
    assert [answer.repeated for answer in done].count(False) == 1
    assert len(rig.bus.sends()) == 1


async def raced(number: int, ask: Awaitable[Answer], happen: Awaitable[object]) -> Answer:
    """Return the answer of *ask* while something happens: before, behind, or at the same time."""
    if number % 8 == 0:
        answer = await ask
        await happen
        return answer
    happening = asyncio.ensure_future(happen)
    if number % 8 == 1:
        await happening
    await asyncio.sleep(0.001 * (number % 8 - 1))
    answer = await ask
    await happening
    return answer


async def test_b25_it_is_refused_or_before_what_the_visitor_writes_meanwhile(
    rig_of_each: Rig,
) -> None:
    """Sent only if there is no reply: never behind the reply that it was not to follow."""
    rig = rig_of_each
    on(rig, "line")
    session = await _open(rig)
    other = rig.twin()
    other.sequence = 1000
    came: Counter[str] = Counter()
    for number in range(24):
        ref, text = f"sch{number}", f"reply {number}"
        command = asked(rig, session, ref=ref, since=at(number + 1.5))

        answer = await raced(number, rig.ask(command), other.take(said(text, number + 2, key=text)))
        entries = await rig.entries(session)
        [reply] = [entry for entry in entries if entry.key == text]
        if isinstance(answer, Done):
            assert answer.message is not None
            assert answer.message.number < reply.number
            came["sent"] += 1
        else:
            assert isinstance(answer, Refused)
            assert (answer.code, answer.facts["at"]) == ("replied", reply.occurred_at.isoformat())
            assert ref not in {entry.sender_id for entry in entries}
            came["replied"] += 1
    assert set(came) == {"sent", "replied"}, came


async def test_d03_unless_the_session_moves_it_is_before_the_takeover_or_not_at_all(
    rig: Rig,
) -> None:
    """What was before can still be held back on its way: it carries the epoch."""
    on(rig, "line")
    other = rig.twin()
    came: Counter[str] = Counter()
    for number in range(40):
        visitor = f"V{number}"
        await rig.take(said("hello", 1, visitor=visitor, key=visitor))
        session = (await rig.sessions("unassigned"))[-1]

        command = asked(rig, session.id, ref=f"sch{number}", epoch=session.epoch, visitor=visitor)
        claim = other.claim(session.id, "ann")
        answer = await raced(number, rig.ask(command), other.done(claim))
        entries = await rig.entries(session.id)
        [taken] = [entry for entry in entries if entry.what == "assigned"]
        if isinstance(answer, Done):
            assert answer.message is not None
            assert answer.message.number < taken.number
            assert rig.bus.sends()[-1].epoch == session.epoch
        else:
            assert isinstance(answer, Refused)
            assert answer.code == "stale_epoch"
            assert f"sch{number}" not in {entry.sender_id for entry in entries}
        came[type(answer).__name__] += 1
    assert set(came) == {"Done", "Refused"}, came


def told(rig: Rig) -> list[tuple[str, str, str]]:
    return sorted((fact.type, fact.session, fact.message) for fact in rig.bus.facts())


def sent(rig: Rig) -> list[tuple[str, str]]:
    return [(request.session, request.message_id) for request in rig.bus.sends()]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("begin", PLACES.values(), ids=PLACES)
async def test_b25_a_crash_at_any_step_leaves_one_message(
    ready_url: str, fresh_url: Callable[[], str], begin: Begin, moment: When
) -> None:
    """Die at the first, second, ... step; the repeat and the sweeper make it one."""
    async with rig_on(ready_url) as rig:
        on(rig, "line")
        await rig.done(asked(rig, await begin(rig)))
        expected, requested = told(rig), sent(rig)
    crashes = 0
    while True:
        async with rig_on(fresh_url()) as rig:
            on(rig, "line")
            session = await begin(rig)
            await rig.outbox.flush()
            steps = Steps(crashes + 1, moment, changing=True)
            doomed = rig.process(FaultyStore(rig.store, steps), FaultyBus(rig.bus, steps))
            try:
                await doomed.executor.execute(asked(rig, session))
                break
            except Crashed:
                crashes += 1
            rig.restart()
            await rig.done(asked(rig, session))
            rig.restart()
            rig.now = at(90)
            await rig.outbox.sweep()
            assert (told(rig), sent(rig)) == (expected, requested), steps.names[-1]
            assert len(await written(rig)) == 1
    assert crashes >= 4, steps.names


async def test_b25_what_crashed_after_its_write_goes_out_without_a_repeat(rig: Rig) -> None:
    on(rig, "line")
    steps = Steps(1)
    doomed = rig.process(rig.store, FaultyBus(rig.bus, steps))
    with pytest.raises(Crashed):
        await doomed.executor.execute(asked(rig, NEVER))
    assert rig.bus.sends() == []
    rig.now = at(90)
    await rig.outbox.sweep()
    assert len(rig.bus.sends()) == 1
