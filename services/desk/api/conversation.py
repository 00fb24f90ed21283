"""One person, one conversation: the entries of all sessions of a contact in one order."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from libs.common.contact_documents import ContactNote
from libs.common.documents import Message, Session
from libs.common.timeline import TimelineEntry, display_order
from services.desk.api.cursor import sequence_cursor, write_cursor
from services.desk.api.messages import MessageQuery, Place, folded, with_pending
from services.desk.api.route import Call, Reply
from services.desk.api.visible import contact_of
from services.desk.contact_noted import BEHIND_ALL, as_entry, notes_of


class ContactEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry, and where it was said; a note about the contact was said in no session."""

    session: str
    channel: str
    account: str
    entry: TimelineEntry


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of the contact's newest sessions (at most 100) on every channel, in one order.

    Notes about the contact stand among them.

    A page may hold fewer entries than `limit`: echoes of our own messages are folded away.
    """

    items: tuple[ContactEntry, ...]
    next: str | None


async def contact_messages(call: Call) -> Reply:
    """Show one page of what was said with a contact, on whatever channel.

    Raises:
        NotFoundError: No such contact in this workspace, or in the caller's scope.
    """
    query: MessageQuery = call.query
    contact = await contact_of(call)
    known = await call.desk.store.conversation(contact.workspace, contact.id)
    sessions = [session for session in known if call.who.scope.session(session)]
    after = sequence_cursor(query.cursor)
    newest_first = query.order == "desc"
    notes = await _notes(call, contact.id, after, query.limit + 1, newest_first=newest_first)
    found = await asyncio.gather(
        *(_entries(call, session, after, query.limit + 1, query.order) for session in sessions)
    )
    said: list[Message | ContactNote] = [message for entries in found for message in entries]
    merged = sorted((*said, *notes), key=_place, reverse=newest_first)
    page = merged[: query.limit]
    items = await _shown(call, sessions, page)
    return Reply(
        body=Conversation(
            items=tuple(reversed(items) if newest_first else items),
            next=write_cursor(*_place(page[-1])) if len(merged) > query.limit else None,
        )
    )


def _place(one: Message | ContactNote) -> Place:
    return display_order(one) if isinstance(one, Message) else (one.at, 0, one.id)


async def _notes(
    call: Call, contact: str, after: Place | None, limit: int, *, newest_first: bool
) -> list[ContactNote]:
    """Return notes behind *after*; they stand before what has a number at the same time."""
    behind = None
    if after is not None:
        at, sequence, last = after
        behind = (at, last if sequence == 0 else BEHIND_ALL)
    port, workspace = call.desk.store.port, call.who.workspace
    return await notes_of(
        port, workspace, contact, after=behind, limit=limit, newest_first=newest_first
    )


async def _entries(
    call: Call, session: Session, after: Place | None, limit: int, order: Literal["desc", "asc"]
) -> list[Message]:
    newest_first = order == "desc"
    stored = await call.desk.store.timeline(
        session.workspace, session.id, after=after, limit=limit, descending=newest_first
    )
    return with_pending(stored, session, after, newest_first=newest_first)


async def _shown(
    call: Call, sessions: list[Session], page: list[Message | ContactNote]
) -> list[ContactEntry]:
    """Fold each session by itself: receipts and quotes stay inside one."""
    said = [one for one in page if isinstance(one, Message)]
    spoken = [session for session in sessions if any(m.session == session.id for m in said)]
    groups = await asyncio.gather(
        *(folded(call, s, [m for m in said if m.session == s.id]) for s in spoken)
    )
    places = {one.id: _place(one) for one in page}
    items = [
        ContactEntry(session=s.id, channel=s.channel, account=s.account, entry=entry)
        for s, entries in zip(spoken, groups, strict=True)
        for entry in entries
    ]
    items += [
        ContactEntry(session="", channel="", account="", entry=as_entry(one))
        for one in page
        if isinstance(one, ContactNote)
    ]
    return sorted(items, key=lambda item: places[item.entry.id])
