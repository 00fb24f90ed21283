"""What a webhook bot is asked, and what it may answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.bots.webhook import (
    ANSWER_BYTES,
    CALL_BYTES,
    MOST_HISTORY,
    BotAnswer,
    BotCase,
    BotContact,
    BotLine,
    BotMessage,
    read_answer,
    read_callback,
    request,
)
from libs.common.channel import HttpReply
from libs.common.errors import (
    AmbiguousSendError,
    BadSignatureError,
    CredentialError,
    GatewayError,
    InvalidInputError,
    MalformedPayloadError,
    RejectedError,
    ThrottledError,
)
from libs.common.events import Choice, ChoicesPart, TextPart
from libs.common.signing import SECRET_BYTES, new_secret, sign, verify
from tests.bots.bots import faq_bot, web_bot

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = new_secret(bytes(range(SECRET_BYTES)))
BOT = web_bot()


def line(number: int, text: str) -> BotLine:
    return BotLine(id=f"msg_{number}", at=NOW, sender="visitor", parts=(TextPart(text=text),))


CASE = BotCase(
    workspace="acme",
    session="ses_1",
    epoch=3,
    channel="line",
    account="acme-line",
    message=line(9, "Hello"),
    contact=BotContact(id="con_1", name="Ann", language="th", fields={"vip": "yes"}),
    history=(line(8, "Hi"),),
    reply_url="https://desk.example/webhooks/bot/bot-1",
    deadline=NOW + timedelta(seconds=30),
)


def asked(case: BotCase) -> dict[str, Any]:
    body = json.loads(request(BOT, SECRET, case, NOW).body)
    assert isinstance(body, dict)
    return body


def test_b10_a_bot_is_asked_with_all_it_needs() -> None:
    text = {"type": "text", "text": "Hello"}
    assert asked(CASE) == {
        "type": "message.received",
        "timestamp": "2026-03-01T12:00:00Z",
        "data": {
            "session": "ses_1",
            "epoch": 3,
            "channel": "line",
            "account": "acme-line",
            "message": {
                "id": "msg_9",
                "at": "2026-03-01T12:00:00Z",
                "sender": "visitor",
                "parts": [text],
            },
            "contact": {"id": "con_1", "name": "Ann", "language": "th", "fields": {"vip": "yes"}},
            "history": [
                {
                    "id": "msg_8",
                    "at": "2026-03-01T12:00:00Z",
                    "sender": "visitor",
                    "parts": [{**text, "text": "Hi"}],
                }
            ],
            "reply_url": "https://desk.example/webhooks/bot/bot-1",
            "deadline": "2026-03-01T12:00:30Z",
        },
    }


def test_b10_a_call_is_signed_and_its_repeat_is_recognised() -> None:
    call = request(BOT, SECRET, CASE, NOW)
    repeat = request(BOT, SECRET, CASE, NOW + timedelta(seconds=9))
    known = verify(SECRET, call.headers, call.body, NOW)
    assert (call.url, call.method, call.idempotent) == (BOT.url, "POST", True)
    assert call.headers["content-type"] == "application/json"
    assert repeat.headers["webhook-id"] == known
    assert repeat.headers["webhook-timestamp"] != call.headers["webhook-timestamp"]
    moved = msgspec.structs.replace(CASE, epoch=4)
    assert request(BOT, SECRET, moved, NOW).headers["webhook-id"] != known
    further = msgspec.structs.replace(CASE, message=line(10, "Hello"))
    assert request(BOT, SECRET, further, NOW).headers["webhook-id"] != known


def test_a_bot_is_told_the_newest_of_a_long_history() -> None:
    case = msgspec.structs.replace(CASE, history=tuple(line(at, "x") for at in range(50)))
    told = [one["id"] for one in asked(case)["data"]["history"]]
    assert told == [f"msg_{at}" for at in range(50 - MOST_HISTORY, 50)]


def test_a_bot_is_told_less_of_a_large_history() -> None:
    long = "x" * (CALL_BYTES // 5)
    case = msgspec.structs.replace(CASE, history=tuple(line(at, long) for at in range(8)))
    told = [one["id"] for one in asked(case)["data"]["history"]]
    assert told == ["msg_4", "msg_5", "msg_6", "msg_7"]
    assert len(request(BOT, SECRET, case, NOW).body) <= CALL_BYTES


def test_a_message_too_large_for_a_bot_is_not_sent_to_it() -> None:
    case = msgspec.structs.replace(CASE, message=line(9, "x" * CALL_BYTES))
    with pytest.raises(RejectedError) as caught:
        request(BOT, SECRET, case, NOW)
    assert caught.value.reason == "too_large"


def test_no_bot_is_called_without_a_secret() -> None:
    with pytest.raises(BadSignatureError):
        request(BOT, "", CASE, NOW)


# --- answers -----------------------------------------------------------------------------------

HELLO = BotMessage(parts=(TextPart(text="Hello"),))
CHOICE = {"title": " Yes ", "payload": "y"}
ANSWERS: dict[str, tuple[Any, BotAnswer]] = {
    "a text": ({"messages": [{"text": " Hello "}]}, BotAnswer(messages=(HELLO,))),
    "several texts": ({"messages": [{"text": "Hello"}] * 5}, BotAnswer(messages=(HELLO,) * 5)),
    "choices": (
        {"messages": [{"text": "Sure?", "choices": [CHOICE]}]},
        BotAnswer(
            messages=(
                BotMessage(
                    parts=(ChoicesPart(text="Sure?", choices=(Choice(title="Yes", payload="y"),)),)
                ),
            )
        ),
    ),
    "choices that open an address stay": (
        {"messages": [{"text": "See", "choices": [{"title": "Shop", "url": "https://a.example"}]}]},
        BotAnswer(
            messages=(
                BotMessage(
                    parts=(
                        ChoicesPart(
                            text="See",
                            choices=(Choice(title="Shop", url="https://a.example"),),
                            style="button",
                        ),
                    )
                ),
            )
        ),
    ),
    "files alone": (
        {"messages": [{"attachments": ["att_1"]}]},
        BotAnswer(messages=(BotMessage(parts=(), attachments=("att_1",)),)),
    ),
    "a word and a hand-off": (
        {"messages": [{"text": "Hello"}], "hand_off": True},
        BotAnswer(messages=(HELLO,), hand_off=True),
    ),
    "the end": ({"end": True}, BotAnswer(end=True)),
    "nothing": ({}, BotAnswer()),
    "a receipt": ({"later": True}, BotAnswer(accepted_later=True)),
    "what we do not know is passed over": (
        {"messages": [{"text": "Hello"}], "confidence": 0.9},
        BotAnswer(messages=(HELLO,)),
    ),
}


def posted(body: Any) -> bytes:
    return json.dumps({"session": "ses_1", "epoch": 3, "message": "msg_9", **body}).encode()


def called_back(body: bytes, *, secret: str = SECRET) -> BotAnswer:
    return read_callback(BOT, SECRET, sign(secret, "call_7", body, NOW), body, NOW)


@pytest.mark.parametrize(("body", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_b10_an_answer_at_once(body: Any, expected: BotAnswer) -> None:
    assert read_answer(HttpReply(status=200, body=json.dumps(body).encode())) == expected


@pytest.mark.parametrize(("body", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_b10_an_answer_by_callback(body: Any, expected: BotAnswer) -> None:
    named = msgspec.structs.replace(
        expected, accepted_later=False, call="call_7", session="ses_1", epoch=3, message="msg_9"
    )
    assert called_back(posted(body)) == named


TEXT = {"text": "x"}
BAD: dict[str, tuple[Any, str, str]] = {
    "a text that is none": (
        {"messages": [TEXT, {"text": 1}]},
        "messages[1].text",
        "Expected `str`, got `int`",
    ),
    "messages that are none": (
        {"messages": "Hello"},
        "messages",
        "Expected `array`, got `str`",
    ),
    "an unknown field of a message": (
        {"messages": [{"txt": "Hello"}]},
        "messages[0]",
        "Object contains unknown field `txt`",
    ),
    "too many messages": ({"messages": [TEXT] * 6}, "messages", "at most 5 are allowed"),
    "a blank text": (
        {"messages": [{"text": " "}]},
        "messages[0].text",
        "a text is needed, or attachments alone",
    ),
    "choices without a text": (
        {"messages": [{"choices": [CHOICE], "attachments": ["a"]}]},
        "messages[0].text",
        "a text is needed, or attachments alone",
    ),
    "a text with what no store keeps": (
        {"messages": [{"text": "a\x00b"}]},
        "messages[0].text",
        "text without U+0000 is allowed",
    ),
    "a choice with what no store keeps": (
        {"messages": [{**TEXT, "choices": [{"title": "a", "payload": "\x00"}]}]},
        "messages[0].choices[0].payload",
        "text without U+0000 is allowed",
    ),
    "a long text": (
        {"messages": [{"text": "x" * 4001}]},
        "messages[0].text",
        "at most 4000 characters are allowed",
    ),
    "too many choices": (
        {"messages": [{**TEXT, "choices": [CHOICE] * 11}]},
        "messages[0].choices",
        "at most 10 are allowed",
    ),
    "a choice without a title": (
        {"messages": [{**TEXT, "choices": [CHOICE, {"title": " "}]}]},
        "messages[0].choices[1].title",
        "1 to 80 characters are allowed",
    ),
    "a long payload": (
        {"messages": [{**TEXT, "choices": [{"title": "x", "payload": "\u00e9" * 31}]}]},
        "messages[0].choices[0].payload",
        "at most 60 bytes are allowed",
    ),
    "an address that is not https": (
        {"messages": [{**TEXT, "choices": [{"title": "x", "url": "javascript:x"}]}]},
        "messages[0].choices[0].url",
        "an https address is allowed, or none",
    ),
    "too many files": (
        {"messages": [{**TEXT, "attachments": ["a"] * 11}]},
        "messages[0].attachments",
        "at most 10 ids of stored files are allowed",
    ),
    "both ends": (
        {"hand_off": True, "end": True},
        "end",
        "either hand_off or end is allowed",
    ),
}


@pytest.mark.parametrize(("body", "field", "allowed"), BAD.values(), ids=BAD)
def test_a_bad_answer_by_callback_names_its_field(body: Any, field: str, allowed: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        called_back(posted(body))
    assert caught.value.facts == {"field": field, "allowed": allowed}
    assert caught.value.detail == f"{field}: {allowed}."


@pytest.mark.parametrize(("body", "field", "allowed"), BAD.values(), ids=BAD)
def test_a_bad_answer_at_once_names_its_field(body: Any, field: str, allowed: str) -> None:
    with pytest.raises(MalformedPayloadError) as caught:
        read_answer(HttpReply(status=200, body=json.dumps(body).encode()))
    assert caught.value.detail == f"answer of the bot: {field}: {allowed}."


BROKEN = {
    "no JSON": (b"Hello", "The body is no JSON."),
    "broken UTF-8": (b'{"session": "\xff"}', "The body is no JSON."),
    "too deep": (b'{"x":' + b"[" * 30_000, "The body is no JSON."),
    "no object": (b"[]", "body: Expected `object`, got `array`."),
    "no session": (b"{}", "body: Object missing required field `session`."),
    "too large": (b" " * (ANSWER_BYTES + 1), f"The body is larger than {ANSWER_BYTES} bytes."),
}


@pytest.mark.parametrize(("body", "words"), BROKEN.values(), ids=BROKEN)
def test_a_callback_that_is_none(body: bytes, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        called_back(body)
    assert caught.value.detail == words


def test_what_is_too_large_is_not_even_hashed() -> None:
    with pytest.raises(InvalidInputError):
        read_callback(BOT, SECRET, {}, b" " * (ANSWER_BYTES + 1), NOW)


def test_b10_a_callback_is_read_only_from_the_bot() -> None:
    body = posted({"end": True})
    with pytest.raises(BadSignatureError):
        called_back(body, secret=new_secret(bytes(SECRET_BYTES)))
    with pytest.raises(BadSignatureError):
        read_callback(faq_bot(), SECRET, sign(SECRET, "call_7", body, NOW), body, NOW)
    with pytest.raises(BadSignatureError):
        read_callback(BOT, "", sign(SECRET, "call_7", body, NOW), body, NOW)


RECEIPTS = {
    "202": HttpReply(status=202),
    "202 with a body": HttpReply(status=202, body=b'{"end": true}'),
    "204": HttpReply(status=204),
    "200 without a body": HttpReply(status=200, body=b" \n"),
}


@pytest.mark.parametrize("reply", RECEIPTS.values(), ids=RECEIPTS)
def test_b10_an_answer_comes_later_after(reply: HttpReply) -> None:
    assert read_answer(reply) == BotAnswer(accepted_later=True)


FAILURES = {
    "gone": (HttpReply(status=410), RejectedError, "gone"),
    "refused": (HttpReply(status=403), RejectedError, "permission"),
    "sent elsewhere": (HttpReply(status=302), RejectedError, "rejected"),
    "our signature refused": (HttpReply(status=401), CredentialError, "credential"),
    "too fast": (HttpReply(status=429, headers={"retry-after": "7"}), ThrottledError, ""),
    "broken": (HttpReply(status=500), AmbiguousSendError, ""),
    "away": (HttpReply(status=503), AmbiguousSendError, ""),
}


@pytest.mark.parametrize(("reply", "kind", "reason"), FAILURES.values(), ids=FAILURES)
def test_a_call_fails(reply: HttpReply, kind: type[GatewayError], reason: str) -> None:
    with pytest.raises(kind) as caught:
        read_answer(reply)
    assert getattr(caught.value, "reason", "") == reason


@given(body=st.one_of(st.binary(max_size=300), st.text(max_size=100).map(str.encode)))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_an_answer_or_a_named_error(body: bytes) -> None:
    words = "answer of the bot: "
    try:
        read_answer(HttpReply(status=200, body=body))
    except MalformedPayloadError as error:
        words = error.detail
    assert words.startswith("answer of the bot: ")
