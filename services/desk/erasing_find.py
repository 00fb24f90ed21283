"""What leads to a person: found before anything is deleted, and written down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from libs.common.documents import (
    CONTACTS,
    IDENTITIES,
    MESSAGES,
    SESSIONS,
    Identity,
    Message,
    Session,
)
from libs.common.erasures import ERASED_IDS, ERASURES, Erasure, Found, chunk_of, erasure_id
from libs.common.errors import StaleRevisionError, UniqueConflictError
from libs.common.ids import derive_id
from libs.common.merged import made_of
from libs.common.store.api import Collection, Cursor, Document, Page, Store, Where, cursor
from libs.common.strays import waiting_key

D = TypeVar("D", bound=Document)

PAGE = 200
RECENT = timedelta(minutes=6)
"""Of so long before the erasure the events are named in tombstones; longer than `erased.SKEW`."""


async def pages(
    store: Store, collection: Collection[D], workspace: str, where: Where, order: str
) -> AsyncIterator[list[D]]:
    """Yield all that matches, a page at a time; what was read may be deleted meanwhile."""
    after: Cursor | None = None
    while True:
        page = Page(order=order, after=after, limit=PAGE)
        rows = await store.find(collection, workspace, where, page)
        if rows:
            yield rows
        if len(rows) < PAGE:
            return
        after = cursor(collection, order, rows[-1])


async def known(store: Store, workspace: str, contact: str) -> Found | None:
    """Return what was written down of a contact's erasure; None: it was never begun, or is over."""
    erasure = await store.get(ERASURES, workspace, erasure_id(workspace, contact))
    if erasure is None:
        return None
    found = Found(erasure=erasure)
    where = {"erasure": erasure.id}
    async for rows in pages(store, ERASED_IDS, workspace, where, "erasure"):
        for chunk in rows:
            found.add(chunk)
    return found


async def begun(
    store: Store, workspace: str, contact: str, *, asked: datetime, now: datetime
) -> Found | None:
    """Return what leads to *contact*, written down; None: there is nobody (any more).

    Who has the id and came after it was *asked* for is somebody new.
    """
    before = await known(store, workspace, contact)
    if before is not None:
        return before
    person = await store.get(CONTACTS, workspace, contact)
    if person is None or person.first_seen_at >= asked:
        return None
    contacts = await made_of(store, workspace, contact, most=None)
    people = await store.get_many(CONTACTS, workspace, contacts)
    identities = await _identities(store, workspace, contacts)
    sessions = [
        one
        for whose in contacts
        async for rows in pages(store, SESSIONS, workspace, {"contact": whose}, "contact")
        for one in rows
    ]
    erasure = Erasure(
        id=erasure_id(workspace, contact),
        workspace=workspace,
        contact=contact,
        before=now,
        contacts=tuple(contacts),
        places=tuple(sorted(_places(identities, sessions))),
        emails=_emails(
            [one.email for one in people.values()]
            + [one.contact_email for one in sessions]
            + [one.profile.email for one in identities]
        ),
    )
    try:
        erasure = await store.insert(ERASURES, erasure)
    except UniqueConflictError:  # it was begun meanwhile
        return await known(store, workspace, contact)
    return Found(erasure=erasure)


async def sessions_of(store: Store, found: Found) -> list[Session]:
    """Return the sessions there are: of the contacts, and of their visitors from before."""
    erasure = found.erasure
    there: dict[str, Session] = {}
    for whose in erasure.contacts:
        person = await store.get(CONTACTS, erasure.workspace, whose)
        new = person is not None and person.first_seen_at >= erasure.before
        where: Where = {"contact": whose}
        async for rows in pages(store, SESSIONS, erasure.workspace, where, "contact"):
            there |= {s.id: s for s in rows if not new or s.created_at < erasure.before}
    for account, visitor in erasure.places:
        where = {"account": account, "visitor": visitor}
        async for rows in pages(store, SESSIONS, erasure.workspace, where, "visitor"):
            there |= {s.id: s for s in rows if s.created_at < erasure.before}
    return list(there.values())


