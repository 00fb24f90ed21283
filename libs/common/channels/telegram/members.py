"""Who came and went: blocked, unblocked, joined, left. Telegram tells some of it twice."""

from __future__ import annotations

from libs.common.channels.telegram import wire
from libs.common.channels.telegram.places import is_private, named, profile_of
from libs.common.channels.telegram.spot import Spot
from libs.common.events import ContactChange, ContactChanged, InboundEvent
from libs.common.items import decode_leniently
from libs.common.providers.normal import EPOCH, ident, moment, text

_PRESENT = frozenset({"creator", "administrator", "member", "restricted"})
_ABSENT = frozenset({"left", "kicked"})


def members_changed(spot: Spot) -> tuple[InboundEvent | None, ...]:
    """Return what a change of someone's standing says; a mere change of rights says nothing.

    About the bot itself it is following or joining, about anyone else a member of the group.
    """
    item = decode_leniently(wire.member, spot.raw)
    chat = named(item.chat.id if item.chat else None, "chat")
    before = text((item.old_chat_member or wire.Member()).status)
    member = item.new_chat_member or wire.Member()
    now = text(member.status)
    if now not in _PRESENT | _ABSENT:
        return (spot.unparsed("unknown_kind", chat),)
    if (before in _PRESENT) is (now in _PRESENT):
        return (None,)
    person = ident(member.user.id) if member.user else ""
    ours = spot.bot in {"", person} or is_private(item.chat)
    change = _change(came=now in _PRESENT, ours=ours, private=is_private(item.chat))
    detail = "unblocked" if change == "follow" and before == "kicked" else ""
    return (
        ContactChanged(
            event_id=spot.key(),
            visitor=chat,
            occurred_at=moment(item.date) or EPOCH,
            change=change,
            detail=detail if ours else person,
            profile=profile_of(item.from_ if is_private(item.chat) else item.chat),
        ),
    )


def _change(*, came: bool, ours: bool, private: bool) -> ContactChange:
    if private:
        return "follow" if came else "unfollow"
    if ours:
        return "join" if came else "leave"
    return "member_joined" if came else "member_left"


def noted_members(spot: Spot, item: wire.Message, chat: str) -> InboundEvent | None:
    """Return what a note in the group says about members; about the bot, `my_chat_member` does."""
    came = item.new_chat_members is not None
    people = item.new_chat_members or ([item.left_chat_member] if item.left_chat_member else [])
    ids = [ident(user.id) for user in people]
    others = [one for one in ids if one and one != spot.bot]
    if not others:
        return None
    return ContactChanged(
        event_id=spot.key(),
        visitor=chat,
        occurred_at=moment(item.date) or EPOCH,
        change="member_joined" if came else "member_left",
        detail=",".join(others),
        profile=profile_of(item.chat),
    )
