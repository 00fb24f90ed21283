"""What one channel event does to its session. Pure, and the same in whatever order they come.

Counters count, times only rise, and a field that the newest event sets remembers that event's
place, so that a late arrival of an older one changes nothing that it must not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec

from libs.common.documents import Message
from libs.common.events import (
    ContactChanged,
    ContentPart,
    DeliveryReported,
    IdentityChanged,
    InboundEvent,
    InteractionReceived,
    MediaPart,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    MessageHidden,
    MessageReceived,
    Profile,
    ReactionChanged,
    SendReported,
)
from libs.common.status import further, reported, standing_of
from services.router import reckon, survey
from services.router.access import learn, settle
from services.router.draft import Draft, Field
from services.router.shown import alteration_of
from services.router.traced import follow

Ours = Message | None
"""The message of ours that the event names, as it stands after the event; None for none."""


def absorb(draft: Draft, entry: Message, event: InboundEvent | None, ours: Ours) -> None:
    """Apply *event*, kept as *entry*, to the session.

    A stored entry without its event is an echo: all others that may wait keep theirs.
    """
    draft.place(entry)
    learn(draft, entry, event)
    _EFFECTS.get(type(event), _mention)(draft, entry, event)
    if ours is not None:
        draft.learn_ids(ours)
        settle(draft, ours)
        survey.settle(draft, ours)
        draft.tell(
            "message.status",
            entry.received_at,
            actor="system",
            message=ours.id,
            session=ours.session,
            status=ours.status,
        )
    follow(draft, entry, event, ours)


def advance(ours: Message, event: InboundEvent, at: datetime) -> Message:
    """Return our message after what *event*, which happened at *at*, says about it.

    Any order of the same reports ends in the same message.
    """
    standing = further(standing_of(ours), reported(event, at))
    return msgspec.structs.replace(
        ours,
        status=standing.status,
        status_at=standing.at,
        status_reason=standing.reason,
        provider_code=standing.code,
        provider_ids=_provider_ids(ours.provider_ids, event),
        via=max(ours.via, event.via) if isinstance(event, SendReported) else ours.via,
    )


def name_of(profile: Profile) -> str:
    """Return what to call a person; empty when the channel told nothing."""
    return profile.name or profile.username


def visitor_of(event: MessageReceived) -> Profile:
    """Return what a message tells of its visitor: of a group, whose members write, its title."""
    return Profile(name=event.group) if event.author else event.profile


def introduced(event: InteractionReceived) -> Profile:
    """Return what a visitor said of themselves besides writing, as in a form of the web chat."""
    return msgspec.convert(event.data, Profile) if event.kind == "profile" else Profile()


def _provider_ids(known: tuple[str, ...], event: InboundEvent) -> tuple[str, ...]:
    """Return all ids the provider gave; the sender's own report knows the order of the parts."""
    told: tuple[str, ...] = ()
    if isinstance(event, SendReported):
        told = event.provider_ids
        if set(known) <= set(told):
            return told
    elif isinstance(event, MessageEchoed):
        told = (event.message_id,)
    elif isinstance(event, DeliveryReported):
        told = event.targets
    if set(told) <= set(known):
        return known
    return tuple(sorted({*known, *told}))


def _received(draft: Draft, entry: Message, event: MessageReceived) -> None:
    _learnt(draft, entry, event)
    if entry.kind == "event":  # it came by another path as well, and has counted
        _release(draft, entry)
        return
    session = draft.session
    if session.list == "ended":  # it was asked for, see `survey`
        survey.rate(draft, entry, event)
        return
    session.inbound += 1
    session.heard_at = max(session.heard_at or entry.received_at, entry.received_at)
    draft.hear(entry.received_at)
    reckon.heard(session, entry.received_at)
    draft.touch(entry.received_at)
    draft.show_last(entry)
    draft.tell(
        "message.stored",
        entry.received_at,
        actor="visitor",
        message=entry.id,
        media=files_at_provider(event.parts),
        inbound=session.inbound,
    )


def _release(draft: Draft, entry: Message) -> None:
    """Note that nobody else held the conversation then: what was said came to us as well."""
    held = draft.session.newest.get("standby")
    if held is not None and held.at <= entry.occurred_at:
        draft.session.standby = False


