"""What a batch costs the store: commands and session writes, which no machine makes faster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from libs.common.bus.delivery import Ack
from libs.common.commands import AnyCommand, EndSession, HandOff
from libs.common.documents import SESSIONS
from libs.common.events import InboundEvent
from libs.common.policy import Member, Policy
from libs.common.switches import Settings
from tests.router.faulty import FaultyStore, Steps
from tests.router.rig import Rig, said

BATCH = 200


class Counted(FaultyStore):
    """A store that counts its commands, and the sessions that are written."""

    def __init__(self, store: Any) -> None:
        self.steps = Steps()
        self.sessions_written = 0
        super().__init__(store, self.steps)

    async def replace_many(self, collection: Any, docs: Any) -> dict[str, str]:
        self.sessions_written += len(docs) if collection is SESSIONS else 0
        return await super().replace_many(collection, docs)


def counted(rig: Rig) -> tuple[Rig, Counted]:
    store = Counted(rig.store)
    return rig.process(store, rig.bus), store


def talk(number: int, visitors: int, start: int = 0) -> list[InboundEvent]:
    """Return *number* messages; the visitors take turns."""
    return [
        said(f"m{n}", n / 100, visitor=f"U{n % visitors}") for n in range(start, start + number)
    ]


async def deliver(rig: Rig, events: Sequence[InboundEvent]) -> None:
    for first in range(0, len(events), BATCH):
        batch = rig.number(events[first : first + BATCH])
        assert await rig.deliver(batch) == [Ack()] * len(batch)
        rig.now += timedelta(seconds=0.1)


async def test_g7_at_most_thirty_store_commands_for_a_thousand_messages(rig: Rig) -> None:
    """400 new visitors in five full batches: the dearest case, everybody is new at first."""
    router, store = counted(rig)
    await deliver(router, talk(1000, 400))
    await router.outbox.flush()
    assert len(await rig.sessions()) == 400
    assert store.steps.count <= 30, Counter(store.steps.names)


async def test_in_open_sessions_a_batch_is_three_commands(rig: Rig) -> None:
    await deliver(rig, talk(400, 400))
    await rig.outbox.flush()
    router, store = counted(rig)
    await deliver(router, talk(1000, 400, start=400))
    assert (
        store.steps.names == ["find sessions", "insert_many messages", "replace_many sessions"] * 5
    )


async def test_the_number_of_commands_does_not_grow_with_the_batch(rig: Rig) -> None:
    counts = []
    for size in (10, 100, 200):
        router, store = counted(rig)
        await deliver(router, [said("hi", n, visitor=f"U{size}-{n}") for n in range(size)])
        counts.append(store.steps.count)
    assert len(set(counts)) == 1


async def test_a_hot_conversation_empties_its_outbox_on_the_way(rig: Rig) -> None:
    """Ten batches for the same ten visitors: each session is written once a batch, no more."""
    await deliver(rig, talk(10, 10))
    await rig.outbox.flush()
    router, store = counted(rig)
    await deliver(router, talk(2000, 10, start=10))
    assert store.sessions_written == 10 * 10
    await router.outbox.flush()
    assert store.sessions_written == 10 * 11
    assert rig.bus.published == len(rig.bus.kept)  # nothing was said twice


async def test_an_outbox_that_nothing_touches_is_emptied_by_a_later_batch(rig: Rig) -> None:
    """Under load without a pause, well before the sweeper would take it for forgotten."""
    await rig.take(said("hi"), said("hi", visitor="U2"))
    assert all(session.facts for session in await rig.sessions())
    rig.now += timedelta(seconds=3)
    await rig.take(said("again", 5, visitor="U2"))
    first = next(session for session in await rig.sessions() if session.visitor == "U1")
    assert (first.facts, first.outbox_since) == ((), None)


async def test_a_storm_of_repeats_costs_one_look(rig: Rig) -> None:
    events = talk(BATCH, 20)
    deliveries = rig.number(events)
    await rig.deliver(deliveries)
    await rig.outbox.flush()
    router, store = counted(rig)
    await router.deliver(deliveries)
    assert store.steps.names == ["find sessions"]


ASKS: dict[str, tuple[Callable[[Rig, str], AnyCommand], bool]] = {
    "a message of a bot": (
        lambda rig, session: rig.send(session, rig.machine("bot", "b"), "hi", epoch=0),
        False,
    ),
    "an end by a bot": (
        lambda rig, session: EndSession(
            **rig.head(session, rig.machine("bot", "b")), reason="ended_by_bot", epoch=0
        ),
        False,
    ),
    "the bot is turned off": (lambda rig, session: rig.bot(session, "lea", on=False), False),
    "a hand-off": (
        lambda rig, session: HandOff(
            **rig.head(session, rig.machine("bot", "b")), because="bot_asked", epoch=0
        ),
        True,
    ),
}


@pytest.mark.parametrize(("command", "looked"), ASKS.values(), ids=ASKS)
async def test_agents_are_looked_at_only_where_one_may_be_chosen(
    rig: Rig, command: Callable[[Rig, str], AnyCommand], looked: bool
) -> None:
    rig.policy = Policy(members=(Member(id="amy", limit=1),), settings=Settings(auto_assign=True))
    rig.settings = rig.policy.settings
    await deliver(rig, talk(1, 1))
    [session] = await rig.sessions()
    assert (session.list, session.epoch) == ("bot_hosted", 0)
    router, store = counted(rig)
    await router.done(command(rig, session.id))
    assert ("get_many loads" in store.steps.names) == looked, store.steps.names
