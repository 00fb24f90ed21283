"""LINE's webhooks, one sentence each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.channels.line import CHANNEL
from libs.common.events import (
    AccountNoticed,
    ActionPart,
    ContactChanged,
    DeliveryReported,
    InboundEvent,
    InteractionReceived,
    LocationPart,
    MediaPart,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    TextPart,
    ThreadControlChanged,
)
from tests.channels.conformance import SUBJECTS, fixtures_of

SUBJECT = SUBJECTS["line"]
FIXTURES = fixtures_of("line")
ADA = "U11111111111111111111111111111111"
BOB = "U22222222222222222222222222222222"
GROUP = "C33333333333333333333333333333333"


def at(number: int) -> datetime:
    """The time of the fixture with this number."""
    return datetime(2025, 10, 9, 8, 53, 20, 123000, tzinfo=UTC) + timedelta(seconds=number)


def head(number: int, *, visitor: str = ADA, standby: bool = False) -> dict[str, Any]:
    return {
        "event_id": f"event:01K7{number:022d}",
        "visitor": visitor,
        "occurred_at": at(number),
        "standby": standby,
    }


def message(number: int, message_id: str, *parts: Any, **more: Any) -> MessageReceived:
    visitor = more.pop("visitor", ADA)
    return MessageReceived(
        **head(number, visitor=visitor, standby=more.pop("standby", False)),
        message_id=message_id,
        parts=parts,
        **{"reply_token": f"reply-token-{number}", **more},
    )


def tapped(number: int, title: str, payload: str) -> MessageReceived:
    part = ActionPart(title=title, payload=payload)
    return message(number, f"event:01K7{number:022d}", part)


def media(number: int, message_id: str, **more: Any) -> MessageReceived:
    token = {} if more["kind"] in {"audio", "file"} else {"quote_token": f"q-{message_id[-2:]}"}
    return message(number, message_id, MediaPart(media_id=message_id, **more), **token)


def sticker(package: str, number: str, **more: Any) -> MediaPart:
    return MediaPart(kind="sticker", sticker_set=package, sticker_id=number, **more)


def contact(number: int, change: Any, **more: Any) -> ContactChanged:
    visitor = more.pop("visitor", GROUP)
    return ContactChanged(**head(number, visitor=visitor), change=change, **more)


def done(number: int, kind: str, **data: str) -> InteractionReceived:
    token = f"reply-token-{number}"
    return InteractionReceived(**head(number), kind=kind, data=data, reply_token=token)


ALBUM = "E005D41A7288F41B65593ED38FF6E9834B046AB36A37921A56BC236F13A91855"

CASES: dict[str, tuple[str, list[InboundEvent]]] = {
    "the console's Verify button says nothing": ("verify_button", []),
    "a text, with what marks it as read and what quotes it": (
        "text",
        [
            message(
                1, "500001", TextPart(text="hello (smile)"), quote_token="q-1", read_token="mr-1"
            )
        ],
    ),
    "a text that quotes another": (
        "text_quoting",
        [message(2, "500002", TextPart(text="this one?"), reply_to="500001", quote_token="q-2")],
    ),
    "in a group the group is the visitor and the person the author": (
        "text_in_group",
        [
            message(
                3,
                "500003",
                TextPart(text="@desk hello"),
                visitor=GROUP,
                author=BOB,
                quote_token="q-3",
            )
        ],
    ),
    "in a room the author may be unknown": (
        "text_in_room",
        [
            message(
                4,
                "500004",
                TextPart(text="anyone?"),
                visitor="R44444444444444444444444444444444",
                quote_token="q-4",
            )
        ],
    ),
    "on standby another module answers": (
        "text_on_standby",
        [
            message(
                5,
                "500005",
                TextPart(text="for the other module"),
                standby=True,
                reply_token="",
                quote_token="q-5",
            )
        ],
    ),
    "a redelivered event equals its first delivery": (
        "redelivery",
        [
            message(
                1, "500001", TextPart(text="hello (smile)"), quote_token="q-1", read_token="mr-1"
            )
        ],
    ),
    "an image stays at LINE": ("image", [media(7, "500010", kind="image")]),
    "an image kept elsewhere has its own URL": (
        "image_external",
        [
            message(
                8,
                "500011",
                MediaPart(kind="image", url="https://img.example/o.jpg"),
                quote_token="q-11",
            )
        ],
    ),
    "an album is one message for each image": (
        "album",
        [
            media(9, "500012", kind="image", album=ALBUM),
            media(10, "500013", kind="image", album=ALBUM),
        ],
    ),
    "a video": ("video", [media(11, "500020", kind="video", duration_ms=60000)]),
    "a video kept elsewhere has its own URL": (
        "video_external",
        [
            message(
                41,
                "500041",
                MediaPart(kind="video", url="https://img.example/o.mp4", duration_ms=60000),
                quote_token="q-41",
            )
        ],
    ),
    "a voice message": ("audio", [media(12, "500021", kind="audio", duration_ms=4500)]),
    "a file": ("file", [media(13, "500022", kind="file", name="ใบเสร็จ.pdf", size_bytes=2138)]),
    "a place": (
        "location",
        [
            message(
                14,
                "500023",
                LocationPart(
                    latitude=35.67966,
                    longitude=139.73669,
                    name="Our shop",
                    address="1-3 Kioicho, Chiyoda-ku, Tokyo",
                ),
            )
        ],
    ),
    "a sticker is named by package and number": (
        "sticker",
        [message(15, "500024", sticker("446", "1988"), quote_token="q-24")],
    ),
    "a sticker may bear a text and quote": (
        "sticker_quoting",
        [
            message(
                40,
                "500040",
                sticker("11537", "52002734", name="Thank you"),
                quote_token="q-40",
                reply_to="500001",
            )
        ],
    ),
    "an edit names the message that it replaces": (
        "edited",
        [
            MessageEdited(
                **head(16, visitor=GROUP),
                target="500003",
                parts=(TextPart(text="@desk hello all"),),
                reply_token="reply-token-16",
            )
        ],
    ),
    "an unsent message": ("unsent", [MessageDeleted(**head(17), target="500001")]),
    "a new follower": (
        "follow",
        [contact(18, "follow", visitor=ADA, reply_token="reply-token-18")],
    ),
    "a follower who had blocked us": (
        "follow_again",
        [contact(19, "follow", visitor=ADA, detail="unblocked", reply_token="reply-token-19")],
    ),
    "someone blocked us": ("unfollow", [contact(20, "unfollow", visitor=ADA)]),
    "we joined a group": ("join", [contact(21, "join", reply_token="reply-token-21")]),
    "we left a group": ("leave", [contact(22, "leave")]),
    "people joined the group": (
        "member_joined",
        [contact(23, "member_joined", detail=f"{ADA},{BOB}", reply_token="reply-token-23")],
    ),
    "someone left the group": ("member_left", [contact(24, "member_left", detail=BOB)]),
    "a tapped button is a message": ("postback", [tapped(25, "", "action=book&slot=3")]),
    "the picked date is what the visitor saw": (
        "postback_date",
        [tapped(26, "2026-11-30T10:00", "action=book")],
    ),
    "a switched menu": ("postback_menu", [tapped(27, "menu-b", "menu=b")]),
    "a video watched to its end": (
        "video_completed",
        [done(28, "video_completed", tracking_id="track-1")],
    ),
    "a beacon": ("beacon", [done(29, "beacon", hwid="d41d8cd98f", type="enter", dm="00ff")]),
    "a linked account": ("account_link", [done(30, "account_link", result="ok", nonce="nonce-1")]),
    "an account that could not be linked": (
        "account_link_failed",
        [done(42, "account_link", result="failed", nonce="nonce-2")],
    ),
    "someone stays near a beacon": (
        "beacon_stay",
        [done(43, "beacon", hwid="d41d8cd98f", type="stay")],
    ),
    "a membership that ended": (
        "membership_left",
        [done(44, "membership", type="left", membership_id="3189")],
    ),
    "a membership, whose id is a number": (
        "membership",
        [done(31, "membership", type="joined", membership_id="3189")],
    ),
    "the conversation was passed to us": (
        "activated",
        [ThreadControlChanged(**head(32), change="passed")],
    ),
    "another module took the conversation": (
        "deactivated",
        [ThreadControlChanged(**head(33, standby=True), change="taken")],
    ),
    "a module was attached to the account": (
        "module",
        [
            AccountNoticed(
                **head(34, visitor=""),
                kind="module",
                data={"type": "attached", "bot_id": "U00000000000000000000000000000aaa"},
            )
        ],
    ),
    "the account was suspended": (
        "bot_suspended",
        [AccountNoticed(**head(35, visitor=""), kind="bot_suspended")],
    ),
    "the account works again": (
        "bot_resumed",
        [AccountNoticed(**head(36, visitor=""), kind="bot_resumed")],
    ),
    "a notification message arrived": (
        "delivery",
        [DeliveryReported(**head(37), status="delivered", metadata="tag-9")],
    ),
}


@pytest.mark.parametrize(("name", "expected"), CASES.values(), ids=CASES)
def test_line_says(name: str, expected: list[InboundEvent]) -> None:
    parsed = CHANNEL.parse(SUBJECT.account, SUBJECT.sign(FIXTURES[name]))
    assert list(parsed.events) == expected
    assert parsed.ignored == 0


def test_a_body_for_another_bot_is_ignored_unless_ours_is_unknown() -> None:
    request = SUBJECT.sign(FIXTURES["another_bot"])
    parsed = CHANNEL.parse(SUBJECT.account, request)
    assert (parsed.events, parsed.ignored) == ((), 1)
    anyone = msgspec.structs.replace(SUBJECT.account, external_id="")
    assert len(CHANNEL.parse(anyone, request).events) == 1
