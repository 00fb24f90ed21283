"""Messenger's, Instagram's and the comments' webhook bodies."""

from __future__ import annotations

from typing import Any

from libs.common.channel import Account
from libs.common.simulate.said import POST, Build, Said, as_json, link

EXTENSIONS = {"image": "jpg", "audio": "m4a", "video": "mp4", "file": "pdf", "sticker": "webp"}
STICKER = "369239263222822"
APP = 900000000000001
_OTHER_APP = "263902037430900"


def messaging(account: Account, said: Said, **content: Any) -> bytes:
    """Return a body with one item, by default from the visitor to the page."""
    return _entry(account, said, "messaging", content)


def standby(account: Account, said: Said, **content: Any) -> bytes:
    """Return a body with one item of a thread that another application holds."""
    return _entry(account, said, "standby", content)


def change(account: Account, said: Said, field: str, value: Any) -> bytes:
    """Return a body with one change of the page or account."""
    entry = {"id": account.external_id, "time": said.s, "changes": [_change(field, value)]}
    return as_json({"object": _object(account), "entry": [entry]})


def feed(account: Account, said: Said, **value: Any) -> bytes:
    """Return a `feed` body about one comment, by default an added one of the visitor."""
    return change(account, said, "feed", {**comment(account, said), **value})


def comment(account: Account, said: Said) -> dict[str, Any]:
    """Return the value of an added comment, without its words."""
    post = f"{account.external_id}_{POST}"
    return {
        "item": "comment",
        "verb": "add",
        "post_id": post,
        "comment_id": comment_of(said.message_id),
        "parent_id": post,
        "from": {"id": said.visitor, "name": "Ada"},
        "created_time": said.s,
        "post": {"id": post, "permalink_url": f"https://facebook.example/p/{POST}"},
    }


def comment_of(message_id: str) -> str:
    """Return the whole id of a comment; what has a post before it already is whole."""
    return message_id if message_id.startswith(f"{POST}_") else f"{POST}_{message_id}"


def _object(account: Account) -> str:
    return "instagram" if account.channel == "instagram" else "page"


def _change(field: str, value: Any) -> dict[str, Any]:
    return {"field": field, "value": value}


def _entry(account: Account, said: Said, where: str, content: dict[str, Any]) -> bytes:
    item = {
        "sender": {"id": said.visitor},
        "recipient": {"id": account.external_id},
        "timestamp": said.ms,
        **content,
    }
    entry = {"id": account.external_id, "time": said.ms, where: [item]}
    return as_json({"object": _object(account), "entry": [entry]})


# --- messages of visitors ----------------------------------------------------------------------


def _message(account: Account, said: Said, **content: Any) -> bytes:
    return messaging(account, said, message={"mid": said.message_id, **content})


def _file(account: Account, said: Said, kind: str, number: int = 1) -> dict[str, Any]:
    where = link(account, f"{kind}-{number}-{said.token(8)}.{EXTENSIONS[kind]}")
    return {"type": kind, "payload": {"url": where}}


def _one_file(kind: str) -> Build:
    return lambda a, s: _message(a, s, attachments=[_file(a, s, kind)])


def _album(account: Account, said: Said) -> bytes:
    return _message(account, said, attachments=[_file(account, said, "image", n) for n in (1, 2)])


def _sticker(account: Account, said: Said) -> bytes:
    """Told twice, as a sticker and as a picture of the same address."""
    where = link(account, f"sticker-{said.token(8)}.webp")
    payload = {"url": where, "sticker_id": STICKER}
    pair = [{"type": kind, "payload": payload} for kind in ("sticker", "image")]
    return _message(account, said, attachments=pair)


def _attached(kind: str, **payload: Any) -> Build:
    return lambda a, s: _message(a, s, attachments=[{"type": kind, "payload": payload}])


def _echo(account: Account, said: Said) -> bytes:
    """What someone wrote in the page's own inbox."""
    message = {"mid": said.message_id, "text": said.text, "is_echo": True, "app_id": _OTHER_APP}
    return _from_page(account, said, message=message)


