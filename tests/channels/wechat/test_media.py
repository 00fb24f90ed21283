"""Fetching what a visitor sent, and the sign that we type."""

from __future__ import annotations

import json

import msgspec
import pytest

from libs.common.channel import HttpCall, HttpReply, Signal
from libs.common.channels.wechat import CHANNEL
from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    GatewayError,
    NotSentError,
    RejectedError,
    ThrottledError,
)
from libs.common.events import MediaKind, MediaPart
from tests.channels.conformance import SUBJECTS, play

ACCOUNT = SUBJECTS["wechat with all secrets"].account
GET = "https://api.weixin.qq.com/cgi-bin/media/get?access_token=tok&media_id=media%2F1"
PNG = HttpReply(status=200, body=b"\x89PNG\r\n\x1a\n", headers={"content-type": "image/png"})


def part(kind: MediaKind = "image", *, media_id: str = "media/1", url: str = "") -> MediaPart:
    return MediaPart(kind=kind, media_id=media_id, url=url)


def fetched(
    given: MediaPart, reply: HttpReply | Exception, *, api_base: str = "", access: str = "tok"
) -> tuple[list[HttpCall], HttpCall]:
    assert CHANNEL.media is not None
    account = msgspec.structs.replace(ACCOUNT, api_base=api_base)
    return play(CHANNEL.media(account, given, access), reply)


def told(text: str) -> HttpReply:
    return HttpReply(status=200, body=text.encode())


CONTENT: dict[str, tuple[HttpReply | Exception, str]] = {
    "bytes are the content": (PNG, GET),
    "too many bytes for an answer are the content": (AmbiguousSendError("too large"), GET),
    "JSON of the visitor's own is the content": (told('{"a":[1]}'), GET),
    "a film lies elsewhere": (
        told('{"video_url":"https://v.example/m.mp4?k=1"}'),
        "https://v.example/m.mp4?k=1",
    ),
    "a film by http is fetched by https": (
        told('{"video_url":"http://v.example/m.mp4"}'),
        "https://v.example/m.mp4",
    ),
}


@pytest.mark.parametrize(("reply", "url"), CONTENT.values(), ids=CONTENT)
def test_d22_the_content_is_at(reply: HttpReply | Exception, url: str) -> None:
    (asked,), content = fetched(part(), reply)
    assert (asked.url, asked.method, asked.harmless) == (GET, "GET", True)
    assert (content.url, content.method, content.headers) == (url, "GET", {})


def test_the_host_may_be_replaced_and_then_stays_http() -> None:
    base = "http://127.0.0.1:9/stub"
    (asked,), content = fetched(
        part("video"), told('{"video_url":"http://127.0.0.1:9/stub/cdn/1.mp4"}'), api_base=base
    )
    assert asked.url.startswith(f"{base}/cgi-bin/media/get?")
    assert content.url == f"{base}/cdn/1.mp4"


def test_without_a_media_id_its_own_address_is_fetched() -> None:
    calls, content = fetched(part(media_id="", url="https://mmbiz.example/p/0"), PNG)
    assert (calls, content.url) == ([], "https://mmbiz.example/p/0")


REFUSED: dict[str, tuple[HttpReply, type[GatewayError], str | None]] = {
    "older than three days": (told('{"errcode":40007}'), RejectedError, "gone"),
    "the token ran out": (told('{"errcode":42001}'), CredentialError, "credential"),
    "another token was fetched": (told('{"errcode":40001}'), CredentialError, "credential"),
    "the day's quota is used up": (told('{"errcode":45009}'), RejectedError, "quota"),
    "too often": (told('{"errcode":45011}'), ThrottledError, None),
    "busy": (told('{"errcode":-1}'), NotSentError, None),
}


@pytest.mark.parametrize(("reply", "failure", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_with_status_200_is_no_content(
    reply: HttpReply, failure: type[GatewayError], reason: str | None
) -> None:
    with pytest.raises(failure) as caught:
        fetched(part(), reply)
    assert type(caught.value) is failure
    assert getattr(caught.value, "reason", None) == reason


def test_without_a_token_or_anything_to_fetch_nothing_is_called() -> None:
    with pytest.raises(CredentialError):
        fetched(part(), PNG, access="")
    with pytest.raises(RejectedError):
        fetched(MediaPart(kind="image"), PNG)


# --- typing ------------------------------------------------------------------------------------

OK = told('{"errcode":0,"errmsg":"ok"}')


def signalled(given: Signal, reply: HttpReply) -> list[HttpCall]:
    assert CHANNEL.signal is not None
    return play(CHANNEL.signal(ACCOUNT, given), reply)[0]


def test_typing_is_shown() -> None:
    (call,) = signalled(Signal(kind="typing", recipient="oVisitor1", access_token="tok"), OK)
    assert call.url == "https://api.weixin.qq.com/cgi-bin/message/custom/typing?access_token=tok"
    assert json.loads(call.body) == {"touser": "oVisitor1", "command": "Typing"}
    assert call.harmless


def test_reading_cannot_be_shown() -> None:
    assert signalled(Signal(kind="seen", recipient="oVisitor1", access_token="tok"), OK) == []


def test_a_refused_signal_says_why() -> None:
    with pytest.raises(RejectedError):
        signalled(
            Signal(kind="typing", recipient="oVisitor1", access_token="tok"),
            told('{"errcode":45080}'),
        )
