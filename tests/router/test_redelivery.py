"""A delivery that comes again changes nothing; one that was cut short is finished exactly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import msgspec
import pytest

from libs.common.bus.delivery import Ack, Delivery
from libs.common.documents import MESSAGES, SESSIONS
from libs.common.errors import StoreUnavailableError
from libs.common.events import (
    ContactChanged,
    DeliveryReported,
    Fact,
    IdentityChanged,
    InboundEvent,
    MessageDeleted,
    MessageEchoed,
    ReactionChanged,
    SendReported,
    TextPart,
    Timer,
    Unparsed,
)
from services.router import metrics
from services.router.entry import message_id
from tests.router.faulty import Crashed, FaultyBus, FaultyStore, Steps, When
from tests.router.rig import UNHOSTED, WORKSPACE, MemoryBus, Rig, at, event, rig_on, said


def again(deliveries: Sequence[Delivery], attempt: int = 2) -> list[Delivery]:
    """Return *deliveries* as the server repeats them."""
    return [
        Delivery(
            subject=one.subject,
            data=one.data,
            headers=one.headers,
            sequence=one.sequence,
            attempt=attempt,
            partition=one.partition,
            pending=one.pending,
            reply=one.reply,
        )
        for one in deliveries
    ]


def mixed(visitor: str = "U1", start: float = 0) -> list[InboundEvent]:
    """Return events of many kinds of one conversation."""
    mine = {"visitor": visitor}
    key = f"{visitor}-{start}"
    return [
        said(f"one {start}", start + 1, visitor=visitor, reply_token="t"),
        event(MessageEchoed, f"echo-{key}", start + 2, message_id=f"e-{key}", parts=(), **mine),
        said(f"two {start}", start + 3, visitor=visitor),
        event(ReactionChanged, f"react-{key}", start + 4, target="m-one", emoji="❤", **mine),
        event(DeliveryReported, f"read-{key}", start + 5, status="read", watermark=at(5), **mine),
        event(MessageDeleted, f"del-{key}", start + 6, target="m-two", **mine),
        event(Unparsed, f"raw-{key}", start + 7, reason="unknown_kind", raw="{}", **mine),
        event(IdentityChanged, f"idn-{key}", start + 8, previous=f"old-{visitor}", **mine),
    ]


def strays() -> list[InboundEvent]:
    hello = (TextPart(text="welcome"),)
    return [
        event(ContactChanged, "s1", -5, change="follow"),
        event(MessageEchoed, "s2", -4, message_id="g", parts=hello),
    ]


async def test_c02_redelivering_everything_three_times_leaves_every_document_as_it_was(
    rig_of_each: Rig,
) -> None:
    rig = rig_of_each
    first = await rig.take(*mixed("U1"), *mixed("U2"))
    session = (await rig.sessions())[0]
    sent = (await rig.done(rig.send(session.id, "amy", "hello"))).message
    assert sent is not None
    report = event(SendReported, "sr", 70, message_id=sent.id, status="sent", provider_ids=("p",))
    second = await rig.take(report, *mixed("U1", 100))
    before, said_before = await rig.everything(), list(rig.bus.kept)
    for attempt in range(2, 5):
        rig.restart()
        assert await rig.deliver(again([*first, *second], attempt)) == [Ack()] * 25
        for one in again([*first, *second], attempt):
            assert await rig.deliver([one]) == [Ack()]
    assert await rig.everything() == before
    assert list(rig.bus.kept) == said_before


async def test_d1_the_same_event_many_times_in_one_batch_counts_once(rig: Rig) -> None:
    hello = said("hi")
    await rig.take(*[hello] * 50)
    session = await rig.only()
    assert (session.inbound, session.entries) == (1, 1)
    assert len(await rig.entries(session.id)) == 1
    assert len(rig.bus.facts("message.stored")) == 1


async def test_a_repeat_days_later_under_a_new_sequence_changes_nothing(rig: Rig) -> None:
    """As after a replay of the stream: the ring has long forgotten the message."""
    await rig.take(*(said(f"m{n}", n) for n in range(150)))
    before = await rig.everything()
    await rig.take(*(said(f"m{n}", n) for n in range(150)))
    await rig.take(said("m0", 0))
    assert await rig.everything() == before


async def test_a_repeat_after_the_end_opens_no_session(rig: Rig) -> None:
    first = await rig.take(said("one", 1), said("two", 2))
    await rig.done(rig.end((await rig.only()).id, "amy"))
    before = await rig.everything()
    assert await rig.deliver(again(first)) == [Ack(), Ack()]
    await rig.take(said("two", 2))
    assert await rig.everything() == before
    assert [session.list for session in await rig.sessions()] == ["ended"]


async def test_a_repeat_of_an_old_session_does_not_touch_the_open_one(rig: Rig) -> None:
    first = await rig.take(said("one", 1))
    await rig.done(rig.end((await rig.only()).id, "amy"))
    await rig.take(said("two", 100))
    before = await rig.everything()
    assert await rig.deliver(again(first)) == [Ack()]
    assert await rig.everything() == before


@pytest.mark.parametrize("repeated", [[], strays()], ids=["alone", "with their repeats"])
async def test_strays_join_the_first_session_and_no_other(
    rig: Rig, repeated: list[InboundEvent]
) -> None:
    await rig.take(*strays())
    assert await rig.sessions() == []
    opener = await rig.take(*repeated, said("one", 1))
    first = await rig.only()
    assert [entry.key for entry in await rig.timeline(first.id)] == ["s1", "s2", "e-U1-one"]
    await rig.done(rig.end(first.id, "amy"))
    before = await rig.timeline(first.id)
    batch = [*again(opener), *rig.number([said("two", 2)])]  # a repeat, and what opens the next
    assert await rig.deliver(batch) == [Ack()] * len(batch)
    _, second = await rig.sessions()
    assert [entry.key for entry in await rig.timeline(second.id)] == ["e-U1-two"]
    assert await rig.timeline(first.id) == before
    assert first.contact == second.contact


async def test_d3_one_key_of_two_visitors_is_kept_once(rig: Rig) -> None:
    """A provider that reuses an id: the first has it, the other costs nobody anything."""
    await rig.take(said("a", 1, key="same", visitor="U1"), said("b", 2, key="same", visitor="U2"))
    await rig.take(said("c", 3, visitor="U2"))
    found = {(s.visitor, s.inbound) for s in await rig.sessions()}
    assert found == {("U1", 1), ("U2", 1)}
    later = await rig.take(said("d", 4, key="same", visitor="U3"))
    assert await rig.deliver(again(later)) == [Ack()]
    assert len(await rig.sessions()) == 2


# --- a crash at every step ---------------------------------------------------------------------

Story = Callable[[Rig], Awaitable[None]]


async def nothing(_rig: Rig) -> None:
    """Begin with an empty store."""


async def an_open_session(rig: Rig) -> None:
    await rig.take(said("earlier", -10))


async def strays_alone(rig: Rig) -> None:
    await rig.take(*strays())


async def an_ended_session(rig: Rig) -> None:
    await an_open_session(rig)
    await rig.done(rig.end((await rig.only()).id, "amy"))


async def a_sent_message(rig: Rig) -> None:
    await an_open_session(rig)
    await rig.done(rig.send((await rig.only()).id, "amy", "hello", key="k"))
    await rig.outbox.flush()


def reports() -> list[InboundEvent]:
    ours = message_id(WORKSPACE, "", "cmd:agent:amy:k")
    return [
        event(DeliveryReported, "r2", 72, status="delivered", metadata=ours, targets=("p1",)),
        event(SendReported, "r1", 71, message_id=ours, status="sent", provider_ids=("p1",)),
        said("thanks", 73),
    ]


STORIES: dict[str, tuple[Story, Callable[[], list[InboundEvent]]]] = {
    "a new visitor": (nothing, mixed),
    "two new visitors": (nothing, lambda: [*mixed("U1"), *mixed("U2")]),
    "an open session": (an_open_session, mixed),
    "a visitor who comes back": (an_ended_session, mixed),
    "strays, then a message": (nothing, lambda: [*strays(), *mixed()]),
    "a visitor of whom there are strays": (strays_alone, mixed),
    "strays again, with the first message": (strays_alone, lambda: [*strays(), *mixed()]),
    "reports of a message of ours": (a_sent_message, reports),
}
NOT_COMPARED = {"rev", "outbox_since"}


def comparable(documents: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Leave out how often something was written: a repeat may have to write once more."""
    return {
        name: [{k: v for k, v in doc.items() if k not in NOT_COMPARED} for doc in docs]
        for name, docs in documents.items()
    }