def _from_page(account: Account, said: Said, **content: Any) -> bytes:
    both = {"sender": {"id": account.external_id}, "recipient": {"id": said.visitor}}
    return messaging(account, said, **both, **content)


def _reaction(action: str) -> Build:
    more = {"reaction": "love", "emoji": "❤️"} if action == "react" else {}
    return lambda a, s: messaging(a, s, reaction={"mid": s.about, "action": action, **more})


_REFERRAL = {"ref": "spring", "source": "SHORTLINK", "type": "OPEN_THREAD"}
_AD = {
    "source": "ADS",
    "type": "OPEN_THREAD",
    "ad_id": "6000000000001",
    "ads_context_data": {"ad_title": "Lamps", "post_id": "1001_55"},
}
_PRODUCT = {
    "product": {
        "elements": [
            {
                "id": "P1",
                "retailer_id": "lamp-7",
                "image_url": "https://cdn.example/lamp.jpg",
                "title": "Lamp 7",
                "subtitle": "12 euro",
            }
        ]
    }
}

DIRECT: dict[str, Build] = {
    "text": lambda a, s: _message(a, s, text=s.text),
    "image": _one_file("image"),
    "images": _album,
    "audio": _one_file("audio"),
    "video": _one_file("video"),
    "file": _one_file("file"),
    "share": _attached("fallback", title="Lamp 7", url="https://shop.example/p/7"),
    "product": _attached("template", **_PRODUCT),
    "reply": lambda a, s: _message(a, s, text=s.text, reply_to={"mid": s.about}),
    "quick_reply": lambda a, s: _message(a, s, text=s.text, quick_reply={"payload": "HUMAN"}),
    "postback": lambda a, s: messaging(
        a, s, postback={"mid": s.message_id, "title": s.text, "payload": "HUMAN"}
    ),
    "reaction": _reaction("react"),
    "unreact": _reaction("unreact"),
    "edit": lambda a, s: messaging(
        a, s, message_edit={"mid": s.about, "text": s.text, "num_edit": 1}
    ),
    "unsend": lambda a, s: messaging(a, s, message={"mid": s.about, "is_deleted": True}),
    "echo": _echo,
    "referral": lambda a, s: messaging(a, s, referral=_REFERRAL),
    "ad": lambda a, s: _message(a, s, text=s.text, referral=_AD),
    "unsupported": lambda a, s: _message(a, s, is_unsupported=True),
    "standby": lambda a, s: standby(a, s, message={"mid": s.message_id, "text": s.text}),
}
"""What Messenger and Instagram have in common."""

MESSENGER: dict[str, Build] = {
    **DIRECT,
    "sticker": _sticker,
    "location": _attached("location", coordinates={"lat": 13.75, "long": 100.5}, title="Bangkok"),
    "reel": _attached("reel", reel_video_id="77", title="A reel", url="https://fb.example/r/77"),
    "appointment": _attached(
        "appointment_booking",
        booking_id="B1",
        status="CONFIRMED",
        start_time=1760000000,
        end_time=1760003600,
        timezone="UTC",
    ),
    "order": lambda a, s: messaging(
        a,
        s,
        order={
            "products": [
                {
                    "retailer_id": "lamp-7",
                    "name": "Lamp 7",
                    "unit_price": 12,
                    "currency": "EUR",
                    "quantity": 2,
                }
            ],
            "note": s.text,
        },
    ),
    "delivered": lambda a, s: messaging(a, s, delivery={"mids": [s.about], "watermark": s.ms}),
    "read": lambda a, s: messaging(a, s, read={"watermark": s.ms}),
    "follow": lambda a, s: messaging(
        a, s, optin={"type": "notification_messages", "payload": "news", "title": "News"}
    ),
    "unfollow": lambda a, s: messaging(
        a,
        s,
        optin={
            "type": "notification_messages",
            "notification_messages_status": "STOP_NOTIFICATIONS",
        },
    ),
    "account_link": lambda a, s: messaging(a, s, account_linking={"status": "linked"}),
    "handover": lambda a, s: messaging(
        a, s, pass_thread_control={"new_owner_app_id": str(APP), "metadata": "to the desk"}
    ),
    "handover_taken": lambda a, s: messaging(
        a, s, take_thread_control={"previous_owner_app_id": str(APP), "metadata": "taken"}
    ),
    "handover_requested": lambda a, s: messaging(
        a, s, request_thread_control={"requested_owner_app_id": _OTHER_APP, "metadata": "please"}
    ),
    "feedback": lambda a, s: messaging(
        a, s, response_feedback={"feedback": "Good bot response", "mid": s.about}
    ),
    "standby_echo": lambda a, s: standby(
        a,
        s,
        sender={"id": a.external_id},
        recipient={"id": s.visitor},
        message={"mid": s.message_id, "text": s.text, "is_echo": True, "app_id": _OTHER_APP},
    ),
}


