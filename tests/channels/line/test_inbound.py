"""LINE's webhooks, one sentence each."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.channel import Account, WebhookRequest
from libs.common.channels.line import CHANNEL
from libs.common.errors import BadSignatureError, MalformedPayloadError
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
    Unparsed,
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
    return message(number, message_id, MediaPart(media_id=message_id, **more))


def contact(number: int, change: Any, **more: Any) -> ContactChanged:
    visitor = more.pop("visitor", GROUP)
    return ContactChanged(**head(number, visitor=visitor), change=change, **more)


def done(number: int, kind: str, **data: str) -> InteractionReceived:
    token = f"reply-token-{number}"
    return InteractionReceived(**head(number), kind=kind, data=data, reply_token=token)


ALBUM = "E005D41A7288F41B65593ED38FF6E9834B046AB36A37921A56BC236F13A91855"

CASES: dict[str, tuple[str, list[InboundEvent]]] = {
    "the console's Verify button says nothing": ("verify_button", []),
    "a text": ("text", [message(1, "500001", TextPart(text="hello (smile)"))]),
    "a text that quotes another": (
        "text_quoting",
        [message(2, "500002", TextPart(text="this one?"), reply_to="500001")],
    ),
    "in a group the group is the visitor and the person the author": (
        "text_in_group",
        [message(3, "500003", TextPart(text="@desk hello"), visitor=GROUP, author=BOB)],
    ),
    "in a room the author may be unknown": (
        "text_in_room",
        [
            message(
                4, "500004", TextPart(text="anyone?"), visitor="R44444444444444444444444444444444"
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
            )
        ],
    ),
    "a redelivered event equals its first delivery": (
        "redelivery",
        [message(1, "500001", TextPart(text="hello (smile)"))],
    ),
    "an image stays at LINE": ("image", [media(7, "500010", kind="image")]),
    "an image kept elsewhere has its own URL": (
        "image_external",
        [message(8, "500011", MediaPart(kind="image", url="https://img.example/o.jpg"))],
    ),
    "an album is one message for each image": (
        "album",
        [
            media(9, "500012", kind="image", album=ALBUM),
            media(10, "500013", kind="image", album=ALBUM),
        ],
    ),
    "a video": ("video", [media(11, "500020", kind="video", duration_ms=60000)]),
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
        [message(15, "500024", MediaPart(kind="sticker", sticker_id="446/1988"))],
    ),
    "an edit names the message that it replaces": (
        "edited",
        [
            MessageEdited(
                **head(16, visitor=GROUP),
                target="500003",
                parts=(TextPart(text="@desk hello all"),),
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


# --- one bad item ------------------------------------------------------------------------------

ONE: dict[str, Any] = json.loads(FIXTURES["text"])["events"][0]


def numbered(number: int, **changes: Any) -> dict[str, Any]:
    return {**ONE, "webhookEventId": f"e{number}", **changes}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in numbered(9).items() if key != name}


BAD = {
    "a number": (5, "malformed_item"),
    "null": (None, "malformed_item"),
    "an empty object": ({}, "malformed_item"),
    "a type that is no text": (numbered(9, type=[1]), "malformed_item"),
    "no type": (without("type"), "malformed_item"),
    "no message": (without("message"), "malformed_item"),
    "no source": (without("source"), "malformed_item"),
    "a source that names nobody": (numbered(9, source={"type": "user"}), "malformed_item"),
    "a message that is a list": (numbered(9, message=[]), "malformed_item"),
    "a text that is an object": (
        numbered(9, message={"id": "1", "type": "text", "text": {"a": 1}}),
        "malformed_item",
    ),
    "a place without coordinates": (
        numbered(9, message={"id": "1", "type": "location"}),
        "malformed_item",
    ),
    "an unsend of nothing": (numbered(9, type="unsend"), "malformed_item"),
    "an edit of nothing": (
        numbered(9, type="messageEdited", message={"type": "text", "text": "x"}),
        "malformed_item",
    ),
    "a new type": (numbered(9, type="hologram"), "unknown_kind"),
    "a new type of another shape": (numbered(9, type="hologram", message=7), "unknown_kind"),
    "a new type of message": (numbered(9, message={"type": "hologram"}), "unknown_kind"),
}


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize(("item", "reason"), BAD.values(), ids=BAD)
def test_a_bad_item_is_kept_alone(item: Any, reason: str, position: int) -> None:
    items = [numbered(1), numbered(2)]
    items.insert(position, item)
    events = parsed_events(items)
    kept = events.pop(position)
    assert [event.event_id for event in events] == ["event:e1", "event:e2"]
    assert all(isinstance(event, MessageReceived) for event in events)
    assert isinstance(kept, Unparsed)
    assert kept.reason == reason
    assert json.loads(kept.raw) == item
    assert kept.event_id.startswith("unparsed:")


def parsed_events(items: list[Any]) -> list[InboundEvent]:
    body = json.dumps({"destination": SUBJECT.account.external_id, "events": items}).encode()
    return list(CHANNEL.parse(SUBJECT.account, SUBJECT.sign(body)).events)


def test_what_is_kept_keeps_its_place_and_time() -> None:
    kept = parsed_events([numbered(9, type="hologram", mode="standby")])[0]
    assert (kept.event_id, kept.visitor) == ("unparsed:e9", ADA)
    assert (kept.occurred_at, kept.standby) == (at(1), True)


LENIENT = {
    "half an emoji": (b'"text":"hi \\ud83d"', "hi \ufffd"),
    "bytes that are no UTF-8": (b'"text":"hi \xff"', "hi \ufffd"),
    "a NUL character": (b'"text":"h\\u0000i"', "hi"),
    "null for an absent field": (b'"text":"hi","title":null,"imageSet":null', "hi"),
    "an unknown field": (b'"text":"hi","hologram":{"a":[1]}', "hi"),
    "an integer beyond 64 bits": (b'"text":"hi","x":123456789012345678901234567890', "hi"),
}


@pytest.mark.parametrize(("field", "text"), LENIENT.values(), ids=LENIENT)
def test_a_readable_text_survives(field: bytes, text: str) -> None:
    raw = json.dumps(ONE).encode().replace(b'"text": "hello (smile)"', field)
    assert field in raw
    body = b'{"destination":"","events":[' + raw + b"," + json.dumps(numbered(2)).encode() + b"]}"
    first, second = CHANNEL.parse(SUBJECT.account, SUBJECT.sign(body)).events
    assert isinstance(first, MessageReceived)
    assert first.parts == (TextPart(text=text),)
    assert second.event_id == "event:e2"


def test_numbers_as_ids_become_text() -> None:
    item = numbered(1, source={"type": "user", "userId": 17})
    item["message"] = {"id": 500001, "type": "text", "text": "x", "quotedMessageId": 499999}
    event = parsed_events([item])[0]
    assert isinstance(event, MessageReceived)
    assert (event.visitor, event.message_id, event.reply_to) == ("17", "500001", "499999")


KEYS = {
    "LINE's event id": (numbered(7), "event:e7"),
    "else the message id": (numbered(7, webhookEventId=""), "message:500001"),
    "else who, what and when": (
        numbered(7, webhookEventId="", type="follow"),
        f"event:follow:{ADA}:1760000001123",
    ),
    "an edit never takes the id of the message": (
        numbered(7, webhookEventId="", type="messageEdited"),
        f"event:messageEdited:{ADA}:1760000001123",
    ),
}


@pytest.mark.parametrize(("item", "event_id"), KEYS.values(), ids=KEYS)
def test_the_dedup_key_is(item: dict[str, Any], event_id: str) -> None:
    assert parsed_events([item])[0].event_id == event_id


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"5", b"null", b'{"events":{}}', b'{"events":[{}]', b"<xml/>"]
)
def test_what_is_no_callback_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedPayloadError):
        CHANNEL.parse(SUBJECT.account, SUBJECT.sign(body))


# --- verify ------------------------------------------------------------------------------------

VECTOR_SECRET = "line-channel-secret-example"
VECTOR_BODY = b'{"destination":"U00000000000000000000000000000aaa","events":[]}'
VECTOR = "IOVn3T4xXP0eGqrDR2Jq0NppDQGq36BODeYH7y2IhfM="


def verified(secrets: dict[str, str], signature: str, body: bytes = VECTOR_BODY) -> bool:
    account = Account(
        workspace="acme", slug="acme-line", channel="line", external_id="", secrets=secrets
    )
    headers = {"x-line-signature": signature}
    request = WebhookRequest(method="POST", headers=headers, query={}, body=body)
    try:
        CHANNEL.verify(account, request)
    except BadSignatureError:
        return False
    return True


def proof(secret: str, body: bytes = VECTOR_BODY) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


SIGNED = {
    "the published example": ({"channel_secret": VECTOR_SECRET}, VECTOR, True),
    "another secret": ({"channel_secret": "another"}, VECTOR, False),
    "the previous secret during a rollover": (
        {"channel_secret": "new", "channel_secret_previous": VECTOR_SECRET},
        VECTOR,
        True,
    ),
    "the new secret during a rollover": (
        {"channel_secret": VECTOR_SECRET, "channel_secret_previous": "old"},
        VECTOR,
        True,
    ),
    "the previous secret alone is none": (
        {"channel_secret_previous": VECTOR_SECRET},
        VECTOR,
        False,
    ),
    "an empty secret with a matching signature": ({"channel_secret": ""}, proof(""), False),
    "an empty previous secret with a matching signature": (
        {"channel_secret": "new", "channel_secret_previous": ""},
        proof(""),
        False,
    ),
    "the URL-safe alphabet is another": (
        {"channel_secret": VECTOR_SECRET},
        VECTOR.replace("+", "-").replace("/", "_").rstrip("="),
        False,
    ),
}


@pytest.mark.parametrize(("secrets", "signature", "expected"), SIGNED.values(), ids=SIGNED)
def test_verify(secrets: dict[str, str], signature: str, expected: bool) -> None:
    assert verified(secrets, signature) is expected
