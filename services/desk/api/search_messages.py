"""What a search shows of messages: as they stand now, where the caller sees them.

The words of a message are those it came with. Whether it was edited or unsent since is seen when it
is folded, as its timeline shows it; an edit is found by its own words and leads to its message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from libs.common.documents import CONTACTS, MESSAGES, Direction, Message, Session
from libs.common.events import MessageEdited
from libs.common.said import texts_of
from libs.common.store.api import Page, Where
from libs.common.timeline import Sender, TimelineEntry
from libs.common.words import words_of
from services.desk.api.login import AgentName
from services.desk.api.messages import folded
from services.desk.api.route import Call
from services.desk.search import Sought
from services.desk.search_shown import Excerpt, excerpt_of


class Places(Protocol):
    """Of a query: channels and accounts; empty: all."""

    @property
    def channel(self) -> tuple[str, ...]: ...
    @property
    def account(self) -> tuple[str, ...]: ...


class MessageHit(msgspec.Struct, frozen=True, kw_only=True):
    """A message or note as it stands now, and where it was said."""

    id: str
    session: str
    channel: str
    account: str
    contact: AgentName
    kind: Literal["message", "note", "system"]
    direction: Direction | None
    sender: Sender
    at: datetime
    number: int
    excerpt: Excerpt


def asked_place(query: Places, channel: str, account: str) -> bool:
    """Tell whether the query means what is there."""
    return (not query.channel or channel in query.channel) and (
        not query.account or account in query.account
    )


async def shown(call: Call, sought: Sought, rows: Sequence[Message]) -> dict[str, MessageHit]:
    """Return what can be shown of *rows*, by their ids: as it stands after all changes."""
    hits = await _origins(call, sought, [row for row in rows if _asked_way(call, row)])
    sessions = await _sessions(call, sought, {message.session for message in hits.values()})
    groups: dict[str, list[Message]] = {}
    for one in {one.id: one for one in hits.values() if one.session in sessions}.values():
        groups.setdefault(one.session, []).append(one)
    folds = await asyncio.gather(
        *(folded(call, sessions[session], group) for session, group in groups.items())
    )
    entries = {entry.id: entry for group in folds for entry in group}
    found: dict[str, MessageHit] = {}
    listed: set[str] = set()
    for row in rows:
        message = hits.get(row.id)
        entry = entries.get(message.id) if message is not None else None
        if message is None or entry is None or message.id in listed:
            continue
        await asyncio.sleep(0)  # marking a long text takes some milliseconds
        hit = _message_hit(row, entry, sessions[message.session], sought)
        if hit is not None:
            found[row.id] = hit
            listed.add(message.id)
    return found


def _asked_way(call: Call, row: Message) -> bool:
    wanted: Direction | None = call.query.direction
    return wanted is None or row.direction == wanted or isinstance(row.event, MessageEdited)


async def _origins(call: Call, sought: Sought, rows: Sequence[Message]) -> dict[str, Message]:
    """Return the message that each row is, or that it edits, by the row's id.

    An edit stands for its message only where that is not found by its own words: each once.
    """
    edits = [row for row in rows if isinstance(row.event, MessageEdited)]
    found = await asyncio.gather(*(_edited(call, row) for row in edits))
    origins = {
        row.id: message
        for row, message in zip(edits, found, strict=True)
        if message is not None
        and _asked_way(call, message)
        and not sought.asked.empty
        and not sought.asked.found_in(message.words)
    }
    return {row.id: row for row in rows if row.kind in {"message", "note"}} | origins


async def _edited(call: Call, edit: Message) -> Message | None:
    """Return the message that *edit* changes, if it is here."""
    port = call.desk.store.port
    for target in edit.target:
        where: Where = {"account": edit.account, "provider_ids": target}
        found = await port.find(MESSAGES, edit.workspace, where, Page(order="provider", limit=5))
        own = await port.get(MESSAGES, edit.workspace, target)
        if own is not None and own.account == edit.account:
            found.append(own)
        for message in found:
            if message.kind in {"message", "note"}:
                return message
    return None


async def _sessions(call: Call, sought: Sought, ids: Collection[str]) -> dict[str, Session]:
    """Return those of the sessions that the caller sees and whose contact is meant."""
    found = await call.desk.store.sessions(call.who.workspace, ids)
    query = call.query
    seen = {
        id_: session
        for id_, session in found.items()
        if call.who.scope.session(session) and asked_place(query, session.channel, session.account)
    }
    if not sought.known.anything:
        return seen
    people = await call.desk.store.port.get_many(
        CONTACTS, call.who.workspace, sorted({session.contact for session in seen.values()})
    )
    return {
        id_: session
        for id_, session in seen.items()
        if session.contact in people and sought.known.fits(people[session.contact])
    }


def _message_hit(
    row: Message, entry: TimelineEntry, session: Session, sought: Sought
) -> MessageHit | None:
    """Return the row of an entry; None where it is not what is asked for any more."""
    texts = [text for text in texts_of(entry.parts) if text]
    if entry.deleted or not texts:
        return None
    if isinstance(row.event, MessageEdited) and row.event.parts != entry.parts:
        return None  # a later edit holds
    words = row.words if entry.parts == row.parts else words_of(texts)
    if not sought.asked.empty and not sought.asked.found_in(words):
        return None
    return MessageHit(
        id=entry.id,
        session=session.id,
        channel=session.channel,
        account=session.account,
        contact=AgentName(id=session.contact, name=session.contact_name),
        kind=entry.kind,
        direction=entry.direction,
        sender=entry.sender,
        at=entry.at,
        number=entry.number,
        excerpt=excerpt_of("\n".join(texts), sought.asked),
    )
