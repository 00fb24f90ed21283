"""Entries that are gone from the store though their session has counted them: they alone come back.

The fold would take such an event for a duplicate, or, where the session's ring does not reach back
to it, count it twice. What the entry had become is in the scratch; the session stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from libs.common.documents import MESSAGES, SESSIONS, Message, Session
from libs.common.store.api import Page, Store
from services.router.draft import was_applied
from services.router.entry import mark
from services.router.scratch import Scratch, placed
from services.router.wording import find_by_words

_AT_ONCE = 200
_SESSIONS = 100
"""How many of a visitor's sessions, newest first, are asked whether they remember an entry."""


async def put_back(
    store: Store, scratch: Scratch, workspace: str, ids: Iterable[str], *, dry_run: bool
) -> set[str]:
    """Insert those of the entries *ids* that sessions of *store* have counted; return which.

    Raises:
        StoreUnavailableError: The store is away; a repeat is exact.
    """
    wanted, done = sorted(ids), set[str]()
    for first in range(0, len(wanted), _AT_ONCE):
        some = wanted[first : first + _AT_ONCE]
        built = await scratch.store.get_many(MESSAGES, workspace, some)
        found = [await _as_counted(store, entry) for entry in built.values()]
        fresh = [entry for entry in found if entry is not None]
        done |= {entry.id for entry in fresh}
        if fresh and not dry_run:
            await find_by_words(fresh)
            await store.insert_many(MESSAGES, fresh)
    return done


async def _as_counted(store: Store, entry: Message) -> Message | None:
    """Return *entry* where its session has it, or None if none has counted it."""
    entry = msgspec.structs.replace(entry, rev=max(entry.rev - 1, 0))
    for session in await _sessions(store, entry):
        if mark(entry.id) in session.recent:
            first = session.entries - len(session.recent) + 1
            return placed(entry, session, first + session.recent.index(mark(entry.id)))
        if session.id == entry.session and was_applied(session, entry):
            return entry
    return None


async def _sessions(store: Store, entry: Message) -> list[Session]:
    """Return the session that the streams name, then the visitor's others, newest first.

    Where the streams do not reach back to a session's begin, they name another than the store.
    """
    where = {"account": entry.account, "visitor": entry.visitor}
    page = Page(order="visitor", descending=True, limit=_SESSIONS)
    others = await store.find(SESSIONS, entry.workspace, where, page) if entry.visitor else []
    if not entry.session:
        return others
    named = await store.get(SESSIONS, entry.workspace, entry.session)
    return [named, *others] if named is not None else others