def told(bus: MemoryBus) -> list[tuple[str, str, str, str, str]]:
    """Return what was said, without the revision in which it was said."""
    return sorted((f.type, f.session, f.message, f.list, f.status) for f in bus.facts())


async def crash(rig: Rig, deliveries: list[Delivery], steps: Steps) -> bool:
    """Deliver to a process that dies at a step; tell whether it did."""
    bus = FaultyBus(rig.bus, steps)
    doomed = rig.process(FaultyStore(rig.store, steps), bus)
    try:
        await doomed.handler(deliveries)
        await doomed.outbox.flush()
    except Crashed:
        return True
    return False


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("start", "events"), STORIES.values(), ids=STORIES)
async def test_a4_a5_a_crash_at_any_step_is_made_good_by_the_redelivery(
    ready_url: str,
    fresh_url: Callable[[], str],
    start: Story,
    events: Callable[[], list[InboundEvent]],
    moment: When,
) -> None:
    """Die at the first, second, ... step of a batch, until a run has none left to die at."""
    async with rig_on(ready_url) as rig:
        await start(rig)
        await rig.take(*events())
        expected, said_then = comparable(await rig.everything()), told(rig.bus)
    crashes = 0
    while True:
        async with rig_on(fresh_url()) as rig:
            await start(rig)
            deliveries = rig.number(events())
            steps = Steps(crashes + 1, moment, changing=True)
            if not await crash(rig, deliveries, steps):
                break
            crashes += 1
            rig.restart()
            rig.now = at(90)
            assert await rig.deliver(again(deliveries)) == [Ack()] * len(deliveries)
            await rig.outbox.sweep()
            found = comparable(await rig.everything())
            assert found == expected, f"crash {moment} {steps.names[-1]} (step {crashes})"
            assert told(rig.bus) == said_then, f"crash {moment} step {crashes}"
            assert all(not session.facts for session in await rig.sessions())
    assert crashes >= 5, steps.names


