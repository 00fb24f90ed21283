"""State is a function of the set of events, not of their order: on the real router and store.

Each order of the same events is lived through by a visitor of its own, all at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import permutations
from typing import Any

import msgspec
import pytest

from libs.common.bus.delivery import Ack
from libs.common.documents import Message, Session
from libs.common.events import (
    ContactChanged,
    DeliveryReported,
    InboundEvent,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    Profile,
    ReactionChanged,
    SendReported,
    TextPart,
    Thread,
)
from libs.common.timeline import fold, related
from services.router.entry import message_id
from tests.router.rig import WORKSPACE, Rig, arrived, at, delivery, event, said


def of(visitor: str) -> dict[str, Any]:
    return {"visitor": visitor}


def six(visitor: str) -> list[InboundEvent]:
    """Message, edit, unsend, read, reaction, reaction taken back (fault matrix D4)."""
    mine, target = of(visitor), {"target": f"m-{visitor}"}
    edit = (TextPart(text="edited"),)
    return [
        said("hello", 1, key=visitor, reply_token="t", **mine),
        event(MessageEdited, f"{visitor}-2", 2, parts=edit, **target, **mine),
        event(MessageDeleted, f"{visitor}-3", 3, **target, **mine),
        event(DeliveryReported, f"{visitor}-4", 4, status="read", watermark=at(4), **mine),
        event(ReactionChanged, f"{visitor}-5", 5, emoji="❤", **target, **mine),
        event(ReactionChanged, f"{visitor}-6", 6, **target, **mine),
    ]


def begun_elsewhere(visitor: str) -> list[InboundEvent]:
    """A visitor follows, is greeted from the provider's own inbox, and answers."""
    mine = of(visitor)
    hello, later = (TextPart(text="welcome"),), (TextPart(text="anything else?"),)
    return [
        event(ContactChanged, f"{visitor}-1", 1, change="follow", reply_token="t1", **mine),
        event(MessageEchoed, f"{visitor}-2", 2, message_id=f"g-{visitor}", parts=hello, **mine),
        said("thanks", 3, key=visitor, **mine),
        event(MessageEchoed, f"{visitor}-4", 4, message_id=f"h-{visitor}", parts=later, **mine),
        event(DeliveryReported, f"{visitor}-5", 5, status="read", watermark=at(5), **mine),
    ]


def talk(visitor: str) -> list[InboundEvent]:
    """Several messages of a visitor whose name, comment and token change."""
    comment = {n: Thread(post="p", comment=f"c{n}") for n in (1, 3)}
    mine = of(visitor)
    return [
        said("a", 1, key=f"{visitor}-1", profile=Profile(name="Old"), thread=comment[1], **mine),
        said("b", 2, key=f"{visitor}-2", profile=Profile(), reply_token="t2", **mine),
        said("c", 3, key=f"{visitor}-3", profile=Profile(name="New"), thread=comment[3], **mine),
        said("d", 4, key=f"{visitor}-4", profile=Profile(), **mine),
    ]


def numbered(visitor: str, events: list[InboundEvent]) -> list[tuple[int, InboundEvent]]:
    """Give each event its place in the stream, which no redelivery changes."""
    del visitor
    return list(enumerate(events, 1))


async def live_through(
    rig: Rig, make: Callable[[str], list[InboundEvent]], start: int = 0
) -> dict[str, Session]:
    """Let one visitor for each order have *make*'s events in that order; return the sessions."""
    count = len(make("x"))
    orders = list(permutations(range(count)))
    events = [numbered(f"U{n}", make(f"U{n}")) for n in range(len(orders))]
    for step in range(count):
        places = [order[step] for order in orders]
        batch = [events[n][place] for n, place in enumerate(places)]
        for first in range(0, len(batch), 200):
            deliveries = [
                delivery(arrived(found, received_at=at(found_at(found) + 1)), start + sequence)
                for sequence, found in batch[first : first + 200]
            ]
            assert await rig.deliver(deliveries) == [Ack()] * len(deliveries)
    return {session.visitor: session for session in await rig.sessions()}


def found_at(one: InboundEvent) -> float:
    return (one.occurred_at - at(0)).total_seconds()


SEEN = (
    "list",
    "bot",
    "inbound",
    "last_inbound_at",
    "contact_name",
    "reply_token",
    "reply_token_at",
    "thread",
    "read_up_to",
    "delivered_up_to",
    "updated_at",
)


def seen(session: Session) -> bytes:
    """Return what must not depend on the order."""
    last = session.last_message
    values = {name: getattr(session, name) for name in SEEN}
    return msgspec.json.encode([values, last and (last.at, last.excerpt, last.direction)])


async def shown(rig: Rig, session: Session) -> bytes:
    """Return the timeline as a person sees it, ids left out."""
    page = await rig.timeline(session.id)
    entries = msgspec.to_builtins(fold(page, await rig.related(related(page)), session))
    for entry in entries:
        for name in ("id", "number", "provider_ids", "sender", "reactions"):
            entry.pop(name)
    return msgspec.json.encode(entries)


