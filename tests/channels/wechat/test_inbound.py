"""WeChat's server messages, one sentence each."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.common.channel import Account
from libs.common.channels.wechat import CHANNEL
from libs.common.events import (
    AccountNoticed,
    ActionPart,
    ContactChanged,
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
)
from libs.common.simulate.signing import signed
from tests.channels.conformance import NOW
from tests.channels.wechat.kit import BOTH, FIXTURES, at, head, message, read


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
        msgspec.structs.replace(message(2, ActionPart(title="满意", payload="101")), brief=True),
    ),
    "a text from an article": ("text_from_article", message(3, TextPart(text="more?"))),
    "a picture": (
        "image",
        message(4, MediaPart(kind="image", url="http://mmbiz.qpic.cn/p/0", media_id="media-1")),
    ),
    "a picture in JSON": (
        "image_json",
        message(
            102, MediaPart(kind="image", url="https://mmbiz.qpic.cn/p/1", media_id="media-102")
        ),
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
    "a follower": (
        "subscribe",
        ContactChanged(**head(13, "subscribe"), change="follow", brief=True),
    ),
    "a follower by a code": (
        "subscribe_by_code",
        ContactChanged(
            **head(14, "subscribe:qrscene_shop-7"),
            change="follow",
            brief=True,
            detail="shop-7",
            referral=Referral(source="qr", ref="shop-7"),
        ),
    ),
    "a follower, spelt otherwise": (
        "upper_case",
        ContactChanged(**head(37, "Subscribe"), change="follow", brief=True),
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
            brief=True,
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
            brief=True,
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
    "a scanned code": (
        "scancode_push",
        done(21, "scancode_push:6", "scancode_push", data=CODE, brief=True),
    ),
    "a scanned code that waits for an answer": (
        "scancode_wait",
        done(22, "scancode_waitmsg:6", "scancode_waitmsg", data=CODE, brief=True),
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
    "a follower in JSON": (
        "subscribe_json",
        ContactChanged(**head(103, "subscribe"), change="follow", brief=True),
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
            reason="blocked",
            provider_code="user block",
        ),
    ),
    "a template message that WeChat itself lost": (
        "template_failed_at_wechat",
        DeliveryReported(
            **head(41, "TEMPLATESENDJOBFINISH:200163841"),
            status="failed",
            targets=("200163841",),
            reason="rejected",
            provider_code="system failed",
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
            reason="blocked",
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
