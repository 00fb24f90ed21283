"""What is kept of each channel event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.events import (
    AccountNoticed,
    ActionPart,
    ContactChanged,
    ContentPart,
    DeliveryReported,
    InboundEvent,
    InteractionReceived,
    LocationPart,
    MediaPart,
    MessageDeleted,
    MessageEchoed,
    Referral,
    SendReported,
    TextPart,
    ThreadControlChanged,
    Unparsed,
)
from services.router.entry import Arrival, came_through, entry_of, excerpt, order_time
from tests.router.rig import arrived, at, said

COMMON: dict[str, Any] = {"event_id": "e1", "visitor": "U1", "occurred_at": at(0)}


def kept(event: InboundEvent, *, of_ours: bool = False) -> dict[str, Any]:
    arrival = Arrival(inbound=arrived(event), sequence=7)
    entry = entry_of(arrival, "msg_x", of_ours=of_ours)
    names = ("kind", "direction", "sender", "sender_id", "what", "provider_ids", "target")
    return {name: getattr(entry, name) for name in names}


def shape(kind: str, **more: Any) -> dict[str, Any]:
    empty = {"direction": None, "sender": "system", "sender_id": "", "what": ""}
    return {"kind": kind, **empty, "provider_ids": (), "target": (), **more}


SHAPES = {
    "a visitor's message": (
        said("hi", key="1"),
        False,
        shape("message", direction="in", sender="visitor", sender_id="U1", provider_ids=("m-1",)),
    ),
    "in a group, its author": (
        said("hi", key="1", author="U9"),
        False,
        shape("message", direction="in", sender="visitor", sender_id="U9", provider_ids=("m-1",)),
    ),
    "typed in the provider's own inbox: an agent without a name": (
        MessageEchoed(**COMMON, message_id="m1", parts=()),
        False,
        shape("message", direction="out", sender="agent", provider_ids=("m1",)),
    ),
    "an echo of ours changes ours": (
        MessageEchoed(**COMMON, message_id="m1", parts=(), metadata="msg_ours"),
        True,
        shape("event", target=("msg_ours",)),
    ),
    "an unsend points at what it takes back": (
        MessageDeleted(**COMMON, target="m1"),
        False,
        shape("event", target=("m1",)),
    ),
    "a receipt points at all it speaks of": (
        DeliveryReported(**COMMON, status="read", targets=("m1", "m2"), metadata="msg_ours"),
        False,
        shape("event", target=("m1", "m2", "msg_ours")),
    ),
    "our sender's report points at our message": (
        SendReported(**COMMON, message_id="msg_ours", status="sent"),
        False,
        shape("event", target=("msg_ours",)),
    ),
    "a person wants to see a follow": (
        ContactChanged(**COMMON, change="unfollow"),
        False,
        shape("system", what="unfollow"),
    ),
    "but not a member who came": (
        ContactChanged(**COMMON, change="member_joined"),
        False,
        shape("event"),
    ),
    "a person wants to see a handover": (
        ThreadControlChanged(**COMMON, change="taken"),
        False,
        shape("system", what="control_taken"),
    ),
    "a person wants to see by what ad a visitor came": (
        InteractionReceived(
            **COMMON, kind="referral", referral=Referral(source="ADS", headline="Sale")
        ),
        False,
        shape("system", what="referral"),
    ),
    "but not every beacon": (
        InteractionReceived(**COMMON, kind="beacon"),
        False,
        shape("event"),
    ),
    "news of the account": (AccountNoticed(**COMMON, kind="quality"), False, shape("event")),
    "what could not be read": (
        Unparsed(**COMMON, reason="unknown_kind", raw="{}"),
        False,
        shape("event"),
    ),
}


@pytest.mark.parametrize(("event", "of_ours", "expected"), SHAPES.values(), ids=SHAPES)
def test_entry(event: InboundEvent, of_ours: bool, expected: dict[str, Any]) -> None:
    assert kept(event, of_ours=of_ours) == expected


RECEIVED = at(100)
TIMES = {
    "the provider's time orders": (at(10), at(10)),
    "a late redelivery keeps its time": (at(-3 * 86400), at(-3 * 86400)),
    "no time at all": (datetime(1970, 1, 1, tzinfo=UTC), RECEIVED),
    "seconds taken for milliseconds": (datetime(1970, 1, 21, 10, tzinfo=UTC), RECEIVED),
    "a clock a little ahead is believed": (at(104), at(104)),
    "a clock ten minutes ahead is not": (at(700), RECEIVED),
    "the year 2100": (datetime(2100, 1, 1, tzinfo=UTC), RECEIVED),
}


@pytest.mark.parametrize(("told", "expected"), TIMES.values(), ids=TIMES)
def test_d11_order_time(told: datetime, expected: datetime) -> None:
    assert order_time(told, RECEIVED) == expected


def test_d11_a_wrong_clock_is_corrected_and_its_own_time_kept() -> None:
    event = said("hi", seconds=86400)
    inbound = arrived(event, received_at=RECEIVED)
    entry = entry_of(Arrival(inbound=inbound, sequence=1), "msg_x")
    assert entry.occurred_at == RECEIVED
    assert entry.event is not None
    assert entry.event.occurred_at == event.occurred_at


def test_what_the_fields_do_not_hold_is_kept_without_the_reply_token() -> None:
    event = said("hi", referral=Referral(source="ad", ad_id="77"), reply_token="secret")
    entry = entry_of(Arrival(inbound=arrived(event), sequence=1), "msg_x")
    assert "ad_id='77'" in repr(entry.event)
    assert "secret" not in repr(entry)


LONG = "ข้าวผัดกุ้ง " * 40
EXCERPTS: dict[str, tuple[tuple[ContentPart, ...], str]] = {
    "a short line as it is": ((TextPart(text="hello"),), "hello"),
    "one line of many": ((TextPart(text="a\nb"),), "a b"),
    "a picture with a caption shows the caption": (
        (MediaPart(kind="image"), TextPart(text="receipt")),
        "receipt",
    ),
    "a picture alone": ((MediaPart(kind="image"),), "[image]"),
    "a tapped button": ((ActionPart(title="Order now"),), "[Order now]"),
    "a place": ((LocationPart(latitude=1, longitude=2),), "[location]"),
    "nothing": ((), ""),
}


@pytest.mark.parametrize(("parts", "expected"), EXCERPTS.values(), ids=EXCERPTS)
def test_excerpt(parts: tuple[ContentPart, ...], expected: str) -> None:
    assert excerpt(parts) == expected


@pytest.mark.parametrize(
    "text", [LONG, "x" * 121, "👨‍👩‍👧‍👦" * 60], ids=["Thai", "one over", "families"]
)
def test_an_excerpt_is_cut_between_characters(text: str) -> None:
    line = excerpt((TextPart(text=text),))
    assert len(line) <= 120
    assert line.endswith("…")
    rest = text[len(line) - 1 :]
    assert text.startswith(line[:-1])
    assert not rest.startswith(("\u200d", "\u0e49", "\u0e31", "\u0e38"))  # no torn cluster


CAME: dict[str, tuple[Referral, str]] = {
    "an ad with a headline": (
        Referral(source="ADS", headline="Sale", ref="x"),
        "came through an ad: Sale",
    ),
    "a code": (Referral(source="qr", ref="shop-7"), "came through a QR code: shop-7"),
    "a link with a word of ours": (
        Referral(source="SHORTLINK", ref="spring"),
        "came through a link: spring",
    ),
    "a page": (
        Referral(source="page", url="https://x.example"),
        "came through a link: https://x.example",
    ),
    "nothing else": (Referral(), "came through a link"),
}


@pytest.mark.parametrize(("referral", "words"), CAME.values(), ids=CAME)
def test_d6_a_person_reads_how_a_visitor_came(referral: Referral, words: str) -> None:
    assert came_through(referral) == words


def test_times_are_compared_across_zones() -> None:
    other = at(10).astimezone(datetime.now().astimezone().tzinfo)
    assert order_time(other, RECEIVED) == at(10)
    assert order_time(RECEIVED + timedelta(seconds=5), RECEIVED) == RECEIVED + timedelta(seconds=5)
