"""Notes about contacts in the store, and how a timeline shows them."""

from __future__ import annotations

import asyncio
from datetime import datetime

from libs.common.contact_documents import CONTACT_NOTES, ContactNote
from libs.common.events import TextPart
from libs.common.merged import made_of
from libs.common.store.api import Page, Store
from libs.common.timeline import Sender, TimelineEntry

Place = tuple[datetime, str]
"""Where a note stands: (time, id)."""
BEHIND_ALL = "\U0010ffff"
"""Behind every id."""


async def notes_of(
    store: Store,
    workspace: str,
    contact: str,
    *,
    after: Place | None,
    limit: int,
    newest_first: bool = True,
) -> list[ContactNote]:
    """Return notes of the contact, and of all who were merged into it, behind *after*."""

    async def walk(one: str) -> list[ContactNote]:
        behind = None if after is None else (one, *after)
        page = Page(order="contact", descending=newest_first, after=behind, limit=limit)
        return await store.find(CONTACT_NOTES, workspace, {"contact": one}, page)

    walks = await asyncio.gather(*(walk(one) for one in await made_of(store, workspace, contact)))
    merged = [note for walk in walks for note in walk]
    return sorted(merged, key=place_of, reverse=newest_first)[:limit]


def place_of(note: ContactNote) -> Place:
    """Return where the note stands."""
    return note.at, note.id


def as_entry(note: ContactNote) -> TimelineEntry:
    """Return the note as a line of a conversation."""
    return TimelineEntry(
        id=note.id,
        kind="note",
        direction=None,
        sender=Sender(kind="agent", id=note.author, name=note.author_name),
        text=note.text,
        parts=(TextPart(text=note.text),),
        at=note.at,
        received_at=note.at,
        number=0,
        edited=note.edited_at is not None,
    )