COMMANDS: dict[str, Callable[[Rig, str], Any]] = {
    "send": lambda rig, s: rig.send(s, "amy", "hello", key="k"),
    "open": lambda rig, s: rig.open(s, "amy", key="k"),
    "assign": lambda rig, s: rig.assign(s, "amy", "bob", key="k"),
    "end": lambda rig, s: rig.end(s, "amy", key="k"),
}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("ask", COMMANDS.values(), ids=COMMANDS)
async def test_a_crash_at_any_step_of_a_command_is_made_good_by_its_repeat(
    ready_url: str,
    fresh_url: Callable[[], str],
    ask: Callable[[Rig, str], Any],
    moment: When,
) -> None:
    async with rig_on(ready_url, UNHOSTED) as rig:
        await rig.take(said("hi"))
        await rig.done(ask(rig, (await rig.only()).id))
        expected, said_then = comparable(await rig.everything()), told(rig.bus)
        sends = len(rig.bus.sends())
    crashes = 0
    while True:
        async with rig_on(fresh_url(), UNHOSTED) as rig:
            await rig.take(said("hi"))
            await rig.outbox.flush()
            session = (await rig.only()).id
            steps = Steps(crashes + 1, moment, changing=True)
            doomed = rig.process(FaultyStore(rig.store, steps), FaultyBus(rig.bus, steps))
            try:
                await doomed.executor.execute(ask(rig, session))
                break
            except Crashed:
                crashes += 1
            await rig.done(ask(rig, session))
            rig.restart()
            rig.now = at(90)
            await rig.outbox.sweep()
            assert comparable(await rig.everything()) == expected, steps.names[-1]
            assert told(rig.bus) == said_then
            assert len(rig.bus.sends()) == sends
    assert crashes >= 4, steps.names


