"""What is asked of Meta to answer a comment, publicly or privately, one sentence each."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from libs.common.channel import HttpReply, Outbound, Sent
from libs.common.errors import AmbiguousSendError, RejectedError, ThrottledError
from libs.common.events import Choice, ChoicesPart, LocationPart, TextPart, Thread
from tests.channels.conformance import SUBJECTS, play
from tests.channels.meta_family import LINKED, calls_of, media, message, shown

SUBJECT = SUBJECTS["fb_comment"]
THREAD = Thread(post="1001_55", comment="55_900", parent="1001_55")
BELOW = "55_900/comments"
PNG = "https://files.example/att_png"


def answer(*parts: Any, **more: Any) -> Outbound:
    return message(*parts, **{"thread": THREAD, "files": LINKED, **more})


def privately(*parts: Any, **more: Any) -> Outbound:
    return answer(*parts, way="private", **more)


def private(what: dict[str, Any], comment: str = "55_900") -> tuple[str, dict[str, Any]]:
    return "1001/messages", {
        "recipient": {"comment_id": comment},
        "messaging_type": "RESPONSE",
        "message": {**what, "metadata": "msg_1"},
    }


def text(words: str) -> TextPart:
    return TextPart(text=words)


CASES: dict[str, tuple[Outbound, list[tuple[str, Any]]]] = {
    "a reply stands below the thread's comment": (
        answer(text("12 euro")),
        [(BELOW, {"message": "12 euro"})],
    ),
    "said to be public, it is the same": (
        answer(text("12 euro"), way="public"),
        [(BELOW, {"message": "12 euro"})],
    ),
    "another comment of the thread may be answered": (
        answer(text("12 euro"), reply_to="55_901"),
        [("55_901/comments", {"message": "12 euro"})],
    ),
    "several texts are several replies": (
        answer(text("one"), text("two")),
        [(BELOW, {"message": "one"}), (BELOW, {"message": "two"})],
    ),
    "a picture is fetched from its link": (
        answer(media("image", "png")),
        [(BELOW, {"attachment_url": PNG})],
    ),
    "a picture and its caption are one reply": (
        answer(media("image", "png"), text("this one")),
        [(BELOW, {"message": "this one", "attachment_url": PNG})],
    ),
    "a place opens a map": (
        answer(LocationPart(latitude=13.75, longitude=100.5)),
        [
            (
                BELOW,
                {"message": "https://www.google.com/maps/search/?api=1&query=13.750000,100.500000"},
            )
        ],
    ),
    "choices are numbered": (
        answer(ChoicesPart(text="Which?", choices=(Choice(title="Red"), Choice(title="Blue")))),
        [(BELOW, {"message": "Which?\n1. Red\n2. Blue"})],
    ),
    "a private reply goes to whoever wrote the comment": (
        privately(text("look here")),
        [private({"text": "look here"})],
    ),
    "a private reply to another comment of the thread": (
        privately(text("look here"), reply_to="55_901"),
        [private({"text": "look here"}, "55_901")],
    ),
    "a private picture": (
        privately(media("image", "png")),
        [private({"attachment": {"type": "image", "payload": {"url": PNG}}})],
    ),
}


@pytest.mark.parametrize(("outbound", "expected"), CASES.values(), ids=CASES)
def test_d12_an_answer_becomes(outbound: Outbound, expected: list[tuple[str, Any]]) -> None:
    made, _ = calls_of(SUBJECT, outbound)
    assert [shown(call) for call in made] == expected


def test_d12_a_private_reply_reveals_who_the_author_is_on_messenger() -> None:
    (call,), sent = calls_of(SUBJECT, privately(text("look here")))
    assert sent == Sent(provider_ids=("m_1",), via="private_reply", linked_visitor="PSID-9")
    assert call.idempotent  # Meta takes one for a comment, whatever is repeated


def test_a_public_reply_is_never_repeated_blindly() -> None:
    (call,), sent = calls_of(SUBJECT, answer(text("12 euro")))
    assert sent == Sent(provider_ids=("55_1",), via="comment")
    assert not call.idempotent


@pytest.mark.parametrize(("outbound", "expected"), CASES.values(), ids=CASES)
def test_d12_the_count_known_before_is_that_of_the_calls_made(
    outbound: Outbound, expected: list[tuple[str, Any]]
) -> None:
    assert SUBJECT.channel.calls is not None
    assert SUBJECT.channel.calls(outbound) == len(expected)


def test_d12_a_private_reply_of_two_messages_is_known_before() -> None:
    assert SUBJECT.channel.calls is not None
    with pytest.raises(RejectedError, match="at most 2000 characters"):
        SUBJECT.channel.calls(privately(text("a" * 2001)))


REFUSED: dict[str, tuple[Outbound, str]] = {
    "no comment": (message(text("a")), "bad_recipient"),
    "a step up in the path": (answer(text("a"), reply_to=".."), "bad_recipient"),
    "a film": (answer(text("a"), media("video", "mp4")), "bad_content"),
    "a picture that nobody outside can fetch": (
        message(media("image", "png"), thread=THREAD),
        "file_needs_link",
    ),
    "a private text of two messages": (privately(text("a" * 2001)), "bad_content"),
    "a private picture with a text": (privately(media("image", "png"), text("a")), "bad_content"),
    "a private reply to no comment": (
        msgspec.structs.replace(privately(text("a")), thread=None),
        "bad_recipient",
    ),
}


@pytest.mark.parametrize(("outbound", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_go_is_refused_before_any_call(outbound: Outbound, reason: str) -> None:
    exchange = SUBJECT.channel.send(SUBJECT.account, outbound)
    with pytest.raises(RejectedError) as caught:
        next(exchange)
    assert caught.value.reason == reason


def answered(code: int, status: int = 400) -> HttpReply:
    return HttpReply(status=status, body=json.dumps({"error": {"code": code}}).encode())


def test_d12_a_private_reply_that_was_taken_before_is_done() -> None:
    exchange = SUBJECT.channel.send(SUBJECT.account, privately(text("a")))
    _, sent = play(exchange, answered(10900))
    assert sent == Sent(via="private_reply")


FAILURES: dict[str, tuple[HttpReply, type[Exception], str]] = {
    "a comment that takes no reply": (answered(10903), RejectedError, "not_answerable"),
    "a comment that is gone": (
        HttpReply(status=400, body=b'{"error":{"code":100,"error_subcode":33}}'),
        RejectedError,
        "bad_recipient",
    ),
    "too many in an hour": (answered(613), ThrottledError, ""),
    "a server error": (answered(1, 500), AmbiguousSendError, ""),
    "an answer without an id": (HttpReply(status=200, body=b"{}"), AmbiguousSendError, ""),
}


@pytest.mark.parametrize(
    "outbound", [answer(text("a")), privately(text("a"))], ids=["public", "private"]
)
@pytest.mark.parametrize(("reply", "failure", "reason"), FAILURES.values(), ids=FAILURES)
def test_a_failure_is_told_by_its_kind(
    outbound: Outbound, reply: HttpReply, failure: type[Exception], reason: str
) -> None:
    with pytest.raises(failure) as caught:
        play(SUBJECT.channel.send(SUBJECT.account, outbound), reply)
    assert getattr(caught.value, "reason", "") == reason
