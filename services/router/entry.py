"""Translate one channel event into the timeline entry that keeps it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from libs.common.documents import Message
from libs.common.events import (
    BELOW,
    AccountNoticed,
    ActionPart,
    ContactChanged,
    ContentPart,
    DeliveryReported,
    Inbound,
    InboundEvent,
    InteractionReceived,
    MediaPart,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    MessageHidden,
    MessageReceived,
    ReactionChanged,
    Referral,
    SendReported,
    SharePart,
    TextPart,
    ThreadControlChanged,
    Unparsed,
)
from libs.common.ids import derive_id
from libs.common.text import clusters

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""A provider time before this is no time: absent, or seconds read as milliseconds."""
AHEAD = timedelta(seconds=5)
"""A provider time further than this ahead of its arrival is a wrong clock."""
EXCERPT = 120
"""Characters of an excerpt in a list row."""

_FOLLOWS = {
    "follow": "followed the account",
    "unfollow": "unfollowed or blocked the account",
    "join": "added the account to a group",
    "leave": "removed the account from a group",
}
_CONTROL = {
    "taken": "another application took the conversation",
    "passed": "the conversation was passed on",
    "requested": "another application asked for the conversation",
    "roles": "the roles of the applications changed",
    "opened": "the conversation was opened elsewhere",
    "closed": "the conversation was closed elsewhere",
}


_SOURCES = {"ad": "an ad", "ads": "an ad", "qr": "a QR code"}


