"""Bring into the store what it lacks of what the streams say; what it has stays as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.settled import is_read
from libs.common.documents import (
    CONTACTS,
    IDENTITIES,
    MESSAGES,
    SESSIONS,
    Message,
    Session,
)
from libs.common.errors import PermanentError, StaleRevisionError
from libs.common.events import Fact
from libs.common.store.api import Collection, Cursor, Document, Page, Store, cursor
from libs.common.subjects import EVENTS, INBOUND
from services.router.draft import was_applied
from services.router.entry import Arrival
from services.router.ledger import SERVICE
from services.router.replay_stale import bring_on, raise_to
from services.router.scratch import Scratch, superseded
from services.router.wording import find_by_words

PAGE = 300
_FACTS = 10_000
D = TypeVar("D", bound=Document)

Repair = Callable[[Sequence[Arrival]], Awaitable[None]]
"""Folds events into the store as they come, saying nothing."""


class Found(msgspec.Struct, kw_only=True):
    """What was found and done; of a dry run, what would be done.

    `stale` sessions stood at an earlier write than HISTORY tells, as after a restored backup;
    `forked` ones of them were written since by somebody, which stands.
    `superseded` ones could only be stored as ended, as their visitor has another open one by now.
    `sends` are marks of the sender, `later` what was to go out later and stood as not sent.
    """

    events: int = 0
    writes: int = 0
    sessions: int = 0
    restored: int = 0
    stale: int = 0
    forked: int = 0
    superseded: int = 0
    entries: int = 0
    repaired: int = 0
    contacts: int = 0
    identities: int = 0
    sends: int = 0
    later: int = 0


class Restorer:
    """Compares the scratch with the store, and inserts what is missing.

    Args:
        bus: Has the facts, which say how far a session's revisions had come.
        store: The store that is served from.
        scratch: What the streams say.
        repair: For events that no session has counted.
        only: Restricts to one session (id); empty: all.
        dry_run: Count only.
    """

    def __init__(
        self,
        bus: Bus,
        store: Store,
        scratch: Scratch,
        repair: Repair,
        *,
        only: str = "",
        dry_run: bool = False,
    ) -> None:
        self._bus = bus
        self._store = store
        self._scratch = scratch
        self._repair = repair
        self._only = only
        self._dry = dry_run
        self._whole: set[str] = set()
        """Sessions that are stored here whole; all others were there, and stay."""
        self._stale: set[str] = set()

    async def run(self, workspace: str, found: Found) -> None:
        """Restore what is of *workspace*, entries first, as the router does; count in *found*.

        Raises:
            PermanentError: The store is an older one, and routers write to it.
        """
        torn: list[Arrival] = []
        missing = await self._missing(workspace, found)
        if self._stale and not self._dry and await is_read(self._bus.asker, INBOUND.name, SERVICE):
            raise PermanentError(
                f"{len(self._stale)} sessions stand at an earlier write, as in a store from a "
                "backup, and routers run: stop router and desk, replay, and start them then"
            )
        async for entries in pages(self._scratch.store, MESSAGES, workspace, "at"):
            torn += await self._entries(workspace, entries, found)
        await self._people(workspace, found)
        for session in missing:
            await self._session(session, found)
        if torn:
            found.repaired += len(torn)
            if not self._dry:
                torn.sort(key=lambda arrival: arrival.sequence)
                await self._repair(torn)

    async def _missing(self, workspace: str, found: Found) -> list[Session]:
        """Return the sessions that the store lacks, or has from before."""
        missing: list[Session] = []
        async for sessions in pages(self._scratch.store, SESSIONS, workspace, "updated"):
            there = await self._store.get_many(SESSIONS, workspace, [one.id for one in sessions])
            for session in sessions:
                wrote = self._scratch.snapped.get(session.id)
                if wrote is None or self._only not in {"", session.id}:
                    continue
                found.sessions += 1
                held = there.get(session.id)
                if held is not None and held.rev < wrote:
                    found.stale += 1
                    if await self._keeps(held, wrote, found):
                        continue
                    self._stale.add(session.id)
                if held is None or held.rev < wrote:
                    missing.append(session)
                    self._whole.add(session.id)
        return missing

    async def _keeps(self, held: Session, wrote: int, found: Found) -> bool:
        """Let a session that somebody has gone on with stand, at a revision that is not told."""
        if not self._scratch.is_forked(held):
            return False
        found.forked += 1
        if not self._dry:
            await raise_to(self._store, held, max(wrote, await self._last_told(held)))
        return True

    async def _entries(
        self, workspace: str, entries: Sequence[Message], found: Found
    ) -> list[Arrival]:
        """Insert the entries that are missing; return the events that are to be folded instead."""
        wanted = {entry.id: entry for entry in entries if self._is_ours(entry)}
        if not wanted:
            return []
        there = await self._store.get_many(MESSAGES, workspace, list(wanted))
        lacking = [entry for entry in wanted.values() if entry.id not in there]
        held = {entry.session for entry in lacking} - {"", *self._whole}
        sessions = await self._store.get_many(SESSIONS, workspace, sorted(held)) if held else {}
        fresh: list[Message] = []
        torn: list[Arrival] = []
        for entry in lacking:
            counted = entry.session in self._whole or entry.id in self._scratch.said
            if counted or _has_counted(sessions.get(entry.session), entry):
                fresh.append(entry)
            else:
                torn.append(self._scratch.events[entry.id])
        await self._renew([e for e in wanted.values() if e.session in self._stale], there)
        await self._insert_entries(fresh, found)
        return torn

    def _is_ours(self, entry: Message) -> bool:
        known = entry.id in self._scratch.events or entry.id in self._scratch.said
        return known and self._only in {"", entry.session}

    async def _insert_entries(self, fresh: Sequence[Message], found: Found) -> None:
        found.entries += len(fresh)
        if fresh and not self._dry:
            kept = [msgspec.structs.replace(one, rev=max(one.rev - 1, 0)) for one in fresh]
            await find_by_words(kept)
            await self._store.insert_many(MESSAGES, kept)

    async def _renew(self, entries: Sequence[Message], there: Mapping[str, Message]) -> None:
        """Bring the entries of sessions that were from before to what became of them since."""
        changed = []
        for entry in entries:
            held = there.get(entry.id)
            if held is not None:
                now = msgspec.structs.replace(entry, rev=held.rev, words=held.words)
                changed += [now] if now != held else []
        if changed and not self._dry:
            await self._store.replace_many(MESSAGES, changed)

    async def _people(self, workspace: str, found: Found) -> None:
        """Insert who is missing of those whom the events tell of; nobody else's facts change."""
        if self._only:
            return
        found.contacts += await self._those(CONTACTS, workspace, "seen")
        found.identities += await self._those(IDENTITIES, workspace, "contact")

    async def _those(self, collection: Collection[D], workspace: str, order: str) -> int:
        count = 0
        async for docs in pages(self._scratch.store, collection, workspace, order):
            there = await self._store.get_many(collection, workspace, [doc.id for doc in docs])
            fresh = [doc for doc in docs if doc.id not in there]
            count += len(fresh)
            if fresh and not self._dry:
                kept = [msgspec.structs.replace(doc, rev=max(doc.rev - 1, 0)) for doc in fresh]
                await self._store.insert_many(collection, kept)
        return count

    async def _session(self, session: Session, found: Found) -> None:
        """Store a session whose entries are stored, at a revision that it had not reached."""
        found.restored += 1
        found.superseded += session.id in self._scratch.closed
        if self._dry:
            return
        held = await self._store.get(SESSIONS, session.workspace, session.id)
        wrote = self._scratch.snapped[session.id]
        if held is not None and held.rev >= wrote:
            return  # somebody has written it meanwhile
        rev = max(wrote, await self._last_told(session), session.rev)
        if held is not None:
            with suppress(StaleRevisionError):  # or meanwhile now: what is read next time
                found.superseded += await bring_on(self._store, held, session, rev)
            return
        kept = msgspec.structs.replace(session, rev=rev)
        refused = await self._store.insert_many(SESSIONS, [kept])
        if refused.get(session.id, "") == "open":
            found.superseded += 1
            await self._store.insert_many(SESSIONS, [superseded(kept)])

    async def _last_told(self, session: Session) -> int:
        """Return the highest revision that facts tell of: ids made of it are taken."""
        subject = f"ev.{session.workspace}.*.*.{session.id}"
        facts = await self._bus.read(EVENTS, subject, limit=_FACTS)
        return max((_rev(message.data) for message in facts), default=0)


def _has_counted(session: Session | None, entry: Message) -> bool:
    return session is not None and was_applied(session, entry)


def _rev(data: bytes) -> int:
    try:
        return msgspec.json.decode(data, type=Fact).rev
    except (ValueError, RecursionError):
        return 0


async def pages(
    store: Store, collection: Collection[D], workspace: str, order: str
) -> AsyncIterator[list[D]]:
    """Yield all documents of a workspace, some at a time, in an order."""
    after: Cursor | None = None
    while True:
        page = Page(order=order, after=after, limit=PAGE)
        rows = await store.find(collection, workspace, {}, page)
        if rows:
            yield rows
        if len(rows) < PAGE:
            return
        after = cursor(collection, order, rows[-1])
