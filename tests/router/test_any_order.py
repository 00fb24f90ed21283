"""I5: a visitor's session and timeline are a function of the set of events, not of their arrival.

Random orders, batches and repeats of one visitor's events of all kinds, on the real router and
store; each order is lived through by a visitor of its own, and compared with the provider's order.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.common.bus.delivery import Ack
from libs.common.documents import SESSIONS, Session
from libs.common.events import (
    ContactChanged,
    DeliveryReported,
    InboundEvent,
    InteractionReceived,
    LocationPart,
    MediaPart,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    MessageHidden,
    Profile,
    ReactionChanged,
    Referral,
    SendReported,
    TextPart,
    Thread,
    ThreadControlChanged,
)
from libs.common.files.api import attachment_id
from libs.common.store.api import Page
from libs.common.timeline import fold, related
from services.router.draft import cleared
from services.router.entry import message_id
from tests.router.rig import ACCOUNT, UNHOSTED, WORKSPACE, Rig, arrived, at, delivery, event, rig_on
from tests.router.rig import said as wrote

BY_ARRIVAL = {
    "recent": "the ring holds the newest entries as they came",
    "rev": "counts the writes, and a batch is one",
    "awaiting_since": "the owner's time to answer begins with what comes first",
}
"""What may differ, and why."""
OF_THE_OPENING = {
    "id": "it names the event that opened the session",
    "created_at": "when that arrived",
    "waiting_since": "likewise",
    "queue_key": "likewise",
    "because": "the rule that fired for it",
    "opened_because": "likewise",
    "reply_token": "what comes before any session is kept without its tokens",
    "reply_token_at": "likewise",
}
"""What may differ besides where the order decides which event opens the session."""


LINK = Referral(source="SHORTLINK", ref="spring")


def ours(visitor: str) -> str:
    """Return the id of the message that Amy sends to *visitor* before the story."""
    return message_id(WORKSPACE, "", f"cmd:agent:amy:{visitor}")


def story(visitor: str) -> list[InboundEvent]:
    """Return one event of each kind and more, the edges of each field among them."""
    mine: dict[str, Any] = {"visitor": visitor}
    target = {"target": f"m-{visitor}-1", **mine}
    top = Thread(post="p", comment=f"m-{visitor}-1", parent="p")
    below = Thread(post="p", comment=f"m-{visitor}-2", parent=f"m-{visitor}-1")
    tokens = {"reply_token": "t1", "read_token": "r1", "quote_token": "q1"}
    ad = Referral(source="ad", ad_id="7")
    photo = (MediaPart(kind="image", url="https://x.example/1"),)
    report = {"message_id": ours(visitor), **mine}

    def said(number: int, seconds: float, **more: Any) -> InboundEvent:
        return wrote(f"text {number}", seconds, key=f"{visitor}-{number}", **mine, **more)

    def told(of: Any, number: int, seconds: float, /, **more: Any) -> InboundEvent:
        return event(of, f"{visitor}-e{number}", seconds, **more)

    return [
        said(1, 101, thread=top, referral=ad, profile=Profile(name="Old"), **tokens),
        said(2, 102, thread=below, profile=Profile(name="New"), read_token="r2"),
        msgspec.structs.replace(said(3, 103, profile=Profile()), parts=photo),
        said(4, 104, standby=True, profile=Profile()),
        told(MessageEdited, 5, 105, parts=(TextPart(text="v1"),), reply_token="t5", **target),
        told(MessageEdited, 6, 106, parts=(TextPart(text="v2"),), version=2, **target),
        told(MessageDeleted, 7, 107, **{**target, "target": f"m-{visitor}-2"}),
        told(MessageHidden, 8, 108, hidden=True, **target),
        told(MessageHidden, 9, 109, hidden=False, **target),
        told(ReactionChanged, 10, 110, emoji="❤", **target),
        told(ReactionChanged, 11, 111, emoji="👍", **target),
        told(ReactionChanged, 12, 112, author="other", **target),
        told(DeliveryReported, 13, 113, status="read", watermark=at(100.5), **mine),
        told(DeliveryReported, 14, 114, status="delivered", targets=("p1",), **mine),
        told(ContactChanged, 15, 115, change="unfollow", **mine),
        told(ContactChanged, 16, 116, change="follow", profile=Profile(name="Newest"), **mine),
        told(ThreadControlChanged, 17, 117, change="taken", **mine),
        told(ThreadControlChanged, 18, 118, change="passed", **mine),
        told(InteractionReceived, 19, 119, kind="call", data={"event": "connect"}, **mine),
        told(InteractionReceived, 20, 120, kind="beacon", reply_token="t20", **mine),
        told(InteractionReceived, 26, 120.5, kind="referral", referral=LINK, **mine),
        told(MessageEchoed, 21, 121, message_id=f"g-{visitor}", parts=photo, **mine),
        told(SendReported, 22, 122, status="sent", provider_ids=("p1",), via="push", **report),
        told(SendReported, 23, 123, status="unknown", **report),
        told(ContactChanged, 24, 124, change="unfollow", **mine),
        msgspec.structs.replace(
            said(25, 125, profile=Profile()), parts=(LocationPart(latitude=1, longitude=2),)
        ),
    ]


COUNT = len(story("x"))
orders = st.tuples(
    st.permutations(range(COUNT)),
    st.lists(st.integers(0, COUNT - 1), max_size=6),  # delivered again, at the end
    st.integers(1, 9),
)

Lived = tuple[dict[str, Any], list[Any]]
Live = Callable[[str, list[int], int], Lived]


@pytest.fixture(scope="module", params=[True, False], ids=["in an open session", "from nothing"])
def lived(
    request: pytest.FixtureRequest, empty_store: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[bool, Live]]:
    """Let a new visitor have the events in an order; return the session and the timeline."""
    path = tmp_path_factory.mktemp("orders") / "store.db"
    path.write_bytes(empty_store.read_bytes())
    loop = asyncio.new_event_loop()
    opened = rig_on(f"sqlite:///{path}", UNHOSTED)
    rig = loop.run_until_complete(opened.__aenter__())

    def live(visitor: str, order: list[int], size: int) -> tuple[dict[str, Any], list[Any]]:
        return loop.run_until_complete(_live(rig, visitor, order, size, begun=request.param))

    yield request.param, live
    loop.run_until_complete(opened.__aexit__(None, None, None))
    loop.close()


@pytest.fixture(scope="module")
def in_order(lived: tuple[bool, Live]) -> Lived:
    """Return what a visitor lives through whose events come in the provider's order, at once."""
    return lived[1](next(visitors), list(range(COUNT)), COUNT)