class Arrival(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One decoded delivery; `place` is its position in the batch, `sequence` in the stream."""

    inbound: Inbound
    sequence: int
    place: int = 0
    attempt: int = 1


def message_id(workspace: str, account: str, key: str) -> str:
    """Return the id of the entry with this dedup key; *account* is empty for commands."""
    return derive_id("msg", workspace, account, key)


def mark(entry_id: str) -> str:
    """Return what the session's ring keeps of an entry: 65 of the 128 bits of its derived id."""
    return entry_id[4:17]


def is_homeless(event: InboundEvent) -> bool:
    """Tell whether *event* belongs to the account and never to a session."""
    return isinstance(event, AccountNoticed | Unparsed)


def opens(event: InboundEvent) -> bool:
    """Tell whether *event* opens a session where none is open: a visitor's message alone does."""
    return isinstance(event, MessageReceived)


def own_id(event: InboundEvent) -> str:
    """Return the id of the message of ours that *event* names; empty for none."""
    if isinstance(event, SendReported):
        return event.message_id
    return event.metadata if isinstance(event, MessageEchoed | DeliveryReported) else ""


def order_time(occurred_at: datetime, received_at: datetime) -> datetime:
    """Return the time that orders the display: the provider's, unless its clock is wrong."""
    if EARLIEST <= occurred_at <= received_at + AHEAD:
        return occurred_at
    return received_at


def entry_of(arrival: Arrival, entry_id: str, *, of_ours: bool = False) -> Message:
    """Return the entry, not yet placed in a session.

    *of_ours* tells that an echo names a message of ours, so that it changes that one instead of
    being shown.
    """
    inbound = arrival.inbound
    event = inbound.event
    entry = Message(
        id=entry_id,
        workspace=inbound.workspace,
        account=inbound.account,
        key=event.event_id,
        session="",
        visitor=event.visitor,
        kind="event",
        occurred_at=order_time(event.occurred_at, inbound.received_at),
        received_at=inbound.received_at,
        sequence=arrival.sequence,
        ingest_id=inbound.ingest_id,
    )
    if of_ours and isinstance(event, MessageEchoed):
        entry.event = event
        entry.target = (event.metadata,)
        return entry
    _SHAPES.get(type(event), _keep)(entry, event)
    return entry


def place_below(entry: Message, event: InboundEvent) -> bool:
    """Let *entry* point at the comment that *event* names in place of a person, if it does so."""
    below = event.visitor.startswith(BELOW)
    if below and event.visitor not in entry.target:
        entry.target = (*entry.target, event.visitor)
    return below


def is_shown(entry: Message) -> bool:
    """Tell whether *entry* has a line of its own in the timeline."""
    return entry.kind != "event"


def excerpt(parts: tuple[ContentPart, ...]) -> str:
    """Return one line for a list row, at most `EXCERPT` characters."""
    for part in parts:
        if isinstance(part, TextPart) and part.text:
            return _cut(part.text.replace("\n", " "))
    return _cut(f"[{_label(parts[0])}]") if parts else ""


def _cut(line: str) -> str:
    """Cut *line* between two characters as a reader sees them."""
    if len(line) <= EXCERPT:
        return line
    end = EXCERPT - 1
    if not line.isascii():
        start = line.rfind(" ", 0, end) + 1  # a blank begins a character: no need to look further
        whole = start
        for cluster in clusters(line[start : end + 1]):
            if start + len(cluster) > end:
                break
            start = whole = start + len(cluster)
        end = whole or end
    return line[:end] + "…"


def _label(part: ContentPart) -> str:
    if isinstance(part, MediaPart):
        return part.kind
    if isinstance(part, ActionPart | SharePart) and part.title:
        return part.title
    return str(part.__struct_config__.tag)


def _received(entry: Message, event: MessageReceived) -> None:
    entry.kind = "message"
    entry.direction = "in"
    entry.sender = "visitor"
    entry.sender_id = event.author or event.visitor
    entry.sender_name = event.profile.name or event.profile.username
    entry.parts = event.parts
    entry.provider_ids = (event.message_id,) if event.message_id else ()
    entry.reply_to = event.reply_to
    entry.quote_token = event.quote_token
    entry.thread = event.thread
    clamped = entry.occurred_at != event.occurred_at
    if clamped or event.referral or event.forwarded or event.standby:
        # what the fields above do not hold; tokens that let one act are not kept here
        entry.event = msgspec.structs.replace(
            event, parts=(), reply_token="", read_token="", quote_token=""
        )


def _echoed(entry: Message, event: MessageEchoed) -> None:
    """Keep what was typed elsewhere: an agent's, whose name the provider does not tell."""
    entry.kind = "message"
    entry.direction = "out"
    entry.sender = "agent"
    entry.parts = event.parts
    entry.provider_ids = (event.message_id,) if event.message_id else ()
    entry.thread = event.thread
    if event.standby:
        entry.event = msgspec.structs.replace(event, parts=())


def _followed(entry: Message, event: ContactChanged) -> None:
    entry.event = msgspec.structs.replace(event, reply_token="")
    if event.change in _FOLLOWS:
        _say(entry, event.change, _FOLLOWS[event.change])


def _controlled(entry: Message, event: ThreadControlChanged) -> None:
    entry.event = event
    _say(entry, f"control_{event.change}", _CONTROL[event.change])


def _say(entry: Message, what: str, text: str) -> None:
    entry.kind = "system"
    entry.what = what
    entry.parts = (TextPart(text=text),)


def _interacted(entry: Message, event: InteractionReceived) -> None:
    entry.event = msgspec.structs.replace(event, reply_token="")
    if event.referral is not None:
        _say(entry, "referral", came_through(event.referral))


def came_through(referral: Referral) -> str:
    """Say for a person by what ad, link or code a visitor came."""
    by = _SOURCES.get(referral.source.lower(), "a link")
    which = referral.headline or referral.ref or referral.url
    return f"came through {by}: {which}" if which else f"came through {by}"


def _delivered(entry: Message, event: DeliveryReported) -> None:
    entry.event = event
    entry.target = (*event.targets, event.metadata) if event.metadata else event.targets


def _reported(entry: Message, event: SendReported) -> None:
    entry.event = event
    entry.target = (event.message_id,)


def _edited(entry: Message, event: MessageEdited) -> None:
    entry.event = msgspec.structs.replace(event, reply_token="")
    entry.target = (event.target,)


def _targeting(entry: Message, event: MessageDeleted | MessageHidden | ReactionChanged) -> None:
    entry.event = event
    entry.target = (event.target,)


def _keep(entry: Message, event: InboundEvent) -> None:
    entry.event = event


_SHAPES: dict[type, Callable[[Message, Any], None]] = {
    MessageReceived: _received,
    MessageEchoed: _echoed,
    MessageEdited: _edited,
    MessageDeleted: _targeting,
    MessageHidden: _targeting,
    ReactionChanged: _targeting,
    DeliveryReported: _delivered,
    ContactChanged: _followed,
    ThreadControlChanged: _controlled,
    InteractionReceived: _interacted,
    SendReported: _reported,
}