async def test_what_crashed_after_its_write_is_said_without_a_repeat(rig: Rig) -> None:
    """Nobody asks again: the sweeper finds the outbox."""
    await rig.take(said("hi"))
    session = (await rig.only()).id
    await rig.outbox.flush()
    steps = Steps(1)
    doomed = rig.process(rig.store, FaultyBus(rig.bus, steps))
    with pytest.raises(Crashed):
        await doomed.executor.execute(rig.send(session, "amy", "hello"))
    rig.restart()
    rig.now = at(63)
    await rig.outbox.sweep()
    assert rig.bus.sends() == []  # too young: its own process may still be at it
    rig.now = at(90)
    await rig.outbox.sweep()
    assert len(rig.bus.sends()) == 1
    assert [entry.kind for entry in await rig.timeline(session)] == ["message", "system", "message"]
    await rig.outbox.flush()
    assert (await rig.only()).outbox_since is None


async def test_what_a_newer_version_left_to_be_said_is_read_and_said(rig: Rig) -> None:
    """One word that is not known would hide the session, and every page that it is in."""
    await rig.take(said("hi"))
    await rig.outbox.flush()
    session = await rig.only()
    timer = Timer(kind="silent_owner", workspace=WORKSPACE, session=session.id, due=at(900))
    fact = Fact(
        fact_id=f"{session.id}:9:1",
        type="session.read",
        workspace=WORKSPACE,
        session=session.id,
        at=at(2),
    )
    left = msgspec.structs.replace(
        session,
        timers=(msgspec.structs.replace(timer, kind=cast(Any, "full_moon")),),
        facts=(msgspec.structs.replace(fact, type=cast(Any, "session.dreamt")),),
        outbox_since=at(2),
    )
    await rig.store.replace(SESSIONS, left)
    rig.restart()
    rig.now = at(90)
    await rig.outbox.sweep()
    assert str(rig.bus.facts()[-1].type) == "session.dreamt"
    assert f"timer.full_moon.{session.id}" in {subject for subject, _ in rig.bus.kept.values()}
    await rig.take(said("again", 91))
    after = await rig.only()
    assert (after.inbound, after.timers) == (2, ())


async def test_a_message_cut_short_before_an_end_opens_a_new_session(rig: Rig) -> None:
    """Stored for a session, never counted there, and then it ended: nobody has seen it yet."""
    await rig.take(said("one", 1))
    old = (await rig.only()).id
    deliveries = rig.number([said("two", 2)])
    assert await crash(rig, deliveries, Steps(3))  # before the session's write
    [stray] = [entry for entry in await rig.entries(old) if entry.key == "e-U1-two"]
    await rig.done(rig.end(old, "amy"))
    await rig.deliver(again(deliveries))
    ended, opened = await rig.sessions()
    assert (ended.inbound, opened.inbound) == (1, 1)
    moved = await rig.store.get(MESSAGES, WORKSPACE, stray.id)
    assert moved is not None
    assert (moved.session, moved.timeline, moved.number) == (opened.id, opened.id, 1)


async def test_a_message_cut_short_takes_the_next_number_when_its_own_is_taken(rig: Rig) -> None:
    await rig.take(said("one", 1))
    session = (await rig.only()).id
    deliveries = rig.number([said("two", 2)])
    assert await crash(rig, deliveries, Steps(3))
    await rig.done(rig.note(session, "amy", "meanwhile"))
    await rig.deliver(again(deliveries))
    assert [(e.number, e.key) for e in await rig.entries(session)] == [
        (1, "e-U1-one"),
        (2, "cmd:agent:amy:k1"),
        (3, "e-U1-two"),
    ]
    assert (await rig.only()).inbound == 2


