"""Each kind of Telegram update as its events; None means known, with nothing to keep."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from libs.common.channels.telegram import wire
from libs.common.channels.telegram.content import parts_of
from libs.common.channels.telegram.members import members_changed, noted_members
from libs.common.channels.telegram.places import (
    chat_of,
    is_private,
    message_key,
    named,
    profile_of,
)
from libs.common.channels.telegram.spot import Spot
from libs.common.decode import salvage
from libs.common.events import (
    AccountNoticed,
    ActionPart,
    IdentityChanged,
    InboundEvent,
    InteractionReceived,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    MessageReceived,
    ReactionChanged,
    Referral,
)
from libs.common.items import decode_leniently
from libs.common.providers.normal import EPOCH, MAX_PARTS, facts, ident, key, moment, text

Found = Iterable[InboundEvent | None]

_START = re.compile(r"/start(?:@\w{1,64})? (\S{1,512})")
_SECRET = frozenset({"provider_payment_charge_id", "telegram_payment_charge_id"})

_NOTES = frozenset(
    {
        "boost_added", "channel_chat_created", "chat_background_set", "chat_shared",
        "connected_website", "delete_chat_photo", "forum_topic_closed", "forum_topic_created",
        "forum_topic_edited", "forum_topic_reopened", "general_forum_topic_hidden",
        "general_forum_topic_unhidden", "giveaway", "giveaway_completed", "giveaway_created",
        "giveaway_winners", "group_chat_created", "invoice", "message_auto_delete_timer_changed",
        "new_chat_photo", "new_chat_title", "passport_data", "pinned_message",
        "proximity_alert_triggered", "supergroup_chat_created", "users_shared",
        "video_chat_ended", "video_chat_participants_invited", "video_chat_scheduled",
        "video_chat_started", "write_access_allowed",
    }
)  # fmt: skip
"""Notes about the chat itself: counted, and left in the raw body."""


def message(spot: Spot) -> Found:
    """Yield what a new message says: content, people who came or went, a move, a payment."""
    item = decode_leniently(wire.message, spot.raw)
    chat = chat_of(item)
    parts = parts_of(item)
    if not parts:
        yield from _note(spot, item, chat)
    elif _is_ours(item):
        yield MessageEchoed(
            event_id=spot.key(),
            visitor=chat,
            occurred_at=_at(item.date),
            message_id=message_key(chat, item.message_id),
            parts=parts,
        )
    else:
        yield MessageReceived(
            event_id=spot.key(),
            visitor=chat,
            occurred_at=_at(item.date),
            message_id=message_key(chat, item.message_id),
            parts=parts,
            author=_author(item),
            group="" if is_private(item.chat) else profile_of(item.chat).name,
            profile=profile_of(_speaker(item)),
            reply_to=_replied(item, chat),
            referral=_referral(item),
            forwarded=item.forward_origin is not None,
        )


def edited(spot: Spot) -> Found:
    """Yield the new content of a message.

    Telegram's times are whole seconds. Of two edits within one the later has the higher update
    number, which only starts anew after a week without any update.
    """
    item = decode_leniently(wire.message, spot.raw)
    chat = chat_of(item)
    parts = parts_of(item)
    if not parts:
        yield from _note(spot, item, chat)
        return
    yield MessageEdited(
        event_id=spot.key(),
        visitor=chat,
        occurred_at=_at(item.edit_date or item.date),
        target=message_key(chat, item.message_id),
        parts=parts,
        version=spot.number,
    )


def _at(value: object) -> datetime:
    return moment(value) or EPOCH


def _is_ours(item: wire.Message) -> bool:
    """Tell whether the owner of a business account wrote it: in a chat of two, the other one."""
    if not item.business_connection_id or not is_private(item.chat):
        return False
    return ident(item.from_.id if item.from_ else None) not in {"", chat_of(item).partition("@")[0]}


def _author(item: wire.Message) -> str:
    if is_private(item.chat):
        return ""
    speaker = _speaker(item)
    return ident(speaker.id) if speaker else ""


def _speaker(item: wire.Message) -> wire.User | wire.Chat | None:
    """Return who wrote in a group: a person, or a chat in whose name one spoke."""
    return item.sender_chat or item.from_


def _replied(item: wire.Message, chat: str) -> str:
    return message_key(chat, item.reply_to_message.message_id) if item.reply_to_message else ""


def _referral(item: wire.Message) -> Referral | None:
    """Return what a link `t.me/<bot>?start=<ref>` brought along."""
    found = _START.fullmatch(text(item.text))
    return Referral(source="start", ref=found[1]) if found else None


def _note(spot: Spot, item: wire.Message, chat: str) -> Found:
    if item.migrate_to_chat_id is not None:
        yield _moved(item, chat, ident(item.migrate_to_chat_id))
    elif item.migrate_from_chat_id is not None:
        yield _moved(item, ident(item.migrate_from_chat_id), chat)
    elif item.new_chat_members is not None or item.left_chat_member is not None:
        yield noted_members(spot, item, chat)
    elif item.successful_payment is not None:
        yield InteractionReceived(
            event_id=spot.key(),
            visitor=chat,
            occurred_at=_at(item.date),
            kind="payment",
            data=facts(item.successful_payment, without=_SECRET),
        )
    elif not _NOTES.isdisjoint(salvage(spot.raw)):
        yield None
    else:
        yield spot.unparsed("unknown_kind", chat, _at(item.date))


def _moved(item: wire.Message, old: str, new: str) -> InboundEvent:
    """A group became a supergroup; both chats are told, and that is one event."""
    return IdentityChanged(
        event_id=key("moved", f"{old}:{new}"),
        visitor=named(new, "new chat"),
        occurred_at=_at(item.date),
        previous=named(old, "former chat"),
        detail="migrate_to_chat_id",
    )


def callback(spot: Spot) -> Found:
    """Yield a tapped button; `read_token` is what takes the waiting sign off the button."""
    item = decode_leniently(wire.callback_query, spot.raw)
    person = named(item.from_.id if item.from_ else None, "sender")
    shown = item.message or wire.Pointer()
    chat = chat_of(shown) if shown.chat else person
    tapped = named(item.id, "callback")
    yield MessageReceived(
        event_id=spot.key(),
        visitor=chat,
        occurred_at=EPOCH,
        message_id=f"{chat}:callback.{tapped}",
        parts=(ActionPart(title=_title(shown, item), payload=text(item.data)),),
        author="" if chat.partition("@")[0] == person else person,
        group="" if chat == person else profile_of(shown.chat).name,
        profile=profile_of(item.from_),
        reply_to=message_key(chat, shown.message_id) if shown.message_id else "",
        read_token=tapped,
    )


def _title(shown: wire.Pointer, item: wire.CallbackQuery) -> str:
    rows = (shown.reply_markup.inline_keyboard if shown.reply_markup else None) or []
    titles = (text(one.text) for row in rows for one in row if one.callback_data == item.data)
    return next(titles, "")


def reaction(spot: Spot) -> Found:
    """Yield the reactions that someone has on a message now."""
    item = decode_leniently(wire.reaction, spot.raw)
    chat = named(item.chat.id if item.chat else None, "chat")
    who = item.user or item.actor_chat
    yield ReactionChanged(
        event_id=spot.key(),
        visitor=chat,
        occurred_at=_at(item.date),
        target=message_key(chat, item.message_id),
        emoji="".join(map(_emoji, (item.new_reaction or ())[:MAX_PARTS])),
        author="" if is_private(item.chat) or who is None else ident(who.id),
    )


def _emoji(one: wire.Reaction) -> str:
    """A custom emoji is a picture that only its id names; a paid reaction is a star."""
    if one.type == "paid":
        return "\N{WHITE MEDIUM STAR}"
    return text(one.emoji) or f"custom:{ident(one.custom_emoji_id)}"


def deleted(spot: Spot) -> Found:
    """Yield an event for each message that was taken back in a business chat."""
    item = decode_leniently(wire.deleted, spot.raw)
    chat = chat_of(item)
    for number in item.message_ids or ():
        target = message_key(chat, number)
        yield MessageDeleted(
            event_id=spot.key(ident(number)), visitor=chat, occurred_at=EPOCH, target=target
        )


def doing(kind: str) -> Callable[[Spot], Found]:
    """Return what keeps, as facts, something a person did that is no message."""

    def build(spot: Spot) -> Found:
        item = decode_leniently(wire.doing, spot.raw)
        who = item.chat or item.from_ or item.user or item.voter_chat
        yield InteractionReceived(
            event_id=spot.key(),
            visitor=named(who.id if who else None, "person"),
            occurred_at=_at(item.date),
            kind=kind,
            data=facts(salvage(spot.raw)),
        )

    return build


def connection(spot: Spot) -> Found:
    """Yield the news that a person lent the bot their business account, or took it back."""
    item = decode_leniently(wire.connection, spot.raw)
    yield AccountNoticed(
        event_id=spot.key(),
        visitor="",
        occurred_at=_at(item.date),
        kind="business_connection",
        data=facts(salvage(spot.raw)),
    )


def passed_over(_spot: Spot) -> Found:
    """Count what no conversation has a place for; it stays in the raw body."""
    yield None


KINDS: Mapping[str, Callable[[Spot], Found]] = {
    "message": message,
    "edited_message": edited,
    "business_message": message,
    "edited_business_message": edited,
    "deleted_business_messages": deleted,
    "business_connection": connection,
    "callback_query": callback,
    "message_reaction": reaction,
    "my_chat_member": members_changed,
    "chat_member": members_changed,
    "chat_join_request": doing("chat_join_request"),
    "chosen_inline_result": doing("chosen_inline_result"),
    "poll_answer": doing("poll_answer"),
    "pre_checkout_query": doing("pre_checkout_query"),
    "purchased_paid_media": doing("purchased_paid_media"),
    "shipping_query": doing("shipping_query"),
    "channel_post": passed_over,
    "edited_channel_post": passed_over,
    "chat_boost": passed_over,
    "inline_query": passed_over,
    "message_reaction_count": passed_over,
    "poll": passed_over,
    "removed_chat_boost": passed_over,
}
"""By the one key that an update has beside `update_id`."""
