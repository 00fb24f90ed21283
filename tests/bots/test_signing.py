"""Signatures of webhook bots, by the published vector of Standard Webhooks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.errors import BadSignatureError
from libs.common.signing import SECRET_BYTES, TOLERANCE_S, new_secret, sign, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
NOW = datetime.fromtimestamp(1614265330, UTC)
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
PROOF = HEADERS["webhook-signature"]
OTHER = new_secret(bytes(range(SECRET_BYTES)))


def test_b10_the_published_vector() -> None:
    assert sign(SECRET, HEADERS["webhook-id"], BODY, NOW) == HEADERS
    assert verify(SECRET, HEADERS, BODY, NOW) == HEADERS["webhook-id"]


LATER = timedelta(seconds=TOLERANCE_S)
SECOND = timedelta(seconds=1)
TAKEN = {
    "in any case of names": ({name.title(): text for name, text in HEADERS.items()}, SECRET, NOW),
    "five minutes old": (HEADERS, SECRET, NOW + LATER),
    "five minutes ahead": (HEADERS, SECRET, NOW - LATER),
    "among other signatures": (
        {**HEADERS, "webhook-signature": f"v1a,xx v1,AAAA {PROOF}"},
        SECRET,
        NOW,
    ),
    "by the old secret while it is being changed": (HEADERS, f"{OTHER} {SECRET}", NOW),
    "by a secret without its prefix": (HEADERS, SECRET.removeprefix("whsec_"), NOW),
}
NO_TIME = "webhook-timestamp is absent or no number of seconds"
NO_PROOF = "webhook-signature has no v1 signature of the body"
NO_ID = "webhook-id is absent, or no printable ASCII of up to 256 characters"
OFF = "webhook-timestamp is more than 300 seconds off"
REFUSED = {
    "older": (HEADERS, SECRET, NOW + LATER + SECOND, OFF),
    "further ahead": (HEADERS, SECRET, NOW - LATER - SECOND, OFF),
    "by another secret": (HEADERS, OTHER, NOW, NO_PROOF),
    "without a signature": (
        {name: HEADERS[name] for name in ("webhook-id", "webhook-timestamp")},
        SECRET,
        NOW,
        NO_PROOF,
    ),
    "without an id": ({**HEADERS, "webhook-id": ""}, SECRET, NOW, NO_ID),
    "with another id": ({**HEADERS, "webhook-id": "msg_2"}, SECRET, NOW, NO_PROOF),
    "with an endless id": ({**HEADERS, "webhook-id": "x" * 257}, SECRET, NOW, NO_ID),
    "without a time": ({**HEADERS, "webhook-timestamp": ""}, SECRET, NOW, NO_TIME),
    "with a time that is none": ({**HEADERS, "webhook-timestamp": "nan"}, SECRET, NOW, NO_TIME),
    "with an endless time": ({**HEADERS, "webhook-timestamp": "9" * 400}, SECRET, NOW, NO_TIME),
    "with another time": (
        {**HEADERS, "webhook-timestamp": "1614265331"},
        SECRET,
        NOW,
        NO_PROOF,
    ),
    "of another version": (
        {**HEADERS, "webhook-signature": PROOF.replace("v1,", "v2,")},
        SECRET,
        NOW,
        NO_PROOF,
    ),
    "that is no base64": ({**HEADERS, "webhook-signature": "v1,\u00e9"}, SECRET, NOW, NO_PROOF),
    "buried under others": (
        {**HEADERS, "webhook-signature": "v1,AAAA " * 10 + PROOF},
        SECRET,
        NOW,
        NO_PROOF,
    ),
    "without a secret": (HEADERS, "", NOW, "there is no signing secret"),
    "while its secret is none": (
        HEADERS,
        "whsec_!",
        NOW,
        "a signing secret is not whsec_ and base64",
    ),
    "while its secret is short": (
        HEADERS,
        "whsec_AAAA",
        NOW,
        "a signing secret has not 24 to 64 bytes",
    ),
}


@pytest.mark.parametrize(("headers", "secret", "now"), TAKEN.values(), ids=TAKEN)
def test_a_signature_is_taken(headers: dict[str, str], secret: str, now: datetime) -> None:
    assert verify(secret, headers, BODY, now) == HEADERS["webhook-id"]


@pytest.mark.parametrize(("headers", "secret", "now", "words"), REFUSED.values(), ids=REFUSED)
def test_a_signature_is_refused(
    headers: dict[str, str], secret: str, now: datetime, words: str
) -> None:
    with pytest.raises(BadSignatureError) as caught:
        verify(secret, headers, BODY, now)
    assert caught.value.detail == words


def test_nothing_is_signed_without_a_secret() -> None:
    with pytest.raises(BadSignatureError):
        sign("", "id", BODY, NOW)


@given(
    body=st.binary(max_size=200), key=st.binary(min_size=24, max_size=64), at=st.integers(0, 199)
)
@settings(max_examples=100, deadline=None)
def test_what_is_signed_verifies_and_nothing_else(body: bytes, key: bytes, at: int) -> None:
    secret = f"{new_secret(key)} {OTHER}"
    headers = sign(secret, "call_1", body, NOW)
    assert verify(new_secret(key), headers, body, NOW) == "call_1"
    assert verify(OTHER, headers, body, NOW) == "call_1"
    spoilt = bytearray(body or b"x")
    spoilt[at % len(spoilt)] ^= 1
    with pytest.raises(BadSignatureError):
        verify(secret, headers, bytes(spoilt), NOW)