# --- races -------------------------------------------------------------------------------------


class Rival:
    """A store in which somebody else acts just before a chosen write of sessions."""

    def __init__(self, act: Callable[[], Awaitable[Any]], times: int = 1) -> None:
        self._act = act
        self._times = times

    async def before(self) -> None:
        if self._times:
            self._times -= 1
            await self._act()


async def race(rig: Rig, rival: Rival, *events: InboundEvent) -> list[Delivery]:
    """Deliver *events* to a process that *rival* overtakes between its look and its write."""
    deliveries = rig.number(events)
    racing = rig.process(Overtaken(rig.store, rival), rig.bus)
    assert await racing.handler(deliveries) == [Ack()] * len(deliveries)
    return deliveries


class Overtaken(FaultyStore):
    def __init__(self, store: Any, rival: Rival) -> None:
        super().__init__(store, Steps())
        self._rival = rival

    async def insert_many(self, collection: Any, docs: Any) -> dict[str, str]:
        if docs and collection is SESSIONS:
            await self._rival.before()
        return await super().insert_many(collection, docs)

    async def replace_many(self, collection: Any, docs: Any) -> dict[str, str]:
        if docs and collection is SESSIONS:
            await self._rival.before()
        return await super().replace_many(collection, docs)


@pytest.mark.parametrize("times", [1, 3])
async def test_a_message_that_loses_to_a_command_counts_on_top_of_it(rig: Rig, times: int) -> None:
    await rig.take(said("one", 1))
    session = (await rig.only()).id
    rival = Rival(lambda: rig.done(rig.note(session, "amy", "faster")), times)
    await race(rig, rival, said("two", 2))
    after = await rig.only()
    assert (after.inbound, after.entries) == (2, 2 + times)
    numbers = {entry.number for entry in await rig.entries(session)}
    assert numbers == set(range(1, 3 + times))


async def test_a_message_that_loses_to_the_end_opens_a_new_session(rig: Rig) -> None:
    await rig.take(said("one", 1))
    old = (await rig.only()).id
    deliveries = await race(
        rig, Rival(lambda: rig.done(rig.end(old, "amy"))), said("two", 2), said("three", 3)
    )
    ended, opened = await rig.sessions()
    assert (ended.id, ended.inbound, opened.inbound) == (old, 1, 2)
    assert [entry.key for entry in await rig.timeline(opened.id)] == ["e-U1-two", "e-U1-three"]
    before = await rig.everything()
    assert await rig.deliver(again(deliveries)) == [Ack(), Ack()]
    assert await rig.everything() == before


async def test_two_processes_that_open_at_once_share_one_session(rig: Rig) -> None:
    """As around a failover, when two serve the same partition for a moment."""
    rival = Rival(lambda: rig.twin().take(said("from the other", 1)))
    rig.sequence = 10
    await race(rig, rival, said("from us", 2))
    session = await rig.only()
    assert session.inbound == 2
    assert {entry.number for entry in await rig.entries(session.id)} == {1, 2}


async def test_two_processes_with_the_same_delivery_count_it_once(rig: Rig) -> None:
    async def same() -> None:
        twin = rig.twin()
        twin.sequence = 0
        await twin.take(said("hi", 1))

    await race(rig, Rival(same), said("hi", 1))
    session = await rig.only()
    assert (session.inbound, session.entries) == (1, 1)
    assert len(await rig.entries(session.id)) == 1
    assert len(rig.bus.facts("message.stored")) == 1


def counted() -> dict[str, float]:
    return {
        outcome: metrics.EVENTS.labels("line", outcome)._value.get()
        for outcome in metrics.EVENT_OUTCOMES
    }


