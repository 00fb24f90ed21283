"""The webhooks that follow a send: echoes of it, and receipts for it."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from libs.common.channel import Account
from libs.common.simulate.bodies_meta import feed, messaging
from libs.common.simulate.bodies_whatsapp import whatsapp
from libs.common.simulate.said import POST, Said

STATUSES = ("sent", "delivered", "read")


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A send that the provider took: its new `message_id`, and what it carried.

    `metadata` is what the caller put in to have it returned; `parent` is an answered comment.
    `attachments` are the files of it, as `(kind, link)` in the provider's own words.
    """

    recipient: str
    message_id: str
    text: str
    metadata: str = ""
    parent: str = ""
    attachments: tuple[tuple[str, str], ...] = ()


def follow_ups(account: Account, taken: Taken, said: Said) -> list[bytes]:
    """Return the bodies that the provider would post, in order; none for LINE, WeChat and Telegram.

    Args:
        account: Who sent.
        taken: What was sent.
        said: The visitor and the time, for what the visitor's side reports.
    """
    if account.channel in {"messenger", "instagram"}:
        return _messenger(account, taken, said)
    if account.channel == "fb_comment":
        page = {"id": account.external_id, "name": "The Page"}
        about = {"comment_id": taken.message_id, "parent_id": taken.parent, "from": page}
        return [feed(account, said, message=taken.text, **about)]
    if account.channel == "whatsapp":
        return [whatsapp(account, statuses=[_status(taken, said, name)]) for name in STATUSES]
    return []


def _messenger(account: Account, taken: Taken, said: Said) -> list[bytes]:
    content: dict[str, Any] = {"text": taken.text} if taken.text else {}
    if taken.attachments:
        content["attachments"] = [
            {"type": kind, "payload": {"url": link} if link else {}}
            for kind, link in taken.attachments
        ]
    echo = {
        "sender": {"id": account.external_id},
        "recipient": {"id": taken.recipient},
        "message": {
            "mid": taken.message_id,
            **content,
            "is_echo": True,
            "app_id": 900000000000001,
            "metadata": taken.metadata,
        },
    }
    if account.channel == "instagram":  # tells no delivery, and reading by message
        return [
            messaging(account, said, **echo),
            messaging(account, said, read={"mid": taken.message_id}),
        ]
    return [
        messaging(account, said, **echo),
        messaging(account, said, delivery={"mids": [taken.message_id], "watermark": said.ms}),
        messaging(account, said, read={"watermark": said.ms}),
    ]


def _status(taken: Taken, said: Said, name: str) -> dict[str, Any]:
    return {
        "id": taken.message_id,
        "status": name,
        "timestamp": str(said.s),
        "recipient_id": taken.recipient,
        "biz_opaque_callback_data": taken.metadata,
    }


def comment_id(number: int) -> str:
    """Return the id of the page's own comment *number*."""
    return f"{POST}_{9000 + number}"


def person_behind(comment: str) -> str:
    """Return the page-scoped id of whoever wrote a comment, as a private reply reveals it."""
    return f"73{zlib.crc32(comment.encode()):010d}"
