"""Sending through LINE: which call, and what each answer means."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from libs.common.channel import HttpCall, HttpReply, Outbound, Sent
from libs.common.channels.line import CHANNEL
from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    GatewayError,
    RejectedError,
    ThrottledError,
)
from libs.common.events import ContentPart, MediaPart, TextPart
from tests.channels.conformance import SUBJECTS, play

ACCOUNT = SUBJECTS["line"].account
REPLY, PUSH = "/v2/bot/message/reply", "/v2/bot/message/push"


def answer(status: int, message: str = "", *, ids: tuple[str, ...] = (), **more: Any) -> HttpReply:
    body: dict[str, Any] = {"message": message, **more}
    if ids:
        body = {"sentMessages": [{"id": one, "quoteToken": "q"} for one in ids]}
    return HttpReply(status=status, body=json.dumps(body).encode())


def to_send(*texts: str, token: str = "", age_s: float = 1.0) -> Outbound:
    return Outbound(
        message_id="msg_1",
        recipient="U1",
        parts=tuple(TextPart(text=text) for text in texts),
        reply_token=token,
        reply_token_age_s=age_s,
    )


def sent(message: Outbound, *replies: HttpReply | Exception) -> tuple[list[HttpCall], Sent]:
    return play(CHANNEL.send(ACCOUNT, message), *replies)


def ways(calls: list[HttpCall]) -> list[str]:
    return [call.url.removeprefix("https://api.line.me") for call in calls]


OK = answer(200, ids=("600001",))
USED = answer(400, "Invalid reply token")

WAYS = {
    "without a token it is pushed": (to_send("hi"), [OK], [PUSH], "push"),
    "a fresh token is used": (to_send("hi", token="r-1"), [OK], [REPLY], "reply"),
    "a token of 49.9 s is fresh": (to_send("hi", token="r-1", age_s=49.9), [OK], [REPLY], "reply"),
    "a token of 50 s is not": (to_send("hi", token="r-1", age_s=50.0), [OK], [PUSH], "push"),
    "a token of no known age is not": (
        to_send("hi", token="r-1", age_s=float("inf")),
        [OK],
        [PUSH],
        "push",
    ),
    "a used token falls back to push": (
        to_send("hi", token="r-1"),
        [USED, OK],
        [REPLY, PUSH],
        "push",
    ),
    "five bubbles fit a reply": (to_send(*"abcde", token="r-1"), [OK], [REPLY], "reply"),
    "six are pushed, so that a repeat doubles none": (
        to_send(*"abcdef", token="r-1"),
        [OK],
        [PUSH, PUSH],
        "push",
    ),
}


@pytest.mark.parametrize(("message", "replies", "calls", "via"), WAYS.values(), ids=WAYS)
def test_the_way(message: Outbound, replies: list[HttpReply], calls: list[str], via: str) -> None:
    made, outcome = sent(message, *replies)
    assert (ways(made), outcome.via) == (calls, via)


def test_a_reply_has_no_retry_key_and_may_not_be_repeated() -> None:
    (call,), outcome = sent(to_send("hi", token="r-1"), OK)
    assert json.loads(call.body) == {
        "replyToken": "r-1",
        "messages": [{"type": "text", "text": "hi"}],
    }
    assert "x-line-retry-key" not in call.headers
    assert not call.idempotent
    assert outcome == Sent(provider_ids=("600001",), via="reply")


def test_a_push_has_a_retry_key_of_its_own_for_each_call() -> None:
    calls, outcome = sent(to_send(*"abcdefg"), answer(200, ids=tuple("12345")), OK)
    assert [len(json.loads(call.body)["messages"]) for call in calls] == [5, 2]
    assert {json.loads(call.body)["to"] for call in calls} == {"U1"}
    keys = [call.headers["x-line-retry-key"] for call in calls]
    assert len(set(keys)) == 2
    assert all(call.idempotent for call in calls)
    assert calls[0].headers["authorization"] == "Bearer access_token-sample-4711"
    assert outcome.provider_ids == ("1", "2", "3", "4", "5", "600001")
    other = msgspec.structs.replace(to_send(*"abcdefg"), message_id="msg_2")
    assert sent(other, OK)[0][0].headers["x-line-retry-key"] not in keys


def test_a_long_text_is_cut_by_utf16_units_without_tearing_an_emoji() -> None:
    (call,), _ = sent(to_send("😀" * 5001), OK)
    texts = [bubble["text"] for bubble in json.loads(call.body)["messages"]]
    assert "".join(texts) == "😀" * 5001
    assert max(len(text.encode("utf-16-le")) // 2 for text in texts) <= 5000


def test_a_retry_key_that_line_knows_is_success() -> None:
    _, outcome = sent(to_send("hi"), HttpReply(status=409, body=OK.body))
    assert outcome == Sent(provider_ids=("600001",), via="push")


def test_success_without_a_readable_body_is_success() -> None:
    _, outcome = sent(to_send("hi"), HttpReply(status=200, body=b"<html>"))
    assert outcome == Sent(via="push")


UNCLEAR = {
    "the connection broke": AmbiguousSendError("cut"),
    "LINE failed": HttpReply(status=500),
    "a gateway gave up": HttpReply(status=504),
}


@pytest.mark.parametrize("failure", UNCLEAR.values(), ids=UNCLEAR)
def test_an_unclear_reply_is_never_followed_by_a_push(failure: HttpReply | Exception) -> None:
    # A push would be answered by OK: it must not even be asked for.
    with pytest.raises(AmbiguousSendError):
        sent(to_send("hi", token="r-1"), failure, OK)


ANSWERS = {
    "too fast": (
        answer(429, "The API rate limit has been exceeded. Try again later."),
        ThrottledError,
        None,
    ),
    "this month's messages are used up": (
        answer(429, "You have reached your monthly limit."),
        RejectedError,
        "quota",
    ),
    "the token is wrong": (answer(401, "Authentication failed"), CredentialError, "credential"),
    "the plan does not allow it": (answer(403, "Not allowed"), RejectedError, "permission"),
    "the recipient is none": (
        answer(400, "The property, 'to', in the request body is invalid (line: -, column: -)"),
        RejectedError,
        "bad_recipient",
    ),
    "the recipient is none, told in details": (
        answer(400, "invalid", details=[{"message": "bad", "property": "to"}]),
        RejectedError,
        "bad_recipient",
    ),
    "the content is refused": (
        answer(400, "invalid", details=[{"message": "long", "property": "messages[0].text"}]),
        RejectedError,
        "bad_content",
    ),
    "too large": (answer(413, "Too large"), RejectedError, "bad_content"),
    "gone": (answer(410, "Gone"), RejectedError, "rejected"),
    "a redirect": (HttpReply(status=302), RejectedError, "rejected"),
    "a server error": (answer(500, "oops"), AmbiguousSendError, None),
    "a time-out at LINE": (HttpReply(status=408), AmbiguousSendError, None),
}


@pytest.mark.parametrize("token", ["", "r-1"], ids=["push", "reply"])
@pytest.mark.parametrize(("reply", "failure", "reason"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_means(
    reply: HttpReply, failure: type[GatewayError], reason: str | None, token: str
) -> None:
    with pytest.raises(failure) as caught:
        sent(to_send("hi", token=token), reply)
    assert type(caught.value) is failure
    assert getattr(caught.value, "reason", None) == reason


def test_a_wait_that_line_asks_for_is_kept() -> None:
    reply = HttpReply(status=429, headers={"retry-after": "17"})
    with pytest.raises(ThrottledError) as caught:
        sent(to_send("hi"), reply)
    assert caught.value.delay_s == 17


def test_a_refusal_of_the_second_call_tells_what_went_out() -> None:
    with pytest.raises(RejectedError) as caught:
        sent(to_send(*"abcdef"), answer(200, ids=tuple("12345")), answer(403))
    assert caught.value.provider_ids == tuple("12345")


UNSENDABLE: dict[str, tuple[ContentPart, ...]] = {
    "nothing": (),
    "an empty text": (TextPart(text=""),),
    "blanks": (TextPart(text=" \n"),),
    "a picture": (TextPart(text="see"), MediaPart(kind="image", url="https://x.example/a.png")),
}


@pytest.mark.parametrize("parts", UNSENDABLE.values(), ids=UNSENDABLE)
def test_refused_before_any_call(parts: tuple[ContentPart, ...]) -> None:
    message = msgspec.structs.replace(to_send(), parts=parts)
    with pytest.raises(RejectedError) as caught:
        next(CHANNEL.send(ACCOUNT, message))
    assert caught.value.reason == "bad_content"


def test_control_characters_and_half_emoji_do_not_stop_a_text() -> None:
    (call,), _ = sent(to_send("a\x00b\x07c\ud83d\nd"), OK)
    assert json.loads(call.body)["messages"][0]["text"] == "abc\ufffd\nd"


def test_without_an_access_token_nothing_is_called() -> None:
    account = msgspec.structs.replace(ACCOUNT, secrets={})
    with pytest.raises(CredentialError):
        next(CHANNEL.send(account, to_send("hi")))
