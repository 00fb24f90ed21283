"""Telegram's updates as they arrive; every field may be missing, and new ones come unannounced.

Source: Telegram Bot API 10, "Getting updates" and "Available types" (read 2026-09). Ids have up to
52 bits and are negative for groups.
"""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.providers.normal import Id, Scalar


class User(msgspec.Struct):
    id: Id = None
    is_bot: bool | None = None
    first_name: Scalar = None
    last_name: Scalar = None
    username: Scalar = None
    language_code: Scalar = None


class Chat(msgspec.Struct):
    """`type` is private, group, supergroup or channel."""

    id: Id = None
    type: Scalar = None
    title: Scalar = None
    first_name: Scalar = None
    last_name: Scalar = None
    username: Scalar = None


class Entity(msgspec.Struct):
    """A marked stretch of text; of them all only a link hidden behind words adds anything."""

    type: Scalar = None
    url: Scalar = None


class File(msgspec.Struct):
    """Any file; `duration` is seconds. A sticker has `set_name` and `emoji`."""

    file_id: Id = None
    file_size: Scalar = None
    file_name: Scalar = None
    mime_type: Scalar = None
    duration: Scalar = None
    emoji: Scalar = None
    set_name: Scalar = None
    is_animated: bool | None = None
    is_video: bool | None = None


class Location(msgspec.Struct):
    latitude: Scalar = None
    longitude: Scalar = None


class Venue(msgspec.Struct):
    location: Location | None = None
    title: Scalar = None
    address: Scalar = None


class Card(msgspec.Struct):
    phone_number: Scalar = None
    first_name: Scalar = None
    last_name: Scalar = None


class Option(msgspec.Struct):
    text: Scalar = None


class Poll(msgspec.Struct):
    question: Scalar = None
    options: list[Option] | None = None


class Dice(msgspec.Struct):
    emoji: Scalar = None
    value: Scalar = None


class Game(msgspec.Struct):
    title: Scalar = None
    description: Scalar = None


class WebAppData(msgspec.Struct):
    data: Scalar = None
    button_text: Scalar = None


class Button(msgspec.Struct):
    text: Scalar = None
    callback_data: Scalar = None


class Markup(msgspec.Struct):
    inline_keyboard: list[list[Button]] | None = None


class Pointer(msgspec.Struct):
    """A message of which only the place matters; too old ones come without content."""

    message_id: Id = None
    chat: Chat | None = None
    business_connection_id: Id = None
    reply_markup: Markup | None = None


class Message(Pointer):
    """A message, or a note about the chat (`new_chat_members`, `migrate_to_chat_id`, ...)."""

    date: Scalar = None
    edit_date: Scalar = None
    from_: User | None = msgspec.field(default=None, name="from")
    sender_chat: Chat | None = None
    media_group_id: Id = None
    reply_to_message: Pointer | None = None
    forward_origin: Any = None
    text: str | None = None
    entities: list[Entity] | None = None
    caption: str | None = None
    caption_entities: list[Entity] | None = None
    photo: list[File] | None = None
    video: File | None = None
    animation: File | None = None
    audio: File | None = None
    voice: File | None = None
    video_note: File | None = None
    document: File | None = None
    sticker: File | None = None
    location: Location | None = None
    venue: Venue | None = None
    contact: Card | None = None
    poll: Poll | None = None
    dice: Dice | None = None
    game: Game | None = None
    story: Any = None
    paid_media: Any = None
    checklist: Any = None
    web_app_data: WebAppData | None = None
    successful_payment: Any = None
    new_chat_members: list[User] | None = None
    left_chat_member: User | None = None
    migrate_to_chat_id: Id = None
    migrate_from_chat_id: Id = None


class CallbackQuery(msgspec.Struct):
    id: Id = None
    from_: User | None = msgspec.field(default=None, name="from")
    message: Pointer | None = None
    data: Scalar = None


class Reaction(msgspec.Struct):
    """`type` is emoji, custom_emoji or paid."""

    type: Scalar = None
    emoji: Scalar = None
    custom_emoji_id: Id = None


class ReactionUpdate(msgspec.Struct):
    """`actor_chat` reacted where an administrator hides behind the chat."""

    chat: Chat | None = None
    message_id: Id = None
    user: User | None = None
    actor_chat: Chat | None = None
    date: Scalar = None
    new_reaction: list[Reaction] | None = None


class Member(msgspec.Struct):
    """`status` is creator, administrator, member, restricted, left or kicked."""

    user: User | None = None
    status: Scalar = None


class MemberUpdate(msgspec.Struct):
    chat: Chat | None = None
    from_: User | None = msgspec.field(default=None, name="from")
    date: Scalar = None
    old_chat_member: Member | None = None
    new_chat_member: Member | None = None


class DeletedMessages(msgspec.Struct):
    business_connection_id: Id = None
    chat: Chat | None = None
    message_ids: list[Id] | None = None


class Doing(msgspec.Struct):
    """What updates about a person have in common that are no messages."""

    chat: Chat | None = None
    user: User | None = None
    voter_chat: Chat | None = None
    from_: User | None = msgspec.field(default=None, name="from")
    date: Scalar = None


class Connection(msgspec.Struct):
    id: Id = None
    date: Scalar = None


message = msgspec.json.Decoder(Message)
callback_query = msgspec.json.Decoder(CallbackQuery)
reaction = msgspec.json.Decoder(ReactionUpdate)
member = msgspec.json.Decoder(MemberUpdate)
deleted = msgspec.json.Decoder(DeletedMessages)
doing = msgspec.json.Decoder(Doing)
connection = msgspec.json.Decoder(Connection)
