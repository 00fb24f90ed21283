"""What WeChat did not send, or not whole: proofs of origin, bad messages, dedup keys."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from libs.common.channel import Account, WebhookRequest
from libs.common.channels.wechat import CHANNEL
from libs.common.channels.wechat.envelope import encrypt, signature
from libs.common.channels.wechat.wire import BODY_LIMIT, encrypted_part
from libs.common.errors import BadSignatureError, MalformedPayloadError
from libs.common.events import MessageReceived, TextPart, Unparsed
from libs.common.simulate.signing import handshake, signed
from tests.channels.conformance import NOW
from tests.channels.wechat.kit import BOTH, FIXTURES, PLAIN, SEALED, message, read

A_TEXT = message(1, TextPart(text="你好 <b>"))


def xml(fields: str) -> bytes:
    return f"<xml>{fields}</xml>".encode()


FROM = "<FromUserName>oVisitor1</FromUserName><CreateTime>1760000001</CreateTime>"
KEPT = {
    "nothing at all": ("", "malformed_item"),
    "no sender": ("<MsgType>text</MsgType><Content>hi</Content>", "malformed_item"),
    "an event of nobody": ("<MsgType>event</MsgType><Event>subscribe</Event>", "malformed_item"),
    "a text without content": (f"{FROM}<MsgType>text</MsgType>", "malformed_item"),
    "a picture without its id": (f"{FROM}<MsgType>image</MsgType>", "malformed_item"),
    "a place that is no number": (
        f"{FROM}<MsgType>location</MsgType><Location_X>here</Location_X>",
        "malformed_item",
    ),
    "a place at infinity": (
        f"{FROM}<MsgType>location</MsgType><Location_X>inf</Location_X><Location_Y>1</Location_Y>",
        "malformed_item",
    ),
    "a new type": (f"{FROM}<MsgType>hologram</MsgType>", "unknown_kind"),
    "a new event": (f"{FROM}<MsgType>event</MsgType><Event>teleport</Event>", "unknown_kind"),
    "an event without a name": (f"{FROM}<MsgType>event</MsgType>", "unknown_kind"),
}


@BOTH
@pytest.mark.parametrize(("fields", "reason"), KEPT.values(), ids=KEPT)
def test_what_cannot_be_told_is_kept(account: Account, fields: str, reason: str) -> None:
    event = read(account, xml(fields))
    assert isinstance(event, Unparsed)
    assert (event.reason, event.raw) == (reason, xml(fields).decode())
    assert event.visitor == ("oVisitor1" if FROM in fields else "")


REFUSED = {
    "a DTD": b"<!DOCTYPE xml><xml><MsgType>text</MsgType></xml>",
    "an entity": b'<!DOCTYPE xml [<!ENTITY e "x">]><xml><Content>&e;</Content></xml>',
    "a file by entity": (
        b'<!DOCTYPE xml [<!ENTITY e SYSTEM "file:///etc/hostname">]><xml><Content>&e;</Content></xml>'
    ),
    "an entity that nobody defined": b"<xml><Content>&e;</Content></xml>",
    "an unclosed element": b"<xml><Content>",
    "an unknown encoding": b'<?xml version="1.0" encoding="klingon"?><xml/>',
    "words": b"hello",
    "a list": b"[1]",
    "a broken object": b'{"MsgType":',
    "too many fields": xml("".join(f"<a{n}>x</a{n}>" for n in range(600))),
    "too deep": xml("<a>" * 20 + "</a>" * 20),
    "too deep in JSON": b'{"a":' * 20 + b"1" + b"}" * 20,
    "too many elements": b"<a>" * (BODY_LIMIT // 3),
    "too long": xml("<a>" + "x" * BODY_LIMIT + "</a>"),
}


@BOTH
@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_what_is_no_message_is_malformed(account: Account, body: bytes) -> None:
    with pytest.raises(MalformedPayloadError):
        read(account, body)


LENIENT = {
    "control characters": (b"h\x08i", "hi"),
    "bytes that are no UTF-8": (b"hi \xff", "hi \ufffd"),
    "a NUL character": (b"h\x00i", "hi"),
    "markup in CDATA": (b"<![CDATA[<b>hi</b>]]>", "<b>hi</b>"),
    "blanks are the visitor's": (b" hi ", " hi "),
}


@BOTH
@pytest.mark.parametrize(("content", "text"), LENIENT.values(), ids=LENIENT)
def test_a_readable_text_survives(account: Account, content: bytes, text: str) -> None:
    body = xml(f"{FROM}<MsgType>text</MsgType><Content>@</Content>").replace(b"@", content)
    event = read(account, body)
    assert isinstance(event, MessageReceived)
    assert event.parts == (TextPart(text=text),)


@BOTH
def test_a_byte_order_mark_is_no_obstacle(account: Account) -> None:
    assert read(account, b"\xef\xbb\xbf" + FIXTURES["text"]) == A_TEXT
    assert read(account, b"\xef\xbb\xbf" + FIXTURES["text_json"]) == message(
        100, TextPart(text="你好")
    )


def test_json_with_half_an_emoji_and_a_nul_survives() -> None:
    body = json.loads(FIXTURES["text_json"])
    raw = json.dumps({**body, "Content": "h\0i \ud83d"}).encode()
    assert read(PLAIN, raw) == message(100, TextPart(text="hi \ufffd"))


KEYS = {
    "a message without MsgId": (
        f"{FROM}<MsgType>text</MsgType><Content>x</Content>",
        "text:oVisitor1:1760000001",
    ),
    "an event key too long to be an id": (
        f"{FROM}<MsgType>event</MsgType><Event>VIEW</Event><EventKey>{'u' * 300}</EventKey>",
        "event_",
    ),
    "an event key that is not ASCII": (
        f"{FROM}<MsgType>event</MsgType><Event>CLICK</Event><EventKey>客服</EventKey>",
        "event_",
    ),
}


@pytest.mark.parametrize(("fields", "start"), KEYS.values(), ids=KEYS)
def test_the_dedup_key_of(fields: str, start: str) -> None:
    event = read(PLAIN, xml(fields))
    assert event.event_id.startswith(start)
    assert read(PLAIN, xml(fields)).event_id == event.event_id
    later = xml(fields.replace("1760000001", "1760000002"))
    assert read(PLAIN, later).event_id != event.event_id


# --- verify ------------------------------------------------------------------------------------


def verified(account: Account, request: WebhookRequest) -> bool:
    try:
        CHANNEL.verify(account, request)
    except BadSignatureError:
        return False
    return True


def test_a_plain_message_is_refused_where_encryption_is_agreed() -> None:
    assert not verified(SEALED, signed(PLAIN, FIXTURES["text"], now=NOW))


def test_of_a_compatible_message_only_the_encrypted_part_is_believed() -> None:
    request = signed(SEALED, FIXTURES["text"], now=NOW)
    forged = request.body.replace(
        b"</ToUserName>",
        b"</ToUserName><FromUserName>oForged</FromUserName><MsgType>text</MsgType>"
        b"<Content>forged</Content>",
    )
    compatible = msgspec.structs.replace(request, body=forged)
    assert verified(SEALED, compatible)
    assert CHANNEL.parse(SEALED, compatible).events == (A_TEXT,)


def test_of_two_encrypted_parts_the_signed_one_is_read() -> None:
    request = signed(SEALED, FIXTURES["text"], now=NOW)
    other = encrypt(
        SEALED.secrets["aes_key"],
        FIXTURES["image"],
        app_id=SEALED.secrets["app_id"],
        random=b"r" * 16,
    ).encode()
    second = request.body.replace(b"</xml>", b"<Encrypt>" + other + b"</Encrypt></xml>")
    first = request.body.replace(b"<Encrypt>", b"<Encrypt>" + other + b"</Encrypt><Encrypt>", 1)
    behind = msgspec.structs.replace(request, body=second)
    assert CHANNEL.parse(SEALED, behind).events == (A_TEXT,)
    assert not verified(SEALED, msgspec.structs.replace(request, body=first))


@pytest.mark.parametrize(
    "body",
    [
        b"<Encrypt>" + b" " * 1_000_000,
        b"<Encrypt>" + b"A" * 1_000_000,
        b"<Encrypt>" * 100_000,
        b'"Encrypt"' + b" " * 1_000_000,
        b'"Encrypt":"' + b"\\" * 1_000_000,
    ],
    ids=["blanks", "letters", "openings", "blanks in JSON", "strokes in JSON"],
)
def test_searching_a_hostile_body_takes_linear_time(body: bytes) -> None:
    # Anything worse than linear takes minutes here, before the signature is even looked at.
    assert encrypted_part(body) == ""


def test_without_a_key_the_plain_part_of_a_compatible_message_is_read() -> None:
    body = FIXTURES["text"].replace(b"</xml>", b"<Encrypt>AAAA</Encrypt></xml>")
    assert read(PLAIN, body) == A_TEXT


def test_a_message_sealed_with_the_previous_key_is_read_during_a_change() -> None:
    keys = SEALED.secrets
    before = msgspec.structs.replace(
        SEALED, secrets={**keys, "aes_key": keys["aes_key_previous"], "aes_key_previous": ""}
    )
    request = signed(before, FIXTURES["text"], now=NOW)
    assert CHANNEL.parse(SEALED, request).events == (A_TEXT,)
    after = msgspec.structs.replace(SEALED, secrets={**keys, "aes_key_previous": ""})
    with pytest.raises(MalformedPayloadError):
        CHANNEL.parse(after, request)


def test_a_message_sealed_for_another_app_is_malformed() -> None:
    other = msgspec.structs.replace(
        SEALED, secrets={**SEALED.secrets, "app_id": "wxffffffffffffffff"}
    )
    request = signed(other, FIXTURES["text"], now=NOW)
    assert verified(SEALED, request)
    with pytest.raises(MalformedPayloadError):
        CHANNEL.parse(SEALED, request)


AGES = {
    "now": (0, True),
    "ten minutes old": (600, True),
    "older": (601, False),
    "ten minutes ahead": (-600, True),
    "further ahead": (-601, False),
}


@BOTH
@pytest.mark.parametrize(("age_s", "expected"), AGES.values(), ids=AGES)
def test_a_signature_ages(account: Account, age_s: int, expected: bool) -> None:
    request = signed(account, FIXTURES["text"], now=NOW)
    later = msgspec.structs.replace(request, received_at=NOW + timedelta(seconds=age_s))
    assert verified(account, later) is expected


@BOTH
def test_without_an_arrival_time_no_age_is_judged(account: Account) -> None:
    old = signed(account, FIXTURES["text"], now=NOW - timedelta(days=400))
    assert verified(account, msgspec.structs.replace(old, received_at=None))


def test_an_empty_token_with_a_matching_signature_is_refused() -> None:
    query = {"signature": signature("", "1", "n"), "timestamp": "1", "nonce": "n"}
    bare = msgspec.structs.replace(PLAIN, secrets={"token": ""})
    for account, request in (
        (bare, WebhookRequest(method="POST", headers={}, query=query, body=b"<xml/>")),
        (PLAIN, WebhookRequest(method="POST", headers={}, query=query, body=b"<xml/>")),
    ):
        assert not verified(account, request)


# --- the handshake -----------------------------------------------------------------------------


@BOTH
def test_the_echo_comes_back_unchanged(account: Account) -> None:
    echo = '51"<é>🙂'
    request = handshake(account, now=NOW, echo=echo)
    assert CHANNEL.challenge is not None
    assert CHANNEL.challenge([account], request) == echo.encode()


@BOTH
def test_an_old_handshake_is_refused(account: Account) -> None:
    request = handshake(account, now=NOW)
    late = msgspec.structs.replace(request, received_at=NOW + timedelta(minutes=11))
    assert CHANNEL.challenge is not None
    with pytest.raises(BadSignatureError):
        CHANNEL.challenge([account], late)
