"""What Messenger is asked to send, one sentence each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from libs.common.channel import HttpReply, Outbound, Sent, Signal
from libs.common.errors import AmbiguousSendError, NotSentError, RejectedError, ThrottledError
from libs.common.events import (
    Choice,
    ChoicesPart,
    ContactPart,
    LocationPart,
    MediaPart,
    TemplatePart,
    TextPart,
)
from libs.common.providers.graph import PAGE_CODES
from libs.common.reasons import REASONS
from tests.channels.conformance import SUBJECTS, play
from tests.channels.meta_family import calls_of, media, message, shown

SUBJECT = SUBJECTS["messenger"]
PAGE = "1001/messages"
UPLOAD = "1001/message_attachments"


def said(what: dict[str, Any], **more: Any) -> tuple[str, dict[str, Any]]:
    """Return the call that sends the content *what*."""
    whole = {"recipient": {"id": "V-1"}, "messaging_type": "RESPONSE", **more}
    return PAGE, {**whole, "message": {**what, "metadata": "msg_1"}}


def upload(kind: str, name: str) -> tuple[str, dict[str, Any]]:
    about = {"attachment": {"type": kind, "payload": {"is_reusable": True}}}
    return UPLOAD, {"filedata": f"att_{name}", "message": about}


def file(kind: str, number: int) -> dict[str, Any]:
    return {"attachment": {"type": kind, "payload": {"attachment_id": f"a_{number}"}}}


def text(words: str) -> TextPart:
    return TextPart(text=words)


def choices(*given: Choice, style: Any = "quick_reply", words: str = "Which?") -> ChoicesPart:
    return ChoicesPart(text=words, choices=given, style=style)


RED, BLUE = Choice(title="Red", payload="COLOR_RED"), Choice(title="Blue")
SHOP = Choice(title="Shop", url="https://shop.example/")
PLACE = LocationPart(latitude=13.75, longitude=100.5, name="Shop")

CASES: dict[str, tuple[Outbound, list[tuple[str, Any]]]] = {
    "a text": (message(text("hi")), [said({"text": "hi"})]),
    "a person's answer after a day": (
        message(text("hi"), human_agent=True),
        [said({"text": "hi"}, messaging_type="MESSAGE_TAG", tag="HUMAN_AGENT")],
    ),
    "only the first of several parts quotes": (
        message(text("one"), text("two"), reply_to="m_0"),
        [said({"text": "one"}, reply_to={"mid": "m_0"}), said({"text": "two"})],
    ),
    "a picture is brought there first": (
        message(media("image", "png")),
        [upload("image", "png"), said(file("image", 1))],
    ),
    "all files are there before anything shows": (
        message(text("see"), media("video", "mp4"), media("file", "pdf")),
        [
            upload("video", "mp4"),
            upload("file", "pdf"),
            said({"text": "see"}),
            said(file("video", 1)),
            said(file("file", 2)),
        ],
    ),
    "the same file twice is brought there once": (
        message(media("image", "png"), media("image", "png")),
        [upload("image", "png"), said(file("image", 1)), said(file("image", 1))],
    ),
    "a picture too large for one goes as a file": (
        message(media("image", "big")),
        [upload("file", "big"), said(file("file", 1))],
    ),
    "a sound that Messenger does not play goes as a file": (
        message(media("audio", "ogg")),
        [upload("file", "ogg"), said(file("file", 1))],
    ),
    "a voice message": (
        message(media("audio", "m4a")),
        [upload("audio", "m4a"), said(file("audio", 1))],
    ),
    "a sticker of Messenger's own": (
        message(MediaPart(kind="sticker", sticker_id="369239263222822")),
        [said({"sticker_id": "369239263222822"})],
    ),
    "a sticker of ours is a picture": (
        message(media("sticker", "png")),
        [upload("image", "png"), said(file("image", 1))],
    ),
    "a place opens a map": (
        message(PLACE),
        [
            said(
                {
                    "text": "Shop\nhttps://www.google.com/maps/search/?api=1"
                    "&query=13.750000,100.500000"
                }
            )
        ],
    ),
    "quick replies; one without a payload returns its title": (
        message(choices(RED, BLUE)),
        [
            said(
                {
                    "text": "Which?",
                    "quick_replies": [
                        {"content_type": "text", "title": "Red", "payload": "COLOR_RED"},
                        {"content_type": "text", "title": "Blue", "payload": "Blue"},
                    ],
                }
            )
        ],
    ),
    "buttons, one of which opens a page": (
        message(choices(RED, SHOP, style="button")),
        [
            said(
                {
                    "attachment": {
                        "type": "template",
                        "payload": {
                            "template_type": "button",
                            "text": "Which?",
                            "buttons": [
                                {"type": "postback", "title": "Red", "payload": "COLOR_RED"},
                                {
                                    "type": "web_url",
                                    "title": "Shop",
                                    "url": "https://shop.example/",
                                },
                            ],
                        },
                    }
                }
            )
        ],
    ),
    "a fourth button makes it a text": (
        message(choices(RED, RED, RED, RED, style="button")),
        [said({"text": "Which?\n1. Red\n2. Red\n3. Red\n4. Red"})],
    ),
    "a quick reply that opens a page makes it a text": (
        message(choices(RED, SHOP)),
        [said({"text": "Which?\n1. Red\n2. Shop - https://shop.example/"})],
    ),
    "a title too long makes it a text": (
        message(choices(Choice(title="x" * 21))),
        [said({"text": "Which?\n1. " + "x" * 21})],
    ),
    "a description makes it a text, so that it is read": (
        message(choices(Choice(title="Red", description="like a rose"), style="list")),
        [said({"text": "Which?\n1. Red - like a rose"})],
    ),
    "to somebody known by a reference": (
        message(text("hi"), recipient="user_ref:REF-1"),
        [said({"text": "hi"}, recipient={"user_ref": "REF-1"})],
    ),
}


@pytest.mark.parametrize(("outbound", "expected"), CASES.values(), ids=CASES)
def test_d22_a_message_becomes(outbound: Outbound, expected: list[tuple[str, Any]]) -> None:
    made, _ = calls_of(SUBJECT, outbound)
    assert [shown(call) for call in made] == expected


def test_the_limits_of_choices_are_the_last_that_fit() -> None:
    fits = choices(*[Choice(title="x" * 20, payload="p" * 1000)] * 13, words="x" * 2000)
    (call,), _ = calls_of(SUBJECT, message(fits))
    assert len(shown(call)[1]["message"]["quick_replies"]) == 13
    for over in (
        choices(*[RED] * 14),
        choices(RED, words="x" * 2001),
        choices(Choice(title="x", payload="p" * 1001)),
        choices(RED, words="x" * 641, style="button"),
    ):
        made, _ = calls_of(SUBJECT, message(over))
        for call in made:
            assert set(shown(call)[1]["message"]) == {"text", "metadata"}


def test_an_upload_shows_nothing_and_a_message_does() -> None:
    made, sent = calls_of(SUBJECT, message(media("image", "png")))
    assert [(call.harmless, call.idempotent) for call in made] == [(True, False), (False, False)]
    assert sent == Sent(provider_ids=("m_2",), via="message")


REFUSED = {
    "a business card": (message(ContactPart(name="Ada")), "bad_content"),
    "a template": (message(TemplatePart(name="t", language="en")), "bad_content"),
    "a file too large": (message(text("a"), media("file", "huge")), "too_large"),
    "a file that is gone": (message(media("image", "gone")), "file_missing"),
    "nothing": (message(), "bad_content"),
}


@pytest.mark.parametrize(("outbound", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_go_is_refused_before_any_call(outbound: Outbound, reason: str) -> None:
    exchange = SUBJECT.channel.send(SUBJECT.account, outbound)
    with pytest.raises(RejectedError) as caught:
        next(exchange)
    assert caught.value.reason == reason


def answered(error: dict[str, Any], status: int = 400) -> HttpReply:
    return HttpReply(status=status, body=json.dumps({"error": error}).encode())


UPLOADS: dict[str, tuple[HttpReply | Exception, type[Exception]]] = {
    "a server error may be repeated: nothing shows": (HttpReply(status=500), NotSentError),
    "so may a cut connection": (AmbiguousSendError("cut"), NotSentError),
    "so may an answer without an id": (HttpReply(status=200, body=b"{}"), NotSentError),
    "too fast is told apart": (answered({"code": 613}), ThrottledError),
    "a refusal is final": (answered({"code": 100, "error_subcode": 2018109}), RejectedError),
}


@pytest.mark.parametrize(("answer", "failure"), UPLOADS.values(), ids=UPLOADS)
def test_an_upload_that_fails(answer: HttpReply | Exception, failure: type[Exception]) -> None:
    exchange = SUBJECT.channel.send(SUBJECT.account, message(media("image", "png")))
    with pytest.raises(failure) as caught:
        play(exchange, answer)
    assert type(caught.value) is failure


def test_a_failure_midway_names_what_went_out() -> None:
    exchange = SUBJECT.channel.send(SUBJECT.account, message(text("a"), media("image", "png")))
    taken = HttpReply(status=200, body=b'{"attachment_id":"a_1","message_id":"m_1"}')
    with pytest.raises(AmbiguousSendError) as caught:
        play(exchange, taken, taken, HttpReply(status=500))
    assert caught.value.provider_ids == ("m_1",)


SIGNALS = {"typing": "typing_on", "seen": "mark_seen"}


@pytest.mark.parametrize(("kind", "action"), SIGNALS.items(), ids=SIGNALS)
def test_a_signal_is_an_action_of_its_own(kind: Any, action: str) -> None:
    show = SUBJECT.channel.signal
    assert show is not None
    exchange = show(SUBJECT.account, Signal(kind=kind, recipient="V-1", message_id="m_1"))
    (call,), _ = play(exchange, HttpReply(status=200, body=b'{"recipient_id":"V-1"}'))
    assert shown(call) == (PAGE, {"recipient": {"id": "V-1"}, "sender_action": action})
    assert call.harmless
    assert call.headers["authorization"] == "Bearer access_token-sample-4711"


def test_d21_every_reason_is_put_into_plain_words() -> None:
    assert set(PAGE_CODES.reasons.values()) <= set(REASONS)
