"""WeChat's signatures and encryption, by the published examples."""

from __future__ import annotations

import base64

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

from libs.common.channel import Account, WebhookRequest
from libs.common.channels.wechat import CHANNEL
from libs.common.channels.wechat.envelope import decrypt, encrypt, signature
from libs.common.errors import MalformedPayloadError
from libs.common.events import MessageReceived, TextPart

TOKEN = "wechat-token"
TIMESTAMP, NONCE = "1700000000", "n0nce"
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
OTHER_KEY = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA"
APP = "wx0123456789abcdef"
PLAIN = (
    b"<xml><ToUserName>gh_demo</ToUserName><FromUserName>oUser1</FromUserName>"
    b"<CreateTime>1700000000</CreateTime><MsgType>text</MsgType><Content>hi</Content>"
    b"<MsgId>42</MsgId></xml>"
)
SEALED = (
    "4j/AuRx71kQlxVlzbpsMWE7F1yT2n4HvJp7S9TIU7TvTLr50eywSZJ5T7+ic6n+14HgG6he+rLyyCUkZ+iA5idp1PDDlAG"
    "ziDr+9tcrK5sUSkwHyXpQM35SsxI8akg7dsijbRVMaryeIB9HyoVojGHaO3TXuBzMIRfKvTjOqe/pYkjVe6QD+tl1vt4ym"
    "W3giE7nvc+LOO1hf8bQ/9JSP2uH77zWOKvB20JuvvaKeXiW1irGq31D112rTlbvJJx944WTSAANQi5ZkjTT1nXZbwaeUrh"
    "B++lVYqQ5HYWa/T6o="
)
SEALED_SIGNATURE = "9c89ed2ba3e827cd2445aae4e3cf77165024c4af"


def test_the_url_signature_of_the_example() -> None:
    assert signature(TOKEN, TIMESTAMP, NONCE) == "1d3d1e334a8493af43f9e8d5887bd35ab6dc26b8"


def test_the_signature_of_the_encrypted_example() -> None:
    assert signature(TOKEN, TIMESTAMP, NONCE, SEALED) == SEALED_SIGNATURE


def test_the_encrypted_example_opens() -> None:
    assert decrypt(KEY, SEALED, app_id=APP) == PLAIN


def test_the_example_seals_to_the_same_text() -> None:
    assert encrypt(KEY, PLAIN, app_id=APP, random=b"0123456789abcdef") == SEALED


def test_the_example_as_a_webhook() -> None:
    account = Account(
        workspace="acme",
        slug="acme-wechat",
        channel="wechat",
        external_id="gh_demo",
        secrets={"token": TOKEN, "app_secret": "s", "aes_key": KEY, "app_id": APP},
    )
    request = WebhookRequest(
        method="POST",
        headers={},
        query={
            "timestamp": TIMESTAMP,
            "nonce": NONCE,
            "encrypt_type": "aes",
            "msg_signature": SEALED_SIGNATURE,
        },
        body=f"<xml><ToUserName>gh_demo</ToUserName><Encrypt>{SEALED}</Encrypt></xml>".encode(),
    )
    CHANNEL.verify(account, request)
    (event,) = CHANNEL.parse(account, request).events
    assert isinstance(event, MessageReceived)
    assert (event.message_id, event.visitor, event.parts) == (
        "42",
        "oUser1",
        (TextPart(text="hi"),),
    )
    json_body = msgspec.json.encode({"ToUserName": "gh_demo", "Encrypt": SEALED})
    escaped = json_body.replace(b"/", b"\\/")
    for body in (json_body, escaped):
        as_json = msgspec.structs.replace(request, body=body)
        CHANNEL.verify(account, as_json)
        assert CHANNEL.parse(account, as_json).events == (event,)


@pytest.mark.parametrize("length", [*range(66), 1000])
def test_every_length_survives_the_padding(length: int) -> None:
    sealed = encrypt(KEY, b"x" * length, app_id=APP, random=b"r" * 16)
    assert decrypt(KEY, sealed, app_id=APP) == b"x" * length
    assert len(base64.b64decode(sealed)) % 32 == 0  # WeChat's block, twice that of the cipher


def test_the_last_character_of_a_key_may_carry_stray_bits() -> None:
    assert decrypt(KEY[:-1] + "9", SEALED, app_id=APP) == PLAIN


REFUSED = {
    "another key": (OTHER_KEY, SEALED, APP),
    "another app": (KEY, SEALED, "wx0000000000000000"),
    "a key too short": (KEY[:-1], SEALED, APP),
    "a key that is no base64": ("!" * 43, SEALED, APP),
    "an empty key": ("", SEALED, APP),
    "no ciphertext": (KEY, "", APP),
    "a ciphertext that is no base64": (KEY, "é" + SEALED[1:], APP),
    "a ciphertext that is cut": (KEY, SEALED[:-24], APP),
    "a ciphertext of half a block": (KEY, SEALED[:12], APP),
    "one block of nothing": (KEY, encrypt(KEY, b"", app_id="", random=b"r" * 16)[:20] + "AA==", ""),
}


@pytest.mark.parametrize(("key", "sealed", "app_id"), REFUSED.values(), ids=REFUSED)
def test_refused(key: str, sealed: str, app_id: str) -> None:
    with pytest.raises(MalformedPayloadError):
        decrypt(key, sealed, app_id=app_id)


@pytest.mark.parametrize("size", [5, 2**31, 2**32 - 1])
def test_a_length_beyond_the_envelope_is_refused(size: int) -> None:
    assert decrypt(KEY, sealed_with_length(4)) == b"tiny"
    with pytest.raises(MalformedPayloadError):
        decrypt(KEY, sealed_with_length(size))


def sealed_with_length(size: int) -> str:
    """Seal four bytes that claim to be *size*."""
    key = base64.b64decode(KEY + "=")
    content = b"r" * 16 + size.to_bytes(4, "big") + b"tiny"
    padding = 32 - len(content) % 32
    encryptor = Cipher(AES256(key), CBC(key[:16])).encryptor()
    sealed = encryptor.update(content + bytes([padding]) * padding) + encryptor.finalize()
    return base64.b64encode(sealed).decode()