async def messages_of(store: Store, found: Found) -> AsyncIterator[list[Message]]:
    """Yield what was said: in their sessions, and before they had one."""
    erasure = found.erasure
    for session in sorted(found.sessions):
        where: Where = {"session": session}
        async for rows in pages(store, MESSAGES, erasure.workspace, where, "session"):
            yield rows
    for place in erasure.places:
        where = {"timeline": waiting_key(*place)}
        async for rows in pages(store, MESSAGES, erasure.workspace, where, "timeline"):
            if old := [one for one in rows if one.received_at < erasure.before]:
                yield old


async def note_sessions(store: Store, found: Found, sessions: Iterable[Session]) -> None:
    """Write down the ids of *sessions*, and of what waits in their outboxes."""
    for session in sessions:
        ids = {fact.fact_id for fact in session.facts} | set(session.held)
        await _note(store, found, ids=ids, sessions=[session.id])


async def note_messages(store: Store, found: Found, messages: Iterable[Message]) -> None:
    """Write down the ids by which *messages* are named elsewhere."""
    ids: set[str] = set()
    recent: set[tuple[str, str, str]] = set()
    since = found.erasure.before - RECENT
    for one in messages:
        ids |= {one.id, *_files(one)}
        if one.ingest_id:
            ids.add(one.ingest_id)
        if one.origin:
            ids.add(one.origin.partition(":")[2])
        if one.visitor and max(one.occurred_at, one.received_at) >= since:
            recent.add((one.account, one.visitor, one.key))
    await _note(store, found, ids=ids, recent=recent)


async def note_ids(store: Store, found: Found, ids: Iterable[str]) -> None:
    """Write down ids of anything else."""
    await _note(store, found, ids=set(ids))


def _files(message: Message) -> set[str]:
    """Return the ids of a visitor's files; ours may be of a standard message."""
    named = (getattr(part, "attachment", "") for part in message.parts)
    return {one for one in named if one} if message.direction == "in" else set()


async def _note(
    store: Store,
    found: Found,
    *,
    ids: Iterable[str] = (),
    sessions: Iterable[str] = (),
    recent: Iterable[tuple[str, str, str]] = (),
) -> None:
    chunk = chunk_of(
        found.erasure,
        set(ids) - found.ids,
        set(sessions) - found.sessions,
        set(recent) - found.recent,
    )
    if chunk.ids or chunk.sessions or chunk.recent:
        await store.insert_many(ERASED_IDS, [chunk])
        found.add(chunk)


async def _identities(store: Store, workspace: str, contacts: Iterable[str]) -> list[Identity]:
    """Return the identities of *contacts*, and those under former and present other ids."""
    there: dict[str, Identity] = {}
    for whose in contacts:
        where: Where = {"contact": whose}
        async for rows in pages(store, IDENTITIES, workspace, where, "contact"):
            there |= {one.id: one for one in rows}
    return list(there.values())


def _places(identities: Iterable[Identity], sessions: Iterable[Session]) -> set[tuple[str, str]]:
    found = {(one.account, one.visitor) for one in sessions}
    found |= {(one.account, one.alias) for one in sessions if getattr(one, "alias", "")}
    for one in identities:
        found |= {(one.account, visitor) for visitor in (one.visitor, one.became, *one.was)}
    return {place for place in found if place[1]}


def _emails(known: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({one for one in known if one}))


async def blanked(store: Store, session: Session) -> bool:
    """Leave nothing in *session*, under the guard of its revision, so that nobody goes on with it.

    Returns:
        Whether that was possible: False, somebody was faster.
    """
    empty = Session(
        id=session.id,
        workspace=session.workspace,
        rev=session.rev,
        account=session.account,
        channel=session.channel,
        visitor="",
        contact="",
        list="ended",
        open_key=None,
        created_at=session.created_at,
        updated_at=session.updated_at,
    )
    try:
        await store.replace(SESSIONS, empty)
    except StaleRevisionError:
        return False
    return True


def anonymous_id(erasure: Erasure, session: str) -> str:
    """Return under which id the figures of a session stay; nobody knows whose they were."""
    return derive_id("ses", "erased", erasure.id, session)


def encoded(doc: Document) -> bytes:
    """Return *doc* as JSON, to look for ids in it."""
    return msgspec.json.encode(doc)
