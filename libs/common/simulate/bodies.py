"""Webhook bodies as each provider builds them: what a visitor does, and what follows a send.

Synthetic, but shaped like the documented examples. The same arguments give the same bytes, so a
repeat is a redelivery.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from libs.common.channel import Account

PICTURE = "https://cdn.example/picture.jpg"
POST = "55"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a visitor does: `message_id` is the provider's id of it, `text` its words."""

    visitor: str
    message_id: str
    text: str
    now: datetime

    @property
    def ms(self) -> int:
        """The time in milliseconds."""
        return int(self.now.timestamp() * 1000)

    @property
    def s(self) -> int:
        """The time in seconds."""
        return int(self.now.timestamp())

    def token(self, length: int, alphabet: str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ") -> str:
        """Return a made-up id that belongs to the message id."""
        digest = hashlib.sha256(self.message_id.encode()).digest()
        return "".join(alphabet[byte % len(alphabet)] for byte in (digest * 4)[:length])


Build = Callable[[Account, Said], bytes]


def text_body(
    account: Account, *, visitor: str, message_id: str, text: str, now: datetime
) -> bytes:
    """Return the body by which the account's provider would tell of a text message.

    Raises:
        LookupError: The account's channel is unknown.
    """
    said = Said(visitor=visitor, message_id=message_id, text=text, now=now)
    return build(account, "text", said)


def build(account: Account, kind: str, said: Said) -> bytes:
    """Return the body of one event of *kind*, see `kinds`.

    Raises:
        LookupError: The channel is unknown, or has no such kind.
    """
    return _BUILDERS[account.channel][kind](account, said)


def kinds(channel: str) -> tuple[str, ...]:
    """Return what can be built for *channel*, `text` first."""
    return tuple(_BUILDERS[channel])


def visitor_for(channel: str) -> str:
    """Return a visitor id of the channel's own shape, for whoever names none."""
    return _VISITORS[channel]


# --- Meta --------------------------------------------------------------------------------------


def messaging(account: Account, said: Said, **content: Any) -> bytes:
    """Return a Messenger body with one item from the visitor to the page."""
    item = {
        "sender": {"id": said.visitor},
        "recipient": {"id": account.external_id},
        "timestamp": said.ms,
        **content,
    }
    entry = {"id": account.external_id, "time": said.ms, "messaging": [item]}
    return _json({"object": "page", "entry": [entry]})


def feed(account: Account, said: Said, **value: Any) -> bytes:
    """Return a `feed` body about one comment, by default an added one of the visitor."""
    post = f"{account.external_id}_{POST}"
    comment = {
        "item": "comment",
        "verb": "add",
        "post_id": post,
        "comment_id": f"{POST}_{said.message_id}",
        "parent_id": post,
        "from": {"id": said.visitor, "name": "Ada"},
        "created_time": said.s,
        "post": {"id": post, "permalink_url": f"https://facebook.example/p/{POST}"},
    }
    change = {"field": "feed", "value": {**comment, **value}}
    entry = {"id": account.external_id, "time": said.s, "changes": [change]}
    return _json({"object": "page", "entry": [entry]})


def whatsapp(account: Account, **value: Any) -> bytes:
    """Return a WhatsApp body with one `messages` change."""
    change = {
        "field": "messages",
        "value": {
            "messaging_product": "whatsapp",
            "metadata": {
                "display_phone_number": "15550001111",
                "phone_number_id": account.external_id,
            },
            **value,
        },
    }
    entry = {"id": "WABA-1", "changes": [change]}
    return _json({"object": "whatsapp_business_account", "entry": [entry]})


def _whatsapp_message(kind: str, content: Callable[[Said], dict[str, Any]]) -> Build:
    def built(account: Account, said: Said) -> bytes:
        message = {
            "from": said.visitor,
            "id": f"wamid.{said.message_id}",
            "timestamp": str(said.s),
            "type": kind,
            **content(said),
        }
        contact = {"profile": {"name": "Ada"}, "wa_id": said.visitor}
        return whatsapp(account, contacts=[contact], messages=[message])

    return built


def _picture(kind: str = "image") -> dict[str, Any]:
    return {"type": kind, "payload": {"url": PICTURE}}


_MESSENGER: dict[str, Build] = {
    "text": lambda a, s: messaging(a, s, message={"mid": s.message_id, "text": s.text}),
    "image": lambda a, s: messaging(
        a, s, message={"mid": s.message_id, "attachments": [_picture()]}
    ),
    "file": lambda a, s: messaging(
        a, s, message={"mid": s.message_id, "attachments": [_picture("file")]}
    ),
    "postback": lambda a, s: messaging(
        a, s, postback={"mid": s.message_id, "title": s.text, "payload": "HUMAN"}
    ),
    "reaction": lambda a, s: messaging(
        a, s, reaction={"mid": s.message_id, "action": "react", "reaction": "love", "emoji": "❤️"}
    ),
    "unsend": lambda a, s: messaging(a, s, message={"mid": s.message_id, "is_deleted": True}),
    "read": lambda a, s: messaging(a, s, read={"watermark": s.ms}),
}

_FB_COMMENT: dict[str, Build] = {
    "text": lambda a, s: feed(a, s, message=s.text),
    "image": lambda a, s: feed(a, s, message=s.text, photo=PICTURE),
    "edited": lambda a, s: feed(a, s, verb="edited", message=s.text),
    "hide": lambda a, s: feed(a, s, verb="hide"),
    "unsend": lambda a, s: feed(a, s, verb="remove"),
}

_WHATSAPP: dict[str, Build] = {
    "text": _whatsapp_message("text", lambda s: {"text": {"body": s.text}}),
    "image": _whatsapp_message(
        "image",
        lambda s: {"image": {"id": "MEDIA-1", "mime_type": "image/jpeg", "caption": s.text}},
    ),
    "location": _whatsapp_message(
        "location", lambda _: {"location": {"latitude": 13.75, "longitude": 100.5}}
    ),
    "postback": _whatsapp_message(
        "button", lambda s: {"button": {"text": s.text, "payload": "HUMAN"}}
    ),
}

# --- LINE --------------------------------------------------------------------------------------


def line(account: Account, said: Said, **event: Any) -> bytes:
    """Return a LINE body with one event of the visitor."""
    common = {
        "mode": "active",
        "timestamp": said.ms,
        "webhookEventId": f"01K7{said.token(22)}",
        "deliveryContext": {"isRedelivery": False},
        "source": {"type": "user", "userId": said.visitor},
    }
    return _json({"destination": account.external_id, "events": [{**common, **event}]})


def _line_message(content: Callable[[Said], dict[str, Any]]) -> Build:
    def built(account: Account, said: Said) -> bytes:
        message = {"id": said.message_id, "quoteToken": f"q-{said.token(8)}", **content(said)}
        return line(
            account, said, type="message", replyToken=f"r-{said.message_id}", message=message
        )

    return built


_LINE: dict[str, Build] = {
    "text": _line_message(lambda s: {"type": "text", "text": s.text}),
    "image": _line_message(lambda _: {"type": "image", "contentProvider": {"type": "line"}}),
    "sticker": _line_message(
        lambda _: {
            "type": "sticker",
            "packageId": "1",
            "stickerId": "2",
            "stickerResourceType": "STATIC",
        }
    ),
    "location": _line_message(
        lambda s: {"type": "location", "title": s.text, "latitude": 13.75, "longitude": 100.5}
    ),
    "file": _line_message(lambda _: {"type": "file", "fileName": "offer.pdf", "fileSize": 2138}),
    "postback": lambda a, s: line(
        a,
        s,
        type="postback",
        replyToken=f"r-{s.message_id}",
        postback={"data": "action=human"},
    ),
    "follow": lambda a, s: line(
        a, s, type="follow", replyToken=f"r-{s.message_id}", follow={"isUnblocked": False}
    ),
    "unfollow": lambda a, s: line(a, s, type="unfollow"),
    "unsend": lambda a, s: line(a, s, type="unsend", unsend={"messageId": s.message_id}),
}

# --- WeChat ------------------------------------------------------------------------------------


def wechat(account: Account, said: Said, **fields: str) -> bytes:
    """Return a WeChat message in plain XML; `signing` seals it where the account says so."""
    common = {
        "ToUserName": account.external_id,
        "FromUserName": said.visitor,
        "CreateTime": str(said.s),
    }
    inner = "".join(
        f"<{name}>{escape(value)}</{name}>" for name, value in {**common, **fields}.items()
    )
    return f"<xml>{inner}</xml>".encode()


_WECHAT: dict[str, Build] = {
    "text": lambda a, s: wechat(a, s, MsgType="text", Content=s.text, MsgId=s.message_id),
    "image": lambda a, s: wechat(
        a, s, MsgType="image", PicUrl=PICTURE, MediaId="media-1", MsgId=s.message_id
    ),
    "location": lambda a, s: wechat(
        a,
        s,
        MsgType="location",
        Location_X="13.75",
        Location_Y="100.5",
        Scale="15",
        Label=s.text,
        MsgId=s.message_id,
    ),
    "postback": lambda a, s: wechat(a, s, MsgType="event", Event="CLICK", EventKey="HUMAN"),
    "follow": lambda a, s: wechat(a, s, MsgType="event", Event="subscribe"),
    "unfollow": lambda a, s: wechat(a, s, MsgType="event", Event="unsubscribe"),
}

# --- web ---------------------------------------------------------------------------------------


def _web(item: Callable[[Said], dict[str, Any]]) -> Build:
    def built(_account: Account, said: Said) -> bytes:
        message = {"id": said.message_id, "at": said.ms, **item(said)}
        page = {"url": "https://shop.example/", "title": "Shop"}
        return _json({"visitor": said.visitor, "messages": [message], "page": page})

    return built


_WEB: dict[str, Build] = {
    "text": _web(lambda s: {"type": "text", "text": s.text}),
    "postback": _web(lambda s: {"type": "action", "title": s.text, "payload": "HUMAN"}),
}

_BUILDERS: dict[str, dict[str, Build]] = {
    "messenger": _MESSENGER,
    "fb_comment": _FB_COMMENT,
    "line": _LINE,
    "whatsapp": _WHATSAPP,
    "wechat": _WECHAT,
    "web": _WEB,
}

_VISITORS = {
    "messenger": "7100000000000007",
    "fb_comment": "7200000000000007",
    "line": "U11111111111111111111111111111111",
    "whatsapp": "15557770000",
    "wechat": "oVisitor0000000000000000001",
    "web": "visitor-1",
}


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)
