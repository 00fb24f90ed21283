"""What Instagram is asked to send, one sentence each."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.common.channel import Account, HttpReply, Outbound, Sent, Signal
from libs.common.errors import RejectedError
from libs.common.events import Choice, ChoicesPart, LocationPart, MediaPart, TextPart
from libs.common.providers.graph import VERSION
from tests.channels.conformance import SUBJECTS, play
from tests.channels.meta_family import LINKED, calls_of, media, message, shown

SUBJECT = SUBJECTS["instagram"]
OWN = "17840001/messages"


def direct(*parts: Any, **more: Any) -> Outbound:
    return message(*parts, **{"files": LINKED, **more})


def said(what: dict[str, Any], **more: Any) -> tuple[str, dict[str, Any]]:
    """Return the call that sends the content *what*."""
    whole = {"recipient": {"id": "V-1"}, "messaging_type": "RESPONSE", **more}
    return OWN, {**whole, "message": {**what, "metadata": "msg_1"}}


def file(kind: str, name: str) -> dict[str, Any]:
    url = f"https://files.example/att_{name}"
    return {"attachment": {"type": kind, "payload": {"url": url}}}


def text(words: str) -> TextPart:
    return TextPart(text=words)


CASES: dict[str, tuple[Outbound, list[tuple[str, Any]]]] = {
    "a text": (direct(text("hi")), [said({"text": "hi"})]),
    "a person's answer after a day": (
        direct(text("hi"), human_agent=True),
        [said({"text": "hi"}, messaging_type="MESSAGE_TAG", tag="HUMAN_AGENT")],
    ),
    "a text is cut by its bytes": (
        direct(text("ä" * 501)),
        [said({"text": "ä" * 500}), said({"text": "ä"})],
    ),
    "only the first of several parts quotes": (
        direct(text("one"), text("two"), reply_to="aWdf0"),
        [said({"text": "one"}, reply_to={"mid": "aWdf0"}), said({"text": "two"})],
    ),
    "a picture is fetched from its link": (
        direct(media("image", "png"), text("see")),
        [said(file("image", "png")), said({"text": "see"})],
    ),
    "a film": (direct(media("video", "mov")), [said(file("video", "mov"))]),
    "a voice message": (direct(media("audio", "m4a")), [said(file("audio", "m4a"))]),
    "a file": (direct(media("file", "pdf")), [said(file("file", "pdf"))]),
    "a place opens a map": (
        direct(LocationPart(latitude=13.75, longitude=100.5)),
        [said({"text": "https://www.google.com/maps/search/?api=1&query=13.750000,100.500000"})],
    ),
    "quick replies": (
        direct(ChoicesPart(text="Which?", choices=(Choice(title="Red", payload="R"),))),
        [
            said(
                {
                    "text": "Which?",
                    "quick_replies": [{"content_type": "text", "title": "Red", "payload": "R"}],
                }
            )
        ],
    ),
}


@pytest.mark.parametrize(("outbound", "expected"), CASES.values(), ids=CASES)
def test_d28_a_message_becomes(outbound: Outbound, expected: list[tuple[str, Any]]) -> None:
    made, _ = calls_of(SUBJECT, outbound)
    assert [shown(call) for call in made] == expected


LINKED_PAGE = msgspec.structs.replace(
    SUBJECT.account, secrets={**SUBJECT.account.secrets, "page_id": "1001"}
)
WRITERS: dict[str, tuple[Account, str]] = {
    "an account of Instagram login writes by itself": (
        SUBJECT.account,
        f"https://graph.instagram.com/{VERSION}/17840001/messages",
    ),
    "an account with a linked page writes as the page": (
        LINKED_PAGE,
        f"https://graph.facebook.com/{VERSION}/1001/messages",
    ),
}


@pytest.mark.parametrize(("account", "url"), WRITERS.values(), ids=WRITERS)
def test_who_writes(account: Account, url: str) -> None:
    taken = HttpReply(status=200, body=b'{"recipient_id":"V-1","message_id":"aWd9"}')
    (call,), sent = play(SUBJECT.channel.send(account, direct(text("hi"))), taken)
    assert (call.url, sent) == (url, Sent(provider_ids=("aWd9",), via="message"))
    assert call.headers["authorization"] == "Bearer access_token-sample-4711"
    assert SUBJECT.channel.signal is not None
    exchange = SUBJECT.channel.signal(account, Signal(kind="typing", recipient="V-1"))
    (signal,), _ = play(exchange, HttpReply(status=200, body=b"{}"))
    assert signal.url == url
    assert shown(signal)[1] == {"recipient": {"id": "V-1"}, "sender_action": "typing_on"}


REFUSED: dict[str, tuple[Outbound, str]] = {
    "a sound that Instagram does not take": (direct(media("audio", "ogg")), "bad_content"),
    "a picture too large": (direct(media("image", "big")), "too_large"),
    "a sticker of another provider": (
        direct(MediaPart(kind="sticker", sticker_id="369239263222822")),
        "bad_content",
    ),
    "a picture that nobody outside can fetch": (
        message(media("image", "png")),
        "file_needs_link",
    ),
}


@pytest.mark.parametrize(("outbound", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_go_is_refused_before_any_call(outbound: Outbound, reason: str) -> None:
    with pytest.raises(RejectedError) as caught:
        next(SUBJECT.channel.send(SUBJECT.account, outbound))
    assert caught.value.reason == reason


UNFETCHED = HttpReply(status=400, body=b'{"error":{"code":100,"error_subcode":2018008}}')
TAKEN = HttpReply(status=200, body=b'{"message_id":"aWd9"}')


def test_a_file_that_could_not_be_fetched_is_offered_once_more() -> None:
    exchange = SUBJECT.channel.send(SUBJECT.account, direct(media("image", "png")))
    calls, sent = play(exchange, UNFETCHED, TAKEN)
    assert (calls[0], sent.provider_ids) == (calls[1], ("aWd9",))
    exchange = SUBJECT.channel.send(SUBJECT.account, direct(text("a"), media("image", "png")))
    with pytest.raises(RejectedError) as caught:
        play(exchange, TAKEN, UNFETCHED)
    assert (caught.value.reason, caught.value.provider_ids) == ("bad_content", ("aWd9",))