async def _live(
    rig: Rig, visitor: str, order: list[int], size: int, *, begun: bool
) -> tuple[dict[str, Any], list[Any]]:
    if begun:
        rig.now = at(60)
        await rig.take(wrote("hi", 1, key=f"{visitor}-0", visitor=visitor))
        session = await session_of(rig, visitor)
        await rig.done(rig.send(session.id, "amy", "hello", key=visitor))
    rig.now = at(200)
    events = story(visitor)
    deliveries = [delivery(arrived(events[place]), 1000 + place) for place in order]
    for chunk in chunks(deliveries, size):
        assert await rig.deliver(chunk) == [Ack()] * len(chunk)
    await rig.outbox.flush()
    session = cleared(await session_of(rig, visitor))
    page = await rig.timeline(session.id)
    shown = fold(page, await rig.related(related(page)), session)
    return plain(session, visitor), plain(shown, visitor)


async def session_of(rig: Rig, visitor: str) -> Session:
    page = Page(order="visitor", limit=9)
    where = {"account": ACCOUNT, "visitor": visitor}
    [session] = await rig.store.find(SESSIONS, WORKSPACE, where, page)
    return session


def chunks(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def plain(thing: Any, visitor: str) -> Any:
    """Return *thing* as plain values, with the visitor's own ids replaced by common ones."""
    text = msgspec.json.encode(thing).decode()
    for number, one in enumerate(story(visitor)):
        entry_id = message_id(WORKSPACE, ACCOUNT, one.event_id)
        text = text.replace(attachment_id(WORKSPACE, entry_id, 0), f"file {number}")
        text = text.replace(entry_id, f"entry {number}")
    text = text.replace(message_id(WORKSPACE, ACCOUNT, f"{visitor}-0"), "entry of hi")
    stepped_in = message_id(WORKSPACE, "", f"cmd:agent/assigned:amy:{visitor}")
    text = text.replace(stepped_in, "stepped in")
    text = text.replace(ours(visitor), "ours").replace(visitor, "visitor")
    return msgspec.json.decode(text)


visitors = (f"visitor{number:05d}" for number in itertools.count())


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=orders)
def test_i5_the_set_of_events_decides_and_not_their_order(
    lived: tuple[bool, Live], in_order: Lived, drawn: tuple[list[int], list[int], int]
) -> None:
    begun, live = lived
    order, again, size = drawn
    expected = copy.deepcopy(in_order)
    found = live(next(visitors), [*order, *again], size)
    differ = set(BY_ARRIVAL) if begun else set(BY_ARRIVAL) | set(OF_THE_OPENING)
    by_name = [
        {
            name: value
            for name, value in session.items()
            if name not in differ | {"id", "contact", "decision"}
        }
        for session, _ in (expected, found)
    ]
    if not begun:
        for session in by_name:
            session["newest"].pop("reply_token")  # the place of the token
            for name in ("needed_at", "waits_since"):  # of the first event, as waiting_since
                session["course"].pop(name, None)
    assert by_name[0] == by_name[1]
    for entries in (expected[1], found[1]):
        for entry in entries:
            entry.pop("number")  # the place in the session is that of arrival
    assert expected[1] == found[1]


def test_i5_the_story_shows_what_a_person_expects(
    lived: tuple[bool, Live], in_order: Lived
) -> None:
    """So that the property above is not one of empty sessions."""
    begun, _ = lived
    session, shown = in_order
    assert session["inbound"] == 5 + begun
    assert not {"blocked", "standby"} & session.keys()  # both were, and are no more
    assert (session["contact_name"], session["read_token"]) == ("Newest", "r2")
    assert session["window_at"] == session["last_inbound_at"] == "2026-03-01T12:02:05Z"
    assert session["referral"] == {"source": "SHORTLINK", "ref": "spring"}
    assert session["ad_at"] == "2026-03-01T12:01:41Z"
    by_id = {entry["id"]: entry for entry in shown}
    assert (by_id["entry 0"]["text"], by_id["entry 0"]["edited"]) == ("v2", True)
    assert [r["emoji"] for r in by_id["entry 0"]["reactions"]] == ["👍"]
    assert (by_id["entry 1"]["deleted"], by_id["entry 1"]["text"]) == (True, "")
    assert by_id["entry 0"]["hidden"] is False
    if begun:
        assert by_id["ours"]["status"] == "delivered"
