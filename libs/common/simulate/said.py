"""What a visitor does, and the ids that belong to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from libs.common.channel import Account

POST = "55"
"""The post below which comments stand."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a visitor does: `message_id` is the provider's id of it, `text` its words.

    `target` is the id, in the same form, of the message that it is about: which it answers,
    edits, unsends, reacts to, or reports as read. Empty: its own.
    """

    visitor: str
    message_id: str
    text: str
    now: datetime
    target: str = ""

    @property
    def ms(self) -> int:
        """The time in milliseconds."""
        return int(self.now.timestamp() * 1000)

    @property
    def s(self) -> int:
        """The time in seconds."""
        return int(self.now.timestamp())

    @property
    def about(self) -> str:
        """The id of the message that it is about."""
        return self.target or self.message_id

    def token(self, length: int, alphabet: str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ") -> str:
        """Return a made-up id that belongs to the message id."""
        digest = hashlib.sha256(self.message_id.encode()).digest()
        return "".join(alphabet[byte % len(alphabet)] for byte in (digest * 4)[:length])


Build = Callable[[Account, Said], bytes]


def number(message_id: str, digits: int = 9) -> int:
    """Return a number for a message id: itself where it is one that is short enough."""
    if message_id.isdecimal() and len(message_id) <= digits:
        return int(message_id)
    whole = int(hashlib.sha256(message_id.encode()).hexdigest(), 16)
    return whole % int(f"1{'0' * digits}")


def link(account: Account, media_id: str) -> str:
    """Return where the account's provider would hold a file: at the stub, where there is one."""
    return f"{account.api_base.rstrip('/') or 'https://cdn.example'}/cdn/{media_id}"


def as_json(value: Any) -> bytes:
    """Return *value* as a provider's body."""
    return msgspec.json.encode(value)
