"""Give documents that were stored before search what search finds them by.

It goes through each workspace in batches, in the order of time, beside live traffic: a document is
written only as it was read, and whoever changes it meanwhile writes it with its words anyway. What
an older version changes at the same time keeps what it was found by before, so contacts and
standard messages are all looked at in every run. Messages are many, and older versions only add
some: how far it came is kept, so that a run that was ended goes on, and a later one begins a day
before the end of the last.

It also marks contacts that an older version's router found to be one person: of such a one it moved
the identities to the other, and left it behind.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from libs.common import standard
from libs.common.contact_keys import keyed
from libs.common.documents import (
    CONTACTS,
    DIRECTORY,
    IDENTITIES,
    MESSAGES,
    SYSTEM,
    DirectoryEntry,
    Identity,
    Message,
)
from libs.common.errors import StaleRevisionError
from libs.common.ids import derive_id
from libs.common.later import STANDARD_MESSAGES
from libs.common.said import words_said
from libs.common.store.api import Collection, Document, In, Page, Range, Store, Where, cursor
from libs.common.words import FOLDING
from libs.common.workspace import workspaces

BATCH = 500
_WHOLE = "filled:"
AGAIN = timedelta(days=1)
_TRIES = 5


class Filled(NamedTuple):
    """How many documents were looked at, and how many of them written."""

    collection: str
    seen: int
    written: int


class _Kind(NamedTuple):
    """A collection, the index that goes by time, that time, and how a document is to be."""

    collection: Collection[Any]
    order: str
    time: str
    made: Callable[[Any], Any]
    whole: bool = True


def _worded(entry: Message) -> Message:
    words = words_said(entry)
    return entry if words == entry.words else msgspec.structs.replace(entry, words=words)


KINDS = (
    _Kind(CONTACTS, "seen", "first_seen_at", keyed),
    _Kind(MESSAGES, "at", "occurred_at", _worded, whole=False),
    _Kind(STANDARD_MESSAGES, "created", "created_at", standard.keyed),
)


async def fill(store: Store) -> AsyncIterator[Filled]:
    """Fill what lacks, and tell after each collection of a workspace.

    Raises:
        StoreUnavailableError: The store is away; what was done stays, the next run goes on.
    """
    for workspace in await workspaces(store):
        for kind in KINDS:
            yield await _fill(store, workspace, kind)
        yield await _unite(store, workspace)


async def is_filled(store: Store) -> bool:
    """Tell whether a run of this version came to its end: what was written since has its words.

    That holds where no older version ever runs beside or after it, as in one process group.
    """
    found = await store.get(DIRECTORY, SYSTEM, _WHOLE)
    return found is not None and found.targets == (str(FOLDING),)


async def note_filled(store: Store) -> None:
    """Keep that a run came to its end."""
    entry = DirectoryEntry(id=_WHOLE, workspace=SYSTEM, kind="filled", targets=(str(FOLDING),))
    found = await store.get(DIRECTORY, SYSTEM, _WHOLE)
    if found is None:
        await store.insert(DIRECTORY, entry)
    elif found.targets != entry.targets:
        await store.replace(DIRECTORY, msgspec.structs.replace(entry, rev=found.rev))


async def _fill(store: Store, workspace: str, kind: _Kind) -> Filled:
    mark = await _mark(store, workspace, kind.collection.name)
    where: Where = (
        {} if kind.whole or mark.since is None else {kind.time: Range(ge=mark.since - AGAIN)}
    )
    seen = written = 0
    page = Page(order=kind.order, limit=BATCH)
    while True:
        rows = await store.find(kind.collection, workspace, where, page)
        seen += len(rows)
        written += await _write(store, workspace, kind, rows)
        if rows:
            await _keep(store, mark, getattr(rows[-1], kind.time))
        if len(rows) < BATCH:
            return Filled(kind.collection.name, seen, written)
        after = tuple(getattr(rows[-1], name) for name in kind.collection.index(kind.order).fields)
        page = msgspec.structs.replace(page, after=after)


async def _unite(store: Store, workspace: str) -> Filled:
    """Mark contacts whose identities are another's: the id of a visitor's contact names them."""
    seen = written = 0
    page = Page(order="contact", limit=BATCH)
    while True:
        rows = await store.find(IDENTITIES, workspace, {}, page)
        seen += len(rows)
        written += await _mark_parts(store, workspace, rows)
        if len(rows) < BATCH:
            return Filled("united contacts", seen, written)
        page = msgspec.structs.replace(page, after=cursor(IDENTITIES, "contact", rows[-1]))


async def _mark_parts(store: Store, workspace: str, rows: list[Identity]) -> int:
    """Mark whom the visitors of *rows* were before; who has an identity stands for themselves."""
    own = {derive_id("con", workspace, one.account, one.visitor): one.contact for one in rows}
    moved = {former: now for former, now in own.items() if former != now}
    if not moved:
        return 0
    found = await store.get_many(CONTACTS, workspace, sorted(moved))
    holders = await store.find(
        IDENTITIES, workspace, {"contact": In(tuple(found))}, Page(order="contact", limit=2 * BATCH)
    )
    known = {one.contact for one in holders}
    left = [
        keyed(msgspec.structs.replace(one, merged_into=moved[id_], tags=()))
        for id_, one in found.items()
        if id_ not in known and one.merged_into is None and not one.merging
    ]
    refused = await store.replace_many(CONTACTS, left) if left else {}
    return len(left) - len(refused)


async def _write(store: Store, workspace: str, kind: _Kind, rows: list[Any]) -> int:
    """Write the rows that are to change; those that somebody changes are read again."""
    written = 0
    for _ in range(_TRIES):
        changes: list[Document] = [made for row in rows if (made := kind.made(row)) is not row]
        if not changes:
            break
        refused = await store.replace_many(kind.collection, changes)
        written += len(changes) - len(refused)
        rows = list((await store.get_many(kind.collection, workspace, list(refused))).values())
    return written


class _Mark(msgspec.Struct):
    entry: DirectoryEntry
    since: datetime | None


async def _mark(store: Store, workspace: str, collection: str) -> _Mark:
    """Return how far an earlier run came; one of another folding counts for nothing."""
    id_ = f"filled:{workspace}:{collection}"
    found = await store.get(DIRECTORY, SYSTEM, id_)
    if found is None:
        entry = DirectoryEntry(id=id_, workspace=SYSTEM, kind="filled")
        return _Mark(await store.insert(DIRECTORY, entry), None)
    folding, *since = found.targets or ("",)
    known = folding == str(FOLDING) and bool(since)
    return _Mark(found, datetime.fromisoformat(since[0]) if known else None)


async def _keep(store: Store, mark: _Mark, at: datetime) -> None:
    """Keep how far it came; where two runs are at it, the faster one's word holds."""
    mark.entry.targets = (str(FOLDING), at.isoformat())
    try:
        mark.entry = await store.replace(DIRECTORY, mark.entry)
    except StaleRevisionError:
        found = await store.get(DIRECTORY, SYSTEM, mark.entry.id)
        mark.entry = found or mark.entry
