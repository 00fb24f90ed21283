"""Telegram's updates: one a body, and chats are numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from libs.common.channel import Account
from libs.common.simulate.said import Build, Said, as_json, number

Content = Callable[[Said], dict[str, Any]]
_USER_DIGITS = 10


def telegram(said: Said, key: str, value: Any) -> bytes:
    """Return an update; its number belongs to the message, so that a repeat is a redelivery."""
    return as_json({"update_id": number(f"{key}:{said.message_id}"), key: value})


def message_number(message_id: str) -> int:
    """Return a message's number in its chat; of `chat:number` that number."""
    return number(message_id.rpartition(":")[2])


def _person(said: Said) -> dict[str, Any]:
    return {
        "id": number(said.visitor, _USER_DIGITS),
        "is_bot": False,
        "first_name": "Ada",
        "username": "ada_l",
        "language_code": "en",
    }


def _chat(said: Said) -> dict[str, Any]:
    return {"id": number(said.visitor, _USER_DIGITS), "type": "private", "first_name": "Ada"}


def _head(said: Said, message_id: str) -> dict[str, Any]:
    return {
        "message_id": message_number(message_id),
        "date": said.s,
        "chat": _chat(said),
        "from": _person(said),
    }


def _message(content: Content) -> Build:
    return lambda _, s: telegram(s, "message", {**_head(s, s.message_id), **content(s)})


def _file(said: Said, word: str, **more: Any) -> dict[str, Any]:
    token = said.token(10)
    return {
        "file_id": f"{word}-{token}",
        "file_unique_id": f"u{token}",
        "file_size": 300,
        **more,
    }


def _photo(said: Said) -> dict[str, Any]:
    small, large = _file(said, "image-small"), _file(said, "image")
    return {
        "photo": [{**small, "width": 90, "height": 90}, {**large, "width": 800, "height": 800}],
        "caption": said.text,
    }


def _edited(_account: Account, said: Said) -> bytes:
    edited = {**_head(said, said.about), "edit_date": said.s, "text": said.text}
    return telegram(said, "edited_message", edited)


def _tapped(_account: Account, said: Said) -> bytes:
    under = {**_head(said, "1"), "text": "What can I do?"}
    query = {
        "id": said.message_id,
        "from": _person(said),
        "message": under,
        "chat_instance": "1",
        "data": "HUMAN",
    }
    return telegram(said, "callback_query", query)


def _reaction(old: list[str], new: list[str]) -> Build:
    def built(_account: Account, said: Said) -> bytes:
        change = {
            "chat": _chat(said),
            "message_id": message_number(said.about),
            "user": _person(said),
            "date": said.s,
            "old_reaction": [{"type": "emoji", "emoji": emoji} for emoji in old],
            "new_reaction": [{"type": "emoji", "emoji": emoji} for emoji in new],
        }
        return telegram(said, "message_reaction", change)

    return built


def _member(before: str, after: str) -> Build:
    def built(_account: Account, said: Said) -> bytes:
        bot = {"id": 700000001, "is_bot": True, "first_name": "Shop"}
        change = {
            "chat": _chat(said),
            "from": _person(said),
            "date": said.s,
            "old_chat_member": {"user": bot, "status": before},
            "new_chat_member": {"user": bot, "status": after},
        }
        return telegram(said, "my_chat_member", change)

    return built


def _moved(_account: Account, said: Said) -> bytes:
    """A group that became a supergroup, told inside the old one."""
    old = -number(said.visitor, _USER_DIGITS)
    message = {
        **_head(said, said.message_id),
        "chat": {"id": old, "type": "group", "title": "Lamps"},
        "migrate_to_chat_id": -1_000_000_000_000 + old,
    }
    return telegram(said, "message", message)


def _answered(said: Said) -> dict[str, Any]:
    above = {**_head(said, said.target or "1"), "text": "Which one?"}
    return {"text": said.text, "reply_to_message": above}


_PLACE = {"latitude": 13.75, "longitude": 100.5}

TELEGRAM: dict[str, Build] = {
    "text": _message(lambda s: {"text": s.text}),
    "image": _message(_photo),
    "images": _message(lambda s: {**_photo(s), "media_group_id": str(number(s.about))}),
    "audio": _message(
        lambda s: {"audio": _file(s, "audio", duration=1, mime_type="audio/ogg", title="Song")}
    ),
    "voice": _message(lambda s: {"voice": _file(s, "voice", duration=1, mime_type="audio/ogg")}),
    "video": _message(
        lambda s: {"video": _file(s, "video", duration=1, mime_type="video/mp4", width=2, height=2)}
    ),
    "video_note": _message(lambda s: {"video_note": _file(s, "video", duration=1, length=2)}),
    "file": _message(
        lambda s: {
            "document": _file(s, "document", file_name="offer.pdf", mime_type="application/pdf")
        }
    ),
    "sticker": _message(
        lambda s: {
            "sticker": _file(
                s,
                "sticker",
                type="regular",
                width=2,
                height=2,
                is_animated=False,
                is_video=False,
                emoji="😀",
                set_name="Lamps",
            )
        }
    ),
    "location": _message(lambda _: {"location": _PLACE}),
    "venue": _message(
        lambda s: {
            "location": _PLACE,
            "venue": {"location": _PLACE, "title": s.text, "address": "1 Silom Road"},
        }
    ),
    "contacts": _message(
        lambda _: {"contact": {"phone_number": "+15557770001", "first_name": "Ben"}}
    ),
    "reply": _message(_answered),
    "forwarded": _message(
        lambda s: {
            "text": s.text,
            "forward_origin": {"type": "hidden_user", "sender_user_name": "Ben", "date": s.s},
        }
    ),
    "postback": _tapped,
    "referral": _message(
        lambda _: {
            "text": "/start spring",
            "entities": [{"type": "bot_command", "offset": 0, "length": 6}],
        }
    ),
    "reaction": _reaction([], ["👍"]),
    "unreact": _reaction(["👍"], []),
    "edit": _edited,
    "follow": _member("kicked", "member"),
    "unfollow": _member("member", "kicked"),
    "identity": _moved,
}
