"""What LINE did not send, or not whole: proofs of origin, bad items, dedup keys."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.common.channel import Account, WebhookRequest
from libs.common.channels.line import CHANNEL
from libs.common.errors import BadSignatureError, MalformedPayloadError
from libs.common.events import InboundEvent, MessageReceived, TextPart, Unparsed, UnsupportedPart
from tests.channels.conformance import SUBJECTS, fixtures_of

SUBJECT = SUBJECTS["line"]
FIXTURES = fixtures_of("line")
ADA = "U11111111111111111111111111111111"

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
    "a message without a type": (numbered(9, message={"type": ""}), "malformed_item"),
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


def test_d7_a_new_type_of_message_is_shown_as_unsupported() -> None:
    message = {"id": "7", "type": "hologram", "beams": 3}
    [event] = parsed_events([numbered(9, message=message)])
    assert isinstance(event, MessageReceived)
    assert (event.message_id, event.parts) == ("7", (UnsupportedPart(what="hologram"),))


def parsed_events(items: list[Any]) -> list[InboundEvent]:
    body = json.dumps({"destination": SUBJECT.account.external_id, "events": items}).encode()
    return list(CHANNEL.parse(SUBJECT.account, SUBJECT.sign(body)).events)


def test_what_is_kept_keeps_its_place_and_time() -> None:
    kept = parsed_events([numbered(9, type="hologram", mode="standby")])[0]
    assert (kept.event_id, kept.visitor) == ("unparsed:e9", ADA)
    assert (kept.occurred_at, kept.standby) == (
        datetime(2025, 10, 9, 8, 53, 21, 123000, tzinfo=UTC),
        True,
    )


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
