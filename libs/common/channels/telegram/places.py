"""How a chat and a message of it are named: `77`, `77@connection`, `77:5`.

Message ids count within a chat, and a chat that a person lends the bot through a business
connection is another one than the chat with the bot itself.
"""

from __future__ import annotations

from typing import Any

from libs.common.channels.telegram import wire
from libs.common.errors import MalformedPayloadError
from libs.common.events import Profile
from libs.common.providers.normal import Id, ident, text


def chat_of(item: wire.Pointer | wire.DeletedMessages) -> str:
    """Return the key of the chat, which is the visitor.

    Raises:
        MalformedPayloadError: It names no chat.
    """
    chat = named(item.chat.id if item.chat else None, "chat")
    connection = ident(item.business_connection_id)
    return f"{chat}@{connection}" if connection else chat


def message_key(chat: str, message_id: Id) -> str:
    """Return the id by which a message is known on the whole account."""
    return f"{chat}:{named(message_id, 'message')}"


def address(visitor: str) -> dict[str, Any]:
    """Return the fields of a call that say where it goes."""
    chat, _, connection = visitor.partition("@")
    where: dict[str, Any] = {"chat_id": int(chat) if _is_number(chat) else chat}
    return {**where, "business_connection_id": connection} if connection else where


def number_of(message_key: str) -> int | None:
    """Return Telegram's own number of a message, None where the key has none."""
    number = message_key.rpartition(":")[2]
    return int(number) if _is_number(number) else None


def is_private(chat: wire.Chat | None) -> bool:
    """Tell whether it is a conversation of two."""
    return chat is not None and chat.type == "private"


def named(value: Id, what: str) -> str:
    """Return an id as text.

    Raises:
        MalformedPayloadError: There is none.
    """
    found = ident(value)
    if not found:
        raise MalformedPayloadError(f"no {what}")
    return found


def profile_of(user: wire.User | wire.Chat | None) -> Profile:
    """Return what an update tells about a person, or about a chat that speaks."""
    if user is None:
        return Profile()
    names = (text(user.first_name), text(user.last_name))
    title = text(user.title) if isinstance(user, wire.Chat) else ""
    language = "" if isinstance(user, wire.Chat) else text(user.language_code)
    return Profile(
        name=" ".join(filter(None, names)) or title,
        username=text(user.username),
        language=language,
    )


def _is_number(value: str) -> bool:
    digits = value.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(digits) < 19
