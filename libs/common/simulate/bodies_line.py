"""LINE's webhook bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from libs.common.channel import Account
from libs.common.simulate.said import Build, Said, as_json, link

GROUP = "C00000000000000000000000000000001"
Content = Callable[[Account, Said], dict[str, Any]]


def line(account: Account, said: Said, **event: Any) -> bytes:
    """Return a LINE body with one event of the visitor."""
    common = {
        "mode": "active",
        "timestamp": said.ms,
        "webhookEventId": f"01K7{said.token(22)}",
        "deliveryContext": {"isRedelivery": False},
        "source": {"type": "user", "userId": said.visitor},
    }
    return as_json({"destination": account.external_id, "events": [{**common, **event}]})


def _message(content: Content, **event: Any) -> Build:
    def built(account: Account, said: Said) -> bytes:
        tokens = {"quoteToken": f"q-{said.token(8)}", "markAsReadToken": f"mr-{said.token(8)}"}
        message = {"id": said.message_id, **tokens, **content(account, said)}
        answer = {} if event.get("mode") == "standby" else _answerable(said)
        return line(account, said, type="message", **answer, **event, message=message)

    return built


def _answerable(said: Said) -> dict[str, Any]:
    return {"replyToken": f"r-{said.message_id}"}


def _event(kind: str, content: Content, *, answerable: bool = True) -> Build:
    def built(account: Account, said: Said) -> bytes:
        token = _answerable(said) if answerable else {}
        return line(account, said, type=kind, **token, **content(account, said))

    return built


def _group(said: Said) -> dict[str, Any]:
    return {"source": {"type": "group", "groupId": GROUP, "userId": said.visitor}}


def _edit(_account: Account, said: Said) -> dict[str, Any]:
    message = {"id": said.about, "type": "text", "text": said.text}
    return {**_group(said), "message": message}


def _elsewhere(account: Account, said: Said) -> dict[str, Any]:
    where = link(account, f"image-{said.token(8)}.jpg")
    held = {"type": "external", "originalContentUrl": where, "previewImageUrl": where}
    return {"type": "image", "contentProvider": held}


_HELD = {"contentProvider": {"type": "line"}}
_STICKER = {"packageId": "1", "stickerId": "2", "stickerResourceType": "STATIC"}

LINE: dict[str, Build] = {
    "text": _message(lambda _, s: {"type": "text", "text": s.text}),
    "image": _message(lambda *_: {"type": "image", **_HELD}),
    "images": _message(
        lambda _, s: {
            "type": "image",
            **_HELD,
            "imageSet": {"id": s.about, "index": 1, "total": 2},
        }
    ),
    "image_external": _message(_elsewhere),
    "video": _message(lambda *_: {"type": "video", "duration": 1000, **_HELD}),
    "audio": _message(lambda *_: {"type": "audio", "duration": 1000, **_HELD}),
    "file": _message(lambda *_: {"type": "file", "fileName": "offer.pdf", "fileSize": 304}),
    "sticker": _message(lambda *_: {"type": "sticker", **_STICKER}),
    "location": _message(
        lambda _, s: {
            "type": "location",
            "title": s.text,
            "address": "1 Silom Road",
            "latitude": 13.75,
            "longitude": 100.5,
        }
    ),
    "reply": _message(
        lambda _, s: {"type": "text", "text": s.text, "quotedMessageId": s.target or "500001"}
    ),
    "group": _message(
        lambda _, s: {"type": "text", "text": s.text},
        source={"type": "group", "groupId": GROUP},
    ),
    "standby": _message(lambda _, s: {"type": "text", "text": s.text}, mode="standby"),
    "edit": _event("messageEdited", _edit),
    "unsend": _event("unsend", lambda _, s: {"unsend": {"messageId": s.about}}, answerable=False),
    "postback": _event("postback", lambda *_: {"postback": {"data": "action=human"}}),
    "postback_date": _event(
        "postback",
        lambda *_: {"postback": {"data": "slot", "params": {"datetime": "2026-11-30T10:00"}}},
    ),
    "follow": _event("follow", lambda *_: {"follow": {"isUnblocked": False}}),
    "follow_again": _event("follow", lambda *_: {"follow": {"isUnblocked": True}}),
    "unfollow": _event("unfollow", lambda *_: {}, answerable=False),
    "join": _event("join", lambda *_: {"source": {"type": "group", "groupId": GROUP}}),
    "leave": _event(
        "leave", lambda *_: {"source": {"type": "group", "groupId": GROUP}}, answerable=False
    ),
    "member_joined": _event(
        "memberJoined",
        lambda _, s: {**_group(s), "joined": {"members": [{"type": "user", "userId": s.visitor}]}},
    ),
    "member_left": _event(
        "memberLeft",
        lambda _, s: {**_group(s), "left": {"members": [{"type": "user", "userId": s.visitor}]}},
        answerable=False,
    ),
    "beacon": _event("beacon", lambda *_: {"beacon": {"hwid": "d41d8cd98f", "type": "enter"}}),
    "account_link": _event("accountLink", lambda *_: {"link": {"result": "ok", "nonce": "n-1"}}),
    "membership": _event(
        "membership", lambda *_: {"membership": {"type": "joined", "membershipId": 3189}}
    ),
    "video_completed": _event(
        "videoPlayComplete", lambda *_: {"videoPlayComplete": {"trackingId": "film-1"}}
    ),
    "delivered": _event("delivery", lambda _, s: {"delivery": {"data": s.about}}, answerable=False),
    "handover": _event(
        "activated", lambda _, s: {"chatControl": {"expireAt": s.ms + 60_000}}, answerable=False
    ),
    "handover_taken": _event("deactivated", lambda *_: {}, answerable=False),
}
