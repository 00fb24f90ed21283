"""How a visitor's file is found at Telegram."""

from __future__ import annotations

import json

import msgspec
import pytest

from libs.common.channel import HttpCall, HttpReply
from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    GatewayError,
    NotSentError,
    RejectedError,
    ThrottledError,
)
from libs.common.events import MediaPart
from tests.channels.conformance import SUBJECTS, play

SUBJECT = SUBJECTS["telegram"]
TOKEN = SUBJECT.account.secrets["bot_token"]
PART = MediaPart(kind="image", media_id="AgAC-large", size_bytes=20 * 2**20)


def asked(
    reply: HttpReply, part: MediaPart = PART, api_base: str = ""
) -> tuple[list[HttpCall], HttpCall]:
    media = SUBJECT.channel.media
    assert media is not None
    account = msgspec.structs.replace(SUBJECT.account, api_base=api_base)
    return play(media(account, part, ""), reply)


def found(path: object) -> HttpReply:
    body = {"ok": True, "result": {"file_id": "AgAC-large", "file_path": path}}
    return HttpReply(status=200, body=json.dumps(body).encode())


def refused(status: int, description: str) -> HttpReply:
    body = {"ok": False, "error_code": status, "description": description}
    return HttpReply(status=status, body=json.dumps(body).encode())


def test_d22_the_path_is_looked_up_and_fetched() -> None:
    (lookup,), fetch = asked(found("photos/file 1.jpg"))
    assert lookup.url == f"https://api.telegram.org/bot{TOKEN}/getFile"
    assert json.loads(lookup.body) == {"file_id": "AgAC-large"}
    assert lookup.harmless
    url = f"https://api.telegram.org/file/bot{TOKEN}/photos/file%201.jpg"
    assert fetch == HttpCall(method="GET", url=url, harmless=True)


def test_a_stand_in_is_asked_instead() -> None:
    (lookup,), fetch = asked(found("/photos/a.jpg"), api_base="http://127.0.0.1:9/stub/")
    assert lookup.url == f"http://127.0.0.1:9/stub/bot{TOKEN}/getFile"
    assert fetch.url == f"http://127.0.0.1:9/stub/file/bot{TOKEN}/photos/a.jpg"


FAILURES: dict[str, tuple[HttpReply, type[GatewayError], str]] = {
    "no such file": (
        refused(400, "Bad Request: wrong file_id or the file is temporarily unavailable"),
        NotSentError,
        "",
    ),
    "an id that is none": (refused(400, "Bad Request: invalid file_id"), RejectedError, "gone"),
    "over 20 MB": (refused(400, "Bad Request: file is too big"), RejectedError, "too_large"),
    "an answer without a path": (found(None), RejectedError, "gone"),
    "a revoked token": (refused(401, "Unauthorized"), CredentialError, "credential"),
    "too fast": (refused(429, "Too Many Requests"), ThrottledError, ""),
    "trouble at Telegram": (refused(502, "Bad Gateway"), AmbiguousSendError, ""),
}


@pytest.mark.parametrize(("reply", "kind", "reason"), FAILURES.values(), ids=FAILURES)
def test_what_a_refusal_means(reply: HttpReply, kind: type[GatewayError], reason: str) -> None:
    with pytest.raises(kind) as caught:
        asked(reply)
    assert getattr(caught.value, "reason", "") == reason
    assert TOKEN not in str(caught.value)


def test_what_is_known_to_be_too_large_is_not_asked_for() -> None:
    media = SUBJECT.channel.media
    assert media is not None
    part = MediaPart(kind="video", media_id="F", size_bytes=20 * 2**20 + 1)
    with pytest.raises(RejectedError) as caught:
        next(media(SUBJECT.account, part, ""))
    assert caught.value.reason == "too_large"