async def test_i15_what_a_lost_race_decides_twice_is_counted_once(rig: Rig) -> None:
    """The old session takes its receipt; the new one is opened by somebody else first."""
    await an_ended_session(rig)
    rival = Rival(lambda: rig.twin().take(said("from the other", 1)))
    receipt = event(DeliveryReported, "r", 2, status="read", watermark=at(2))
    rig.sequence = 10
    before = counted()
    deliveries = await race(rig, rival, receipt, said("from us", 3))
    after = counted()
    assert {k: after[k] - before[k] for k in after if after[k] != before[k]} == {"stored": 3}
    await rig.deliver(again(deliveries))
    await rig.take(said("from us", 3))
    last = counted()
    assert {k: last[k] - after[k] for k in last if last[k] != after[k]} == {
        "redelivered": 2,
        "duplicate": 1,
    }


async def test_whoever_loses_every_race_is_delivered_again(rig: Rig) -> None:
    await rig.take(said("one", 1), said("other", 1, visitor="U2"))
    session = next(s.id for s in await rig.sessions() if s.visitor == "U1")
    rival = Rival(lambda: rig.done(rig.note(session, "amy", "always faster")), 99)
    deliveries = rig.number([said("two", 2), said("more", 2, visitor="U2")])
    racing = rig.process(Overtaken(rig.store, rival), rig.bus)
    outcomes = await racing.handler(deliveries)
    assert [type(outcome).__name__ for outcome in outcomes] == ["Retry", "Ack"]
    await rig.deliver(again(deliveries))
    assert {(s.visitor, s.inbound) for s in await rig.sessions()} == {("U1", 2), ("U2", 2)}


# --- outages -----------------------------------------------------------------------------------


async def test_c1_an_absent_store_blames_nobody(rig: Rig) -> None:
    steps = Steps(2, "after", StoreUnavailableError)  # stored, but the answer is lost
    doomed = rig.process(FaultyStore(rig.store, steps), rig.bus)
    deliveries = rig.number(mixed())
    with pytest.raises(StoreUnavailableError):
        await doomed.handler(deliveries)
    assert await doomed.handler(deliveries) == [Ack()] * len(deliveries)
    assert (await rig.only()).inbound == 2


async def test_b1_what_an_absent_bus_did_not_take_is_said_later(rig: Rig) -> None:
    rig.bus.away = True
    await rig.take(said("hi"))
    session = await rig.only()
    await rig.done(rig.send(session.id, "amy", "hello"))
    assert rig.bus.kept == {}
    rig.bus.away = False
    rig.now = at(90)
    await rig.outbox.sweep()
    kinds = [fact.type for fact in rig.bus.facts()]
    assert kinds == [
        "session.created",
        "message.stored",
        "session.moved",
        "session.assigned",
        "session.bot",
        "message.stored",
    ]
    assert len(rig.bus.sends()) == 1
    await rig.outbox.flush()
    assert (await rig.only()).outbox_since is None


async def test_what_the_bus_will_never_take_is_not_tried_for_ever(rig: Rig) -> None:
    rig.bus.refuses = True
    await rig.take(said("hi"))
    await rig.outbox.flush()
    assert (await rig.only()).outbox_since is None


async def test_a_command_is_refused_while_the_store_is_away(rig: Rig) -> None:
    await rig.take(said("hi"))
    session = (await rig.only()).id
    steps = Steps(1, "before", StoreUnavailableError)
    doomed = rig.process(FaultyStore(rig.store, steps), rig.bus)
    answer = await doomed.refused(rig.claim(session, "amy"))
    assert (answer.code, answer.status) == ("store_unavailable", 503)


async def test_a_bug_is_answered_and_changes_nothing(rig: Rig) -> None:
    await rig.take(said("hi"))
    session = (await rig.only()).id
    doomed = rig.process(FaultyStore(rig.store, Steps(1, "before", ZeroDivisionError)), rig.bus)
    answer = await doomed.refused(rig.claim(session, "amy"))
    assert (answer.code, answer.status) == ("internal", 500)
    assert "Zero" not in answer.detail
