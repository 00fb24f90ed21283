"""The same message by two paths: one to us, one as a copy while another application has the hand.

Both carry the provider's id, and each has a dedup key of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from libs.common.bus.delivery import Ack
from libs.common.events import InboundEvent, MessageEchoed, MessageReceived, TextPart
from libs.common.timeline import fold
from tests.router.faulty import Crashed, FaultyStore, Steps
from tests.router.rig import Rig, at, event, rig_on, said
from tests.router.test_cost import counted

FIRST = said("hello", 0)


def twins(of: type[InboundEvent]) -> list[InboundEvent]:
    """Return one message as it comes to us, and as it comes as a copy."""
    content = {"message_id": "d1", "parts": (TextPart(text="the same"),)}
    return [
        event(of, "message.d1", 5, **content),
        event(of, "standby.message.d1", 5, standby=True, **content),
    ]


KINDS: dict[str, tuple[type[InboundEvent], int]] = {
    "a visitor's message": (MessageReceived, 2),
    "a message typed elsewhere": (MessageEchoed, 1),
}
ORDERS = {"to us first": [0, 1], "the copy first": [1, 0]}
BATCHES = {"together": 2, "one by one": 1}


async def shown(rig: Rig) -> list[str]:
    session = await rig.only()
    entries = await rig.timeline(session.id)
    return [line.text for line in fold(entries, [], session)]


@pytest.mark.parametrize(("of", "inbound"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("size", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("again", [False, True], ids=["once", "and once more"])
async def test_i1_a_message_by_two_paths_stands_and_counts_once(
    rig: Rig, of: type[InboundEvent], inbound: int, order: list[int], size: int, *, again: bool
) -> None:
    await rig.take(FIRST)
    events = [twins(of)[place] for place in order]
    for _ in range(1 + again):
        for batch in _batches(events, size):
            await rig.take(*batch)
    session = await rig.only()
    assert await shown(rig) == ["hello", "the same"]
    assert (session.inbound, session.entries) == (inbound, 3)
    assert session.last_message is not None
    assert session.last_message.excerpt == "the same"
    if of is MessageReceived:
        assert not session.standby
    stored = [f.message for f in rig.bus.facts("message.stored")]
    assert len(stored) == len(set(stored)) == 2


def _batches(events: list[InboundEvent], size: int) -> list[list[InboundEvent]]:
    return [events[start : start + size] for start in range(0, len(events), size)]


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("size", BATCHES.values(), ids=BATCHES)
async def test_it_opens_one_session(rig: Rig, order: list[int], size: int) -> None:
    events = [twins(MessageReceived)[place] for place in order]
    for batch in _batches(events, size):
        await rig.take(*batch)
    session = await rig.only()
    assert (session.inbound, session.standby) == (1, False)
    assert await shown(rig) == ["the same"]


async def test_a_copy_of_what_an_ended_session_has_opens_none(rig: Rig) -> None:
    direct, copy = twins(MessageReceived)
    await rig.take(direct)
    session = await rig.only()
    await rig.done(rig.end(session.id, "amy", confirmed=True))
    await rig.take(copy)
    await rig.take(copy)
    assert [s.inbound for s in await rig.sessions()] == [1]


async def test_different_copies_all_count_and_mark_the_session(rig: Rig) -> None:
    await rig.take(*(said(f"m{n}", n, standby=True) for n in range(3)))
    session = await rig.only()
    assert (session.inbound, session.standby) == (3, True)


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("later", [[0, 1], [1, 0]], ids=["redelivered so", "crosswise"])
async def test_i1_a_crash_at_any_step_loses_and_doubles_nothing(
    fresh_url: Callable[[], str], order: list[int], later: list[int]
) -> None:
    for step in itertools.count(1):
        async with rig_on(fresh_url()) as rig:
            await rig.take(FIRST)
            await rig.outbox.flush()
            deliveries = rig.number([twins(MessageReceived)[place] for place in order])
            doomed = rig.process(FaultyStore(rig.store, Steps(step)), rig.bus)
            try:
                await doomed.deliver(deliveries)
                break
            except Crashed:
                pass
            for place in later:
                assert await rig.deliver([deliveries[place]]) == [Ack()]
            session = await rig.only()
            assert (session.inbound, session.entries, session.standby) == (2, 3, False)
            assert await shown(rig) == ["hello", "the same"]
    assert step > 3


async def test_no_look_is_made_for_what_comes_to_us_alone(rig: Rig) -> None:
    await rig.take(FIRST)
    router, store = counted(rig)
    await router.take(said("more", 3))
    assert "find messages" not in store.steps.names
    assert at(3) == (await rig.only()).last_inbound_at
