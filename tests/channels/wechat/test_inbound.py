"""WeChat's server messages, one sentence each."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.channel import Account, WebhookRequest
from libs.common.channels.wechat import CHANNEL
from libs.common.channels.wechat.envelope import encrypt, signature
from libs.common.channels.wechat.wire import BODY_LIMIT, encrypted_part
from libs.common.errors import BadSignatureError, MalformedPayloadError
from libs.common.events import (
    AccountNoticed,
    ActionPart,
    ContactChanged,
    ContentPart,
    DeliveryReported,
    InboundEvent,
    InteractionReceived,
    LocationPart,
    MediaPart,
    MessageReceived,
    Referral,
    SharePart,
    TextPart,
    ThreadControlChanged,
    Unparsed,
)
from libs.common.simulate.signing import handshake, signed
from tests.channels.conformance import NOW, SUBJECTS, fixtures_of

PLAIN = SUBJECTS["wechat"].account
SEALED = SUBJECTS["wechat with all secrets"].account
BOTH = pytest.mark.parametrize("account", [PLAIN, SEALED], ids=["plain", "encrypted"])
FIXTURES = fixtures_of("wechat")


def read(account: Account, body: bytes) -> InboundEvent:
    """Return the one event of a body, as WeChat would deliver it to this account."""
    request = signed(account, body, now=NOW)
    CHANNEL.verify(account, request)
    (event,) = CHANNEL.parse(account, request).events
    return event


def at(number: int) -> datetime:
    return datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC) + timedelta(seconds=number)


def message(number: int, *parts: ContentPart) -> MessageReceived:
    message_id = str(7300000000000000000 + number)
    return MessageReceived(
        event_id=f"message:{message_id}",
        visitor="oVisitor1",
        occurred_at=at(number),
        message_id=message_id,
        parts=parts,
    )


def head(number: int, name: str, *, visitor: str = "oVisitor1") -> dict[str, Any]:
    return {
        "event_id": f"event:oVisitor1:{1760000000 + number}:{name}",
        "visitor": visitor,
        "occurred_at": at(number),
    }


def done(number: int, name: str, kind: str, **more: Any) -> InteractionReceived:
    return InteractionReceived(**head(number, name), kind=kind, **more)


PICS = {
    "eventkey": "6",
    "sendpicsinfo.count": "2",
    "sendpicsinfo.piclist.item.picmd5sum": "aa",
    "sendpicsinfo.piclist.item.picmd5sum.2": "bb",
}
CODE = {"eventkey": "6", "scancodeinfo.scantype": "qrcode", "scancodeinfo.scanresult": "2"}

CASES: dict[str, tuple[str, InboundEvent]] = {
    "a text": ("text", message(1, TextPart(text="你好 <b>"))),
    "a text in JSON, whose ids are numbers": ("text_json", message(100, TextPart(text="你好"))),
    "an answer from a menu is a button": (
        "menu_answer",
        message(2, ActionPart(title="满意", payload="101")),
    ),
    "a text from an article": ("text_from_article", message(3, TextPart(text="more?"))),
    "a picture": (
        "image",
        message(4, MediaPart(kind="image", url="http://mmbiz.qpic.cn/p/0", media_id="media-1")),
    ),
    "a voice message": (
        "voice",
        message(5, MediaPart(kind="audio", media_id="media-2", mime_type="audio/amr")),
    ),
    "a voice message with its transcript": (
        "voice_recognised",
        message(
            6,
            MediaPart(kind="audio", media_id="media-3", mime_type="audio/speex"),
            TextPart(text="几点开门"),
        ),
    ),
    "a video": ("video", message(7, MediaPart(kind="video", media_id="media-4"))),
    "a short video": ("short_video", message(8, MediaPart(kind="video", media_id="media-5"))),
    "X is the latitude of a place": (
        "location",
        message(9, LocationPart(latitude=23.134521, longitude=113.358803, name="广州市")),
    ),
    "a link": (
        "link",
        message(
            10,
            SharePart(
                title="Opening hours",
                url="https://shop.example/hours?a=1&b=2",
                description="All year",
            ),
        ),
    ),
    "a file": ("file", message(11, MediaPart(kind="file", name="order.pdf", size_bytes=2048))),
    "a page of a mini program": (
        "mini_program",
        message(
            12,
            SharePart(
                title="Book a table", url="pages/book?id=3", description="wx00000000000000aa"
            ),
        ),
    ),
    "a follower": ("subscribe", ContactChanged(**head(13, "subscribe"), change="follow")),
    "a follower by a code": (
        "subscribe_by_code",
        ContactChanged(**head(14, "subscribe:qrscene_shop-7"), change="follow", detail="shop-7"),
    ),
    "a follower, spelt otherwise": (
        "upper_case",
        ContactChanged(**head(37, "Subscribe"), change="follow"),
    ),
    "someone left": ("unsubscribe", ContactChanged(**head(15, "unsubscribe"), change="unfollow")),
    "a follower scans a code": (
        "scan",
        done(
            16,
            "SCAN:shop-7",
            "scan",
            data={"eventkey": "shop-7", "ticket": "TICKET-1"},
            referral=Referral(source="qr", ref="shop-7"),
        ),
    ),
    "where the visitor is": (
        "location_report",
        done(
            17,
            "LOCATION",
            "location",
            data={"latitude": "23.137466", "longitude": "113.352425", "precision": "119.385040"},
        ),
    ),
    "a tapped menu button is a message": (
        "menu_click",
        MessageReceived(
            **head(18, "CLICK:TALK_TO_US"),
            message_id="event:oVisitor1:1760000018:CLICK:TALK_TO_US",
            parts=(ActionPart(payload="TALK_TO_US"),),
        ),
    ),
    "an opened link of the menu": (
        "menu_view",
        done(
            19,
            "VIEW:https://shop.example/",
            "view",
            data={"eventkey": "https://shop.example/", "menuid": "421"},
        ),
    ),
    "an opened mini program": (
        "menu_mini_program",
        done(
            20,
            "view_miniprogram:pages/index",
            "view_miniprogram",
            data={"eventkey": "pages/index", "menuid": "421"},
        ),
    ),
    "a scanned code": ("scancode_push", done(21, "scancode_push:6", "scancode_push", data=CODE)),
    "a scanned code that waits for an answer": (
        "scancode_wait",
        done(22, "scancode_waitmsg:6", "scancode_waitmsg", data=CODE),
    ),
    "a photo taken": ("pic_camera", done(23, "pic_sysphoto:6", "pic_sysphoto", data=PICS)),
    "a photo taken or chosen": (
        "pic_choice",
        done(24, "pic_photo_or_album:6", "pic_photo_or_album", data=PICS),
    ),
    "a photo from the album": ("pic_album", done(25, "pic_weixin:6", "pic_weixin", data=PICS)),
    "a chosen place": (
        "location_select",
        done(
            26,
            "location_select:6",
            "location_select",
            data={
                "eventkey": "6",
                "sendlocationinfo.location_x": "23",
                "sendlocationinfo.location_y": "113",
                "sendlocationinfo.scale": "15",
                "sendlocationinfo.label": "广州",
            },
        ),
    ),
    "a template message arrived": (
        "template_sent",
        DeliveryReported(
            **head(27, "TEMPLATESENDJOBFINISH:200163836"),
            status="delivered",
            targets=("200163836",),
        ),
    ),
    "a template message did not arrive": (
        "template_failed",
        DeliveryReported(
            **head(28, "TEMPLATESENDJOBFINISH:200163840"),
            status="failed",
            targets=("200163840",),
            reason="user block",
        ),
    ),
    "a mass message is news about the account": (
        "mass_finished",
        AccountNoticed(
            event_id="event:oR5Gjjl_eiZoUpGozMo7dbBJ362A:1760000029:MASSSENDJOBFINISH:1000001625",
            visitor="",
            occurred_at=at(29),
            kind="mass_send_finished",
            data={
                "msgid": "1000001625",
                "status": "send success",
                "totalcount": "100",
                "filtercount": "80",
                "sentcount": "75",
                "errorcount": "5",
            },
        ),
    ),
    "a seat of WeChat's own took the conversation": (
        "seat_opened",
        ThreadControlChanged(**head(30, "kf_create_session"), change="opened", owner="amy@gh_demo"),
    ),
    "the seat closed it": (
        "seat_closed",
        ThreadControlChanged(
            **head(31, "kf_close_session"), change="closed", previous="amy@gh_demo"
        ),
    ),
    "the seat passed it on": (
        "seat_switched",
        ThreadControlChanged(
            **head(32, "kf_switch_session"),
            change="passed",
            owner="ben@gh_demo",
            previous="amy@gh_demo",
        ),
    ),
    "a choice of notifications keeps every entry": (
        "notification_choice",
        done(
            33,
            "subscribe_msg_popup_event",
            "subscribe_msg_popup_event",
            data={
                "subscribemsgpopupevent.list.templateid": "tpl-1",
                "subscribemsgpopupevent.list.subscribestatusstring": "accept",
                "subscribemsgpopupevent.list.popupscene": "2",
                "subscribemsgpopupevent.list.templateid.2": "tpl-2",
                "subscribemsgpopupevent.list.subscribestatusstring.2": "reject",
                "subscribemsgpopupevent.list.popupscene.2": "2",
            },
        ),
    ),
    "and so in JSON": (
        "notification_choice_json",
        done(
            101,
            "subscribe_msg_popup_event",
            "subscribe_msg_popup_event",
            data={
                "list.templateid": "tpl-1",
                "list.subscribestatusstring": "accept",
                "list.popupscene": "0",
                "list.templateid.2": "tpl-2",
                "list.subscribestatusstring.2": "reject",
                "list.popupscene.2": "0",
            },
        ),
    ),
    "a changed choice": (
        "notification_change",
        done(
            34,
            "subscribe_msg_change_event",
            "subscribe_msg_change_event",
            data={
                "subscribemsgchangeevent.list.templateid": "tpl-1",
                "subscribemsgchangeevent.list.subscribestatusstring": "reject",
            },
        ),
    ),
    "a notification arrived": (
        "notification_sent",
        DeliveryReported(
            **head(35, "subscribe_msg_sent_event"),
            status="delivered",
            targets=("1700827132819554304",),
        ),
    ),
    "a notification did not arrive": (
        "notification_failed",
        DeliveryReported(
            **head(36, "subscribe_msg_sent_event"),
            status="failed",
            targets=("1700827132819554305",),
            reason="user refused",
            provider_code="3",
        ),
    ),
}


@BOTH
@pytest.mark.parametrize(("name", "expected"), CASES.values(), ids=CASES)
def test_wechat_says(account: Account, name: str, expected: InboundEvent) -> None:
    assert read(account, FIXTURES[name]) == expected


@BOTH
def test_a_message_to_another_account_is_ignored(account: Account) -> None:
    request = signed(account, FIXTURES["another_account"], now=NOW)
    parsed = CHANNEL.parse(account, request)
    assert (parsed.events, parsed.ignored) == ((), 1)
    by_app_id = msgspec.structs.replace(account, external_id="wx0123456789abcdef")
    assert len(CHANNEL.parse(by_app_id, request).events) == 1


# --- bad items ---------------------------------------------------------------------------------


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
    assert read(account, b"\xef\xbb\xbf" + FIXTURES["text"]) == CASES["a text"][1]
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
    assert CHANNEL.parse(SEALED, compatible).events == (CASES["a text"][1],)


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
    assert CHANNEL.parse(SEALED, behind).events == (CASES["a text"][1],)
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
    assert read(PLAIN, body) == CASES["a text"][1]


def test_a_message_sealed_with_the_previous_key_is_read_during_a_change() -> None:
    keys = SEALED.secrets
    before = msgspec.structs.replace(
        SEALED, secrets={**keys, "aes_key": keys["aes_key_previous"], "aes_key_previous": ""}
    )
    request = signed(before, FIXTURES["text"], now=NOW)
    assert CHANNEL.parse(SEALED, request).events == (CASES["a text"][1],)
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