def _learnt(draft: Draft, entry: Message, event: MessageReceived) -> None:
    """Note what came with a visitor's message."""
    session = draft.session
    session.last_inbound_at = max(session.last_inbound_at or entry.occurred_at, entry.occurred_at)
    _person(draft, entry, visitor_of(event))
    _token(draft, entry, event.reply_token)
    if event.read_token and draft.is_newest("read_token", entry):
        session.read_token = event.read_token
    if event.quote_token and draft.is_newest("quote_token", entry):
        session.quote_token = event.quote_token
    if event.thread is not None and draft.is_newest("thread", entry):
        session.thread = event.thread


def files_at_provider(parts: Iterable[ContentPart]) -> int:
    """Return how many files are still to be fetched from the provider."""
    return sum(isinstance(part, MediaPart) and not part.attachment for part in parts)


def _echoed(draft: Draft, entry: Message, _event: MessageEchoed | None) -> None:
    if entry.kind == "event":  # one of ours: only its status changes
        return
    if not set(draft.session.last_ids).intersection(entry.provider_ids):  # else one of ours too
        draft.answered_outside(entry.received_at)
        reckon.outside(draft.session, entry.received_at)
    draft.touch(entry.received_at)
    draft.show_last(entry)
    media = files_at_provider(entry.parts)
    draft.tell("message.stored", entry.received_at, actor="agent:", message=entry.id, media=media)


def _followed(draft: Draft, entry: Message, event: ContactChanged) -> None:
    _person(draft, entry, event.profile)
    _token(draft, entry, event.reply_token)
    _mention(draft, entry, event)


def _interacted(draft: Draft, entry: Message, event: InteractionReceived) -> None:
    _person(draft, entry, introduced(event))
    _token(draft, entry, event.reply_token)
    _mention(draft, entry, event)


def _delivered(draft: Draft, entry: Message, event: DeliveryReported) -> None:
    session = draft.session
    if event.watermark is not None and event.status != "failed":
        mark = min(event.watermark, entry.received_at)  # a wrong clock reads nothing in advance
        session.delivered_up_to = max(session.delivered_up_to or mark, mark)
        if event.status in {"read", "played"}:
            session.read_up_to = max(session.read_up_to or mark, mark)
    _changed(draft, entry, event)


def _altered(draft: Draft, entry: Message, event: MessageEdited | MessageDeleted) -> None:
    draft.alter(alteration_of(entry, event))
    if isinstance(event, MessageEdited):
        _token(draft, entry, event.reply_token)
    _changed(draft, entry, event)


def _changed(draft: Draft, entry: Message, _event: InboundEvent) -> None:
    draft.tell("message.changed", entry.received_at, actor="visitor", message=entry.id)


def _mention(draft: Draft, entry: Message, _event: InboundEvent) -> None:
    draft.tell("message.stored", entry.received_at, actor="system", message=entry.id)


def _person(draft: Draft, entry: Message, profile: Profile) -> None:
    """Note what is told of the person; the newest holds, and silence erases nothing."""
    _fact(draft, entry, "contact_name", name_of(profile))
    _fact(draft, entry, "contact_phone", profile.phone)
    _fact(draft, entry, "contact_email", profile.email)
    _fact(draft, entry, "contact_language", profile.language)


def _fact(draft: Draft, entry: Message, field: Field, value: str) -> None:
    if value and draft.is_newest(field, entry):
        setattr(draft.session, field, value)


def _became(draft: Draft, entry: Message, event: IdentityChanged) -> None:
    _person(draft, entry, event.profile)
    _mention(draft, entry, event)


def _token(draft: Draft, entry: Message, token: str) -> None:
    """Keep the newest reply token; its time is that of its arrival, from which it lives."""
    if token and draft.is_newest("reply_token", entry):
        draft.session.reply_token = token
        draft.session.reply_token_at = entry.received_at


def _nothing(_draft: Draft, _entry: Message, _event: InboundEvent) -> None:
    """Say nothing of its own: the status fact of the message it names says it."""


_EFFECTS: dict[type, Callable[[Draft, Message, Any], None]] = {
    MessageReceived: _received,
    MessageEchoed: _echoed,
    type(None): _echoed,
    MessageEdited: _altered,
    MessageDeleted: _altered,
    MessageHidden: _changed,
    ReactionChanged: _changed,
    DeliveryReported: _delivered,
    ContactChanged: _followed,
    IdentityChanged: _became,
    InteractionReceived: _interacted,
    SendReported: _nothing,
}