async def test_d4_all_720_orders_of_six_events_end_alike(rig: Rig) -> None:
    sessions = await live_through(rig, six)
    assert len(sessions) == 720
    assert len({seen(session) for session in sessions.values()}) == 1
    assert {session.entries for session in sessions.values()} == {6}
    some = [sessions[f"U{n}"] for n in range(0, 720, 17)]
    assert len({await shown(rig, session) for session in some}) == 1


async def test_d4_in_an_open_session_every_field_ends_alike(rig: Rig) -> None:
    """With a message before, no event is without a session, and nothing at all may differ."""
    visitors = [f"U{n}" for n in range(720)]
    for first in range(0, 720, 180):
        opening = (said("0", 0, key=f"{v}-0", **of(v)) for v in visitors[first : first + 180])
        await rig.take(*opening)
    sessions = await live_through(rig, six, start=1000)
    assert len({seen(session) for session in sessions.values()}) == 1
    assert {session.entries for session in sessions.values()} == {7}
    some = [sessions[f"U{n}"] for n in range(0, 720, 17)]
    assert len({await shown(rig, session) for session in some}) == 1


async def test_what_came_before_the_first_message_is_seen_in_its_session(rig: Rig) -> None:
    sessions = await live_through(rig, begun_elsewhere)
    assert len(sessions) == 120
    assert {session.entries for session in sessions.values()} == {5}
    # a token that came with the follow is a secret, and not kept while there is no session
    assert len({seen(tokenless(session)) for session in sessions.values()}) == 1
    assert len({await shown(rig, session) for session in sessions.values()}) == 1
    texts = [entry.parts for entry in await rig.timeline(sessions["U7"].id)]
    assert len(texts) == 4
    told = Counter((fact.session, fact.type) for fact in rig.bus.facts())
    assert {told[session.id, "message.stored"] for session in sessions.values()} == {4}


def tokenless(session: Session) -> Session:
    return msgspec.structs.replace(session, reply_token="", reply_token_at=None)


async def test_the_newest_sets_each_field_in_every_order(rig: Rig) -> None:
    sessions = await live_through(rig, talk)
    assert len(sessions) == 24
    assert len({seen(session) for session in sessions.values()}) == 1
    one = sessions["U7"]
    assert (one.contact_name, one.reply_token, one.inbound) == ("New", "t2", 4)
    assert one.last_message is not None
    assert one.last_message.excerpt == "d"


def reports(ours: str, visitor: str) -> list[InboundEvent]:
    mine = of(visitor)
    named = {"metadata": ours}
    receipt = {"targets": ("p1",), **named}
    return [
        event(SendReported, f"{visitor}-1", 61, message_id=ours, status="unknown", **mine),
        event(MessageEchoed, f"{visitor}-2", 62, message_id="p1", parts=(), **named, **mine),
        event(
            SendReported,
            f"{visitor}-3",
            63,
            message_id=ours,
            status="sent",
            provider_ids=("p1", "p2"),
            via="push",
            **mine,
        ),
        event(DeliveryReported, f"{visitor}-4", 64, status="delivered", **receipt, **mine),
        event(
            DeliveryReported, f"{visitor}-5", 65, status="failed", reason="late", **receipt, **mine
        ),
    ]


async def test_d21_reports_in_any_order_give_one_status(rig: Rig) -> None:
    rig.now = at(60)
    orders = list(permutations(range(5)))
    visitors = [f"U{n}" for n in range(len(orders))]
    await rig.take(*(said("hi", 1, key=f"{v}-0", **of(v)) for v in visitors))
    sessions = {session.visitor: session.id for session in await rig.sessions()}
    for visitor in visitors:
        await rig.done(rig.send(sessions[visitor], "amy", "hello", key=visitor))
    ours = {v: message_id(WORKSPACE, "", f"cmd:agent:amy:{v}") for v in visitors}
    for step in range(5):
        batch = [
            delivery(arrived(reports(ours[v], v)[order[step]]), 100 + order[step])
            for v, order in zip(visitors, orders, strict=True)
        ]
        assert await rig.deliver(batch) == [Ack()] * len(batch)
    found = await rig.messages(ours.values())
    assert len(found) == 120
    assert {state(message) for message in found} == {
        ("delivered", at(64), "", ("p1", "p2"), "push"),
    }


def state(message: Message) -> tuple[Any, ...]:
    return (
        message.status,
        message.status_at,
        message.status_reason,
        message.provider_ids,
        message.via,
    )


@pytest.mark.parametrize("size", [1, 7, 200], ids=["one by one", "sevens", "whole"])
async def test_how_deliveries_are_batched_makes_no_difference(rig: Rig, size: int) -> None:
    events = [one for n in range(30) for one in six(f"U{n}")]
    deliveries = rig.number(events)
    for first in range(0, len(deliveries), size):
        await rig.deliver(deliveries[first : first + size])
    found = await rig.everything()
    assert len(found["sessions"]) == 30
    fields = {(s["inbound"], s["entries"], s["read_up_to"]) for s in found["sessions"]}
    assert fields == {(1, 6, at(4).isoformat().replace("+00:00", "Z"))}
    assert sorted(fact.type for fact in rig.bus.facts()) == sorted(
        ["session.created", "message.stored", *["message.changed"] * 5] * 30
    )
