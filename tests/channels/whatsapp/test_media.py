"""How a visitor's file is found at WhatsApp."""

from __future__ import annotations

import json

import msgspec
import pytest

from libs.common.channel import HttpCall, HttpReply, MediaExchange
from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    GatewayError,
    RejectedError,
    ThrottledError,
)
from libs.common.events import MediaPart
from libs.common.providers.graph import VERSION
from tests.channels.conformance import SUBJECTS, play

SUBJECT = SUBJECTS["whatsapp"]
PART = MediaPart(kind="image", media_id="MEDIA/1", url="https://old.example/expired")
FOUND = {"url": "https://lookaside.example/m?x=1", "mime_type": "image/jpeg", "file_size": 7}


def asked(part: MediaPart = PART, token: str = "") -> MediaExchange:
    media = SUBJECT.channel.media
    assert media is not None
    return media(SUBJECT.account, part, token)


def answer(body: object, status: int = 200) -> HttpReply:
    return HttpReply(status=status, body=json.dumps(body).encode())


def test_d22_the_id_is_looked_up_and_the_address_wants_the_bearer_too() -> None:
    (lookup,), fetch = play(asked(), answer(FOUND))
    bearer = {"authorization": f"Bearer {SUBJECT.account.secrets['access_token']}"}
    url = f"https://graph.facebook.com/{VERSION}/MEDIA%2F1?phone_number_id=PN-1"
    assert lookup == HttpCall(method="GET", url=url, headers=bearer, harmless=True)
    wanted = HttpCall(method="GET", url=str(FOUND["url"]), headers=bearer, harmless=True)
    assert fetch == wanted


def test_a_stand_in_is_asked_instead() -> None:
    account = msgspec.structs.replace(SUBJECT.account, api_base="http://127.0.0.1:9/stub/")
    media = SUBJECT.channel.media
    assert media is not None
    (lookup,), _ = play(media(account, PART, "t"), answer(FOUND))
    assert lookup.url.startswith(f"http://127.0.0.1:9/stub/{VERSION}/MEDIA%2F1?")
    assert lookup.headers["authorization"] == "Bearer t"


GONE = {"error": {"code": 100, "error_subcode": 33, "message": "Object does not exist"}}
FAILURES: dict[str, tuple[HttpReply, type[GatewayError], str]] = {
    "no longer there": (answer(GONE, 400), RejectedError, "gone"),
    "not found": (answer({}, 404), RejectedError, "gone"),
    "an answer without an address": (answer({"id": "MEDIA-1"}), RejectedError, "gone"),
    "no permission": (answer({"error": {"code": 10}}, 403), RejectedError, "permission"),
    "a revoked token": (answer({"error": {"code": 190}}, 401), CredentialError, "credential"),
    "too fast": (answer({"error": {"code": 130429}}, 429), ThrottledError, ""),
    "trouble at WhatsApp": (answer({}, 503), AmbiguousSendError, ""),
}


@pytest.mark.parametrize(("reply", "kind", "reason"), FAILURES.values(), ids=FAILURES)
def test_what_a_refusal_means(reply: HttpReply, kind: type[GatewayError], reason: str) -> None:
    with pytest.raises(kind) as caught:
        play(asked(), reply)
    assert getattr(caught.value, "reason", "") == reason


def test_a_file_without_an_id_is_gone() -> None:
    with pytest.raises(RejectedError) as caught:
        next(asked(MediaPart(kind="image")))
    assert caught.value.reason == "gone"
