"""What is held waits in the session until the visitor writes, in this session or in their next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from libs.common.documents import Session
from libs.common.events import (
    ContactChanged,
    DeliveryReported,
    InboundEvent,
    InteractionReceived,
    MessageEchoed,
    ReactionChanged,
)
from libs.common.timers import message
from services.router.scheduled import HELD_MOST
from tests.router.planned import DAY, HELLO, NEVER, TEMPLATE, due, on, place, timers, wrote
from tests.router.rig import ACCOUNT, WORKSPACE, Rig, arrived, at, event, said

Begin = Callable[[Rig], Awaitable[Session]]


async def _open(rig: Rig) -> Session:
    return await wrote(rig, "messenger", "hello", 1)


async def _ended(rig: Rig) -> Session:
    session = await wrote(rig, "messenger", "hello", 1)
    return (await rig.done(rig.end(session.id, "ann"))).session


async def _none(_rig: Rig) -> Session:
    return Session(
        id=NEVER,
        workspace=WORKSPACE,
        account=ACCOUNT,
        channel="messenger",
        visitor="U1",
        contact="con1",
        list="ended",
        open_key=None,
        created_at=at(0),
        updated_at=at(0),
    )


SESSIONS = {
    "an open session": _open,
    "a session that has ended": _ended,
    "the session of who never had one": _none,
}


@pytest.fixture
async def closed(rig: Rig) -> Rig:
    """A rig on a channel with a window of a day."""
    on(rig, "messenger")
    return rig


async def _hold(rig: Rig, session: Session, *refs: str) -> Session:
    rig.now = at(2 * DAY)
    over = session.list == "ended"
    for ref in refs:
        asked = due(rig, session.id, ref=ref, hold=True, over=over, channel="messenger")
        done = await rig.done(asked)
        assert done.message is None
    return (await rig.sessions())[-1]


@pytest.mark.parametrize("begin", SESSIONS.values(), ids=SESSIONS)
async def test_d08_it_is_held_in(closed: Rig, begin: Begin) -> None:
    rig, session = closed, await begin(closed)
    held = await _hold(rig, session, "sch1", "sch2")
    assert (held.id, held.held) == (session.id, ("sch1", "sch2"))
    assert place(held) == place(session)
    assert await _hold(rig, held, "sch2", "sch1") == held  # asked again, it is held already
    assert (rig.bus.sends(), timers(rig)) == ([], [])

    rig.now = at(2 * DAY + 9)
    current = await wrote(rig, "messenger", "I am back", 2 * DAY + 8)
    assert current.held == ()
    assert [(timer.key, timer.workspace, timer.due) for timer in timers(rig)] == [
        ("sch1", WORKSPACE, at(2 * DAY + 8.5)),
        ("sch2", WORKSPACE, at(2 * DAY + 8.5)),
    ]
    assert current.inbound == 1 + (current.id == session.id)
    for ref in ("sch1", "sch2"):
        await rig.done(due(rig, current.id, ref=ref, hold=True, channel="messenger"))
    assert [request.session for request in rig.bus.sends()] == [current.id, current.id]
    assert (await rig.sessions())[-1].held == ()


RELEASES: dict[str, tuple[InboundEvent, bool]] = {
    "the visitor writes": (said("hi", 2 * DAY), True),
    "the visitor reacts": (
        event(ReactionChanged, "r", 2 * DAY, target="m", emoji="❤", author="U1"),
        True,
    ),
    "the visitor follows a link into it": (
        event(InteractionReceived, "i", 2 * DAY, kind="referral"),
        True,
    ),
    "the visitor reads": (
        event(DeliveryReported, "d", 2 * DAY, status="read", watermark=at(DAY)),
        False,
    ),
    "an agent answers elsewhere": (
        event(MessageEchoed, "e", 2 * DAY, message_id="x", parts=()),
        False,
    ),
    "the visitor leaves": (event(ContactChanged, "c", 2 * DAY, change="unfollow"), False),
}


@pytest.mark.parametrize("case", RELEASES.values(), ids=RELEASES)
@pytest.mark.parametrize("begin", [_open, _ended], ids=["open", "ended"])
async def test_d08_what_is_held_is_tried_when(closed: Rig, begin: Begin, case: Any) -> None:
    rig, (happened, released) = closed, case
    await _hold(rig, await begin(rig), "sch1")
    rig.now = at(2 * DAY + 1)
    await rig.take(arrived(happened, channel="messenger"))
    assert len(timers(rig)) == released
    assert ((await rig.sessions())[-1].held == ()) == released


async def test_d08_each_try_is_armed_under_a_name_of_its_own(closed: Rig) -> None:
    """What is held, tried in vain and held again is tried at the next message too."""
    rig = closed
    session = await wrote(rig, "messenger", "hello", 1)
    for number in (2, 4, 6):
        rig.now = at(number * DAY)
        await rig.done(due(rig, session.id, hold=True, channel="messenger"))
        await wrote(rig, "messenger", "late", (number - 2) * DAY + 5)  # a day old when it comes
    armed = timers(rig)
    assert len(armed) == 3
    names = {message(timer)[2]["Nats-Msg-Id"] for timer in armed}
    assert len(names) == 3
    # the scheduler's own, which count revisions of the document, are none of them
    assert names.isdisjoint({f"sch1:scheduled:{rev}" for rev in range(1000)})


async def test_d08_a_redelivery_arms_nothing_anew(closed: Rig) -> None:
    rig = closed
    await _hold(rig, await _ended(rig), "sch1")
    rig.now = at(2 * DAY + 9)
    deliveries = await rig.take(arrived(said("back", 2 * DAY + 8), channel="messenger"))
    rig.restart()
    await rig.deliver(deliveries)
    assert len(timers(rig)) == 1


async def test_d08_what_goes_out_after_all_is_held_no_more(rig: Rig) -> None:
    """It was given a template while it waited; the other one waits on."""
    on(rig, "whatsapp", templates=(HELLO,))
    session = await wrote(rig, "whatsapp", "hello", 1)
    rig.now = at(2 * DAY)
    for ref in ("sch1", "sch2"):
        await rig.done(due(rig, session.id, ref=ref, hold=True, channel="whatsapp"))
    done = await rig.done(due(rig, session.id, template=TEMPLATE, channel="whatsapp"))
    assert done.message is not None
    assert done.session.held == ("sch2",)


async def test_d08_only_so_many_are_held_in_one_session(closed: Rig) -> None:
    rig = closed
    session = await _open(rig)
    refs = [f"sch{number}" for number in range(HELD_MOST)]
    assert len((await _hold(rig, session, *refs)).held) == HELD_MOST
    refused = await rig.refused(due(rig, session.id, ref="more", hold=True, channel="messenger"))
    assert refused.code == "window_closed"
    await rig.done(due(rig, session.id, ref="sch7", hold=True, channel="messenger"))


async def test_d08_a_session_opened_at_the_same_time_is_not_missed(closed: Rig) -> None:
    """Whoever opened it did not see what is held: it has to be looked for again."""
    rig = closed
    session = await _ended(rig)
    rig.now = at(2 * DAY)

    replace = rig.store.replace
    raced = False

    async def racing(collection: Any, doc: Any) -> Any:
        nonlocal raced
        if getattr(doc, "held", ()) and not raced:
            raced = True
            await wrote(rig.twin(), "messenger", "back", 2 * DAY - 1)
        return await replace(collection, doc)

    rig.store.replace = racing  # type: ignore[method-assign]
    refused = await rig.refused(due(rig, session.id, hold=True, over=True, channel="messenger"))
    assert refused.code == "session_over"
    [opened] = await rig.sessions("unassigned")
    await rig.done(due(rig, opened.id, hold=True, channel="messenger"))
    assert len(rig.bus.sends()) == 1