def _page_words(account: Account, said: Said) -> bytes:
    page = {"id": account.external_id, "name": "The Page"}
    return feed(
        account, said, message=said.text, parent_id=comment_of(said.about), **{"from": page}
    )


def _about_comment(verb: str) -> Build:
    return lambda a, s: feed(a, s, verb=verb, comment_id=comment_of(s.about))


FB_COMMENT: dict[str, Build] = {
    "text": lambda a, s: feed(a, s, message=s.text),
    "image": lambda a, s: feed(a, s, message=s.text, photo=link(a, f"image-{s.token(8)}.jpg")),
    "video": lambda a, s: feed(a, s, video=link(a, f"video-{s.token(8)}.mp4")),
    "share": lambda a, s: feed(a, s, message=s.text, link="https://shop.example/p/7"),
    "sticker": feed,
    "reply": lambda a, s: feed(a, s, message=s.text, parent_id=comment_of(s.target or "1")),
    "mention": lambda a, s: change(a, s, "mention", {**comment(a, s), "message": s.text}),
    "edit": lambda a, s: feed(a, s, verb="edited", message=s.text, comment_id=comment_of(s.about)),
    "hide": _about_comment("hide"),
    "unhide": _about_comment("unhide"),
    "unsend": _about_comment("remove"),
    "echo": _page_words,
}


# --- Instagram ---------------------------------------------------------------------------------


def _story(account: Account, said: Said) -> dict[str, Any]:
    return {"id": f"story-{said.token(8)}", "url": link(account, f"image-{said.token(8)}.jpg")}


def _ig_comment(field: str, *, reply: bool = False) -> Build:
    def built(account: Account, said: Said) -> bytes:
        value: dict[str, Any] = {
            "id": comment_of(said.message_id),
            "text": said.text,
            "from": {"id": said.visitor, "username": "ada.l"},
            "media": {"id": "17900001", "media_product_type": "FEED"},
        }
        if reply:
            value["parent_id"] = comment_of(said.target or "1")
        return change(account, said, field, value)

    return built


def _ig_file(kind: str, extension: str) -> Build:
    def built(account: Account, said: Said) -> bytes:
        where = link(account, f"{kind}-{said.token(8)}.{extension}")
        return _message(account, said, attachments=[{"type": kind, "payload": {"url": where}}])

    return built


INSTAGRAM: dict[str, Build] = {
    **{kind: build for kind, build in DIRECT.items() if kind not in {"share", "product"}},
    "share": _ig_file("share", "jpg"),
    "product": _attached("template", **_PRODUCT),
    "story_mention": _ig_file("story_mention", "jpg"),
    "reel": _ig_file("ig_reel", "mp4"),
    "story_reply": lambda a, s: _message(a, s, text=s.text, reply_to={"story": _story(a, s)}),
    "read": lambda a, s: messaging(a, s, read={"mid": s.about}),
    "comment": _ig_comment("comments"),
    "comment_reply": _ig_comment("comments", reply=True),
    "live_comment": _ig_comment("live_comments"),
}
