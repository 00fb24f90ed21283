"""Fetching what a visitor sent, and the small signs shown to them."""

from __future__ import annotations

import json

import msgspec
import pytest

from libs.common.channel import HttpCall, HttpReply, Signal
from libs.common.channels.line import CHANNEL
from libs.common.errors import (
    CredentialError,
    GatewayError,
    NotSentError,
    RejectedError,
    ThrottledError,
)
from libs.common.events import MediaKind, MediaPart
from tests.channels.conformance import SUBJECTS, play

ACCOUNT = SUBJECTS["line"].account
CONTENT = "https://api-data.line.me/v2/bot/message/500010/content"
BEARER = {"authorization": "Bearer access_token-sample-4711"}
READY = HttpReply(status=200, body=b'{"status":"succeeded"}')


def fetched(part: MediaPart, *replies: HttpReply) -> tuple[list[HttpCall], HttpCall]:
    assert CHANNEL.media is not None
    return play(CHANNEL.media(ACCOUNT, part, ""), *replies)


@pytest.mark.parametrize("kind", ["image", "file"])
def test_d22_a_picture_or_file_is_fetched_at_once(kind: MediaKind) -> None:
    calls, content = fetched(MediaPart(kind=kind, media_id="500010"), READY)
    assert calls == []
    assert (content.method, content.url, content.headers) == ("GET", CONTENT, BEARER)


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_d22_a_sound_or_film_is_asked_for_first(kind: MediaKind) -> None:
    (asked,), content = fetched(MediaPart(kind=kind, media_id="500010"), READY)
    assert (asked.method, asked.url, asked.headers) == ("GET", f"{CONTENT}/transcoding", BEARER)
    assert asked.harmless
    assert content.url == CONTENT


def test_d22_what_is_kept_elsewhere_is_fetched_without_the_token() -> None:
    part = MediaPart(kind="video", url="https://img.example/o.mp4")
    calls, content = fetched(part, READY)
    assert calls == []
    assert (content.url, content.method, content.headers) == (part.url, "GET", {})


def test_the_data_host_may_be_replaced() -> None:
    local = msgspec.structs.replace(ACCOUNT, api_base="http://127.0.0.1:9/stub/")
    assert CHANNEL.media is not None
    exchange = CHANNEL.media(local, MediaPart(kind="image", media_id="5"), "")
    assert play(exchange, READY)[1].url == "http://127.0.0.1:9/stub/v2/bot/message/5/content"


def test_an_id_that_is_a_path_stays_an_id() -> None:
    _, content = fetched(MediaPart(kind="image", media_id="../profile?x=1#"), READY)
    assert content.url.endswith("/message/..%2Fprofile%3Fx%3D1%23/content")


NOT_READY: dict[str, tuple[HttpReply, type[GatewayError], str | None]] = {
    "still converting": (
        HttpReply(status=200, body=b'{"status":"processing"}'),
        NotSentError,
        None,
    ),
    "not convertible": (
        HttpReply(status=200, body=b'{"status":"failed"}'),
        RejectedError,
        "gone",
    ),
    "deleted": (HttpReply(status=404), RejectedError, "gone"),
    "long gone": (HttpReply(status=410), RejectedError, "gone"),
    "the token is wrong": (HttpReply(status=401), CredentialError, "credential"),
    "too fast": (HttpReply(status=429), ThrottledError, None),
}


@pytest.mark.parametrize(("reply", "failure", "reason"), NOT_READY.values(), ids=NOT_READY)
def test_a_film_that_is(reply: HttpReply, failure: type[GatewayError], reason: str | None) -> None:
    with pytest.raises(failure) as caught:
        fetched(MediaPart(kind="video", media_id="500010"), reply)
    assert type(caught.value) is failure
    assert getattr(caught.value, "reason", None) == reason


def test_an_unreadable_state_leaves_it_to_the_content_call() -> None:
    _, content = fetched(
        MediaPart(kind="video", media_id="500010"), HttpReply(status=200, body=b"<html>")
    )
    assert content.url == CONTENT


def test_a_part_that_names_nothing_is_refused() -> None:
    with pytest.raises(RejectedError):
        fetched(MediaPart(kind="sticker", sticker_id="2"), READY)


# --- signals -----------------------------------------------------------------------------------

SIGNALS = {
    "typing to a person": (
        Signal(kind="typing", recipient="U1"),
        ("/v2/bot/chat/loading/start", {"chatId": "U1", "loadingSeconds": 20}),
    ),
    "typing in a group cannot be shown": (Signal(kind="typing", recipient="C1"), None),
    "read": (
        Signal(kind="seen", recipient="U1", read_token="mr-1"),
        ("/v2/bot/chat/markAsRead", {"markAsReadToken": "mr-1"}),
    ),
    "read without a token cannot be shown": (Signal(kind="seen", recipient="U1"), None),
}


@pytest.mark.parametrize(("given", "wanted"), SIGNALS.values(), ids=SIGNALS)
def test_a_signal_is(given: Signal, wanted: tuple[str, object] | None) -> None:
    assert CHANNEL.signal is not None
    calls, _ = play(CHANNEL.signal(ACCOUNT, given), HttpReply(status=202))
    made = [(call.url, json.loads(call.body)) for call in calls]
    assert made == ([(f"https://api.line.me{wanted[0]}", wanted[1])] if wanted else [])
    assert all(call.harmless for call in calls)


def test_a_refused_signal_says_why() -> None:
    assert CHANNEL.signal is not None
    with pytest.raises(RejectedError):
        play(CHANNEL.signal(ACCOUNT, Signal(kind="typing", recipient="U1")), HttpReply(status=403))
