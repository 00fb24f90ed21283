"""One person, one conversation: the entries of all sessions of a contact in one order."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from libs.common.documents import Message, Session
from libs.common.timeline import TimelineEntry, display_order
from services.desk.api.cursor import sequence_cursor, write_cursor
from services.desk.api.messages import MessageQuery, Place, folded, with_pending
from services.desk.api.route import Call, Reply


class ContactEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry, and where it was said."""

    session: str
    channel: str
    account: str
    entry: TimelineEntry


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of the contact's newest sessions (at most 100) on every channel, in one order.

    A page may hold fewer entries than `limit`: echoes of our own messages are folded away.
    """

    items: tuple[ContactEntry, ...]
    next: str | None


async def contact_messages(call: Call) -> Reply:
    """Show one page of what was said with a contact, on whatever channel.

    Raises:
        NotFoundError: No such contact in this workspace.
    """
    query: MessageQuery = call.query
    contact = await call.desk.store.contact(call.who.workspace, call.params["id"])
    sessions = await call.desk.store.conversation(contact.workspace, contact.id)
    after = sequence_cursor(query.cursor)
    found = await asyncio.gather(
        *(_entries(call, session, after, query.limit + 1, query.order) for session in sessions)
    )
    newest_first = query.order == "desc"
    merged = sorted(
        (message for entries in found for message in entries),
        key=display_order,
        reverse=newest_first,
    )
    page = merged[: query.limit]
    items = await _shown(call, sessions, page)
    return Reply(
        body=Conversation(
            items=tuple(reversed(items) if newest_first else items),
            next=write_cursor(*display_order(page[-1])) if len(merged) > query.limit else None,
        )
    )


async def _entries(
    call: Call, session: Session, after: Place | None, limit: int, order: Literal["desc", "asc"]
) -> list[Message]:
    newest_first = order == "desc"
    stored = await call.desk.store.timeline(
        session.workspace, session.id, after=after, limit=limit, descending=newest_first
    )
    return with_pending(stored, session, after, newest_first=newest_first)


async def _shown(call: Call, sessions: list[Session], page: list[Message]) -> list[ContactEntry]:
    """Fold each session by itself: receipts and quotes stay inside one."""
    spoken = [session for session in sessions if any(m.session == session.id for m in page)]
    groups = await asyncio.gather(
        *(folded(call, s, [m for m in page if m.session == s.id]) for s in spoken)
    )
    places = {message.id: display_order(message) for message in page}
    items = [
        ContactEntry(session=s.id, channel=s.channel, account=s.account, entry=entry)
        for s, entries in zip(spoken, groups, strict=True)
        for entry in entries
    ]
    return sorted(items, key=lambda item: places[item.entry.id])
