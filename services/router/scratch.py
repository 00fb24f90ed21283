"""What the streams say of sessions, built up beside the store: events folded, writes laid over.

Events and what is on HISTORY come in the order in which they were stored. An event is folded as
the live router does. A write lays itself over what was folded so far, and tells by its ring which
events it had counted and in which order; what it had not counted is folded again on top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from libs.common.channel import Account
from libs.common.documents import MESSAGES, SESSIONS, Message, Session
from libs.common.errors import UniqueConflictError
from libs.common.events import Inbound
from libs.common.policy import Policy
from libs.common.store.api import Document, Page, Store
from services.router.entry import Arrival, is_shown, mark, message_id
from services.router.history import Was
from services.router.quiet import quiet_batch

D = TypeVar("D", bound=Document)


class Scratch:
    """A store of what is replayed, on an engine that is empty at first.

    Attributes:
        snapped: By session, the highest revision that HISTORY told of it.
        events: By entry, the event that it keeps, as it lies on INBOUND.
        said: Ids of the entries that came with writes.
        closed: Sessions that were lost while they were open, and whose visitor has another since.
    """

    def __init__(
        self,
        store: Store,
        policy: Callable[[str], Policy],
        account: Callable[[str], Account | None],
        sibling: Callable[[str], str] = str,
    ) -> None:
        self.store = store
        self.snapped: dict[str, int] = {}
        self.events: dict[str, Arrival] = {}
        self.said: set[str] = set()
        self.closed: set[str] = set()
        self._ids: dict[str, str] = {}
        self._rings: dict[str, set[str]] = {}
        self._since: dict[str, datetime] = {}
        self._numbered: dict[str, int] = {}
        self._open: dict[str, Session] = {}
        self._at: datetime | None = None
        self._batch = quiet_batch(store, policy, account, self._now, sibling)

    def _now(self) -> datetime:
        assert self._at is not None, "set before anything is folded"  # noqa: S101
        return self._at

    async def fold(self, arrivals: Sequence[Arrival], at: datetime) -> None:
        """Apply events in stream order, by the clock *at*."""
        self._at = at
        by: dict[str, list[Arrival]] = {}
        for place, arrival in enumerate(arrivals):
            id_ = entry_id(arrival.inbound)
            if id_ not in self.events:
                self.events[id_] = arrival
                self._ids[mark(id_)] = id_
            placed = msgspec.structs.replace(arrival, place=place)
            by.setdefault(arrival.inbound.workspace, []).append(placed)
        for workspace, some in by.items():
            await self._batch.apply(workspace, some)

    async def lay_over(self, was: Was, at: datetime) -> None:
        """Let the session be as *was* says it was written."""
        session = was.session
        self._since.setdefault(session.id, session.updated_at)
        if self.snapped.get(session.id, 0) >= session.rev:
            return  # an older write that was published once more
        self.snapped[session.id] = session.rev
        self._rings.setdefault(session.id, set()).update(session.recent)
        self._at = at
        await self._keep(was.entries)
        before = await self.store.get(SESSIONS, session.workspace, session.id)
        again = self._uncounted(before, session)
        if before is None:
            again += await self._insert(session)
        else:
            await self._replace(before, session)
        self.closed.discard(session.id)
        if session.open_key is None:
            self._open.pop(session.id, None)
        else:
            self._open[session.id] = session
        await self._number(session)
        if again:
            await self.fold(again, at)

    def is_forked(self, held: Session) -> bool:
        """Tell whether somebody went on from *held*'s old write: it is no earlier state of ours.

        That is so where it has counted an entry that no write and no event tells of. What was
        written before the streams' first write of it is merely not told.
        """
        since = self._since.get(held.id)
        if since is None or held.updated_at < since:
            return False
        known = self._rings.get(held.id, set())
        return any(one not in known and one not in self._ids for one in held.recent)

    async def _keep(self, entries: Iterable[Message]) -> None:
        """Store the entries of a write, as they are then."""
        for entry in entries:
            self.said.add(entry.id)
            self._ids[mark(entry.id)] = entry.id
        fresh = [msgspec.structs.replace(entry, rev=0) for entry in entries]
        if fresh:
            await self.store.insert_many(MESSAGES, fresh)

    def _uncounted(self, before: Session | None, session: Session) -> list[Arrival]:
        """Return the events that are folded already and were counted only after this write."""
        if before is None:
            return []
        common = [n for n, one in enumerate(before.recent) if one in session.recent]
        late = before.recent[common[-1] + 1 :] if common else ()
        if not common and before.entries > session.entries:
            late = before.recent[session.entries - before.entries :]
        found = (self.events.get(self._ids.get(one, "")) for one in late)
        return [arrival for arrival in found if arrival is not None]

    async def _insert(self, session: Session) -> list[Arrival]:
        """Store a session that no event of ours has opened; return what is to be folded again.

        Where its visitor's later events seemed to open one, that was for want of this one.
        """
        fresh = msgspec.structs.replace(session, rev=0)
        try:
            await self.store.insert(SESSIONS, fresh)
        except UniqueConflictError:
            again = await self._dismiss(session)
            await self.store.insert(SESSIONS, fresh)
            return again
        return []

    async def _replace(self, before: Session, session: Session) -> None:
        try:
            await self.store.replace(SESSIONS, msgspec.structs.replace(session, rev=before.rev))
        except UniqueConflictError:  # it was opened again, by its restoring
            await self._dismiss(session)
            await self.store.replace(SESSIONS, msgspec.structs.replace(session, rev=before.rev))

    async def _dismiss(self, session: Session) -> list[Arrival]:
        """Take away the session that stands in the place of *session*; return its events.

        Those that *session* has counted stay, and are given their place in it.
        """
        page = Page(order="open", limit=1)
        where = {"open_key": session.open_key or ""}
        [guess] = await self.store.find(SESSIONS, session.workspace, where, page)
        await self.store.delete(SESSIONS, session.workspace, guess.id)
        if guess.id in self._open:
            await self._close(guess, session)
            return []
        found = [self.events.get(self._ids.get(one, "")) for one in guess.recent]
        again = [a for a in found if a is not None and _mark(a) not in session.recent]
        for arrival in again:
            inbound = arrival.inbound
            await self.store.delete(MESSAGES, inbound.workspace, entry_id(inbound))
        return again

    async def _close(self, former: Session, session: Session) -> None:
        """End *former*, which the visitor had when a write was lost and *session* was opened.

        It keeps what it had counted, without what *session* has.
        """
        last = self._open.pop(former.id)
        counted = {*last.recent, *session.recent}
        kept = [self.events.get(self._ids.get(one, "")) for one in former.recent]
        again = [arrival for arrival in kept if arrival and _mark(arrival) not in counted]
        await self.store.delete(SESSIONS, session.workspace, former.id)
        await self.store.insert(SESSIONS, msgspec.structs.replace(last, rev=0))
        if again:
            await self.fold(again, self._now())
        found = await self.store.get(SESSIONS, session.workspace, former.id)
        if found is not None:
            await self.store.replace(SESSIONS, superseded(found))
        self.closed.add(former.id)

    async def _number(self, session: Session) -> None:
        """Place the entries that this write had counted where it counted them."""
        first = session.entries - len(session.recent) + 1
        done = self._numbered.get(session.id, 0)
        wanted = {
            self._ids[one]: number
            for number, one in enumerate(session.recent, first)
            if number > done and one in self._ids
        }
        self._numbered[session.id] = session.entries
        found = await self._entries(session.workspace, wanted)
        moved = [
            placed(entry, session, wanted[entry.id])
            for entry in found.values()
            if (entry.number, entry.session) != (wanted[entry.id], session.id)
        ]
        if moved:
            await self.store.replace_many(MESSAGES, moved)

    async def _entries(self, workspace: str, wanted: Mapping[str, int]) -> dict[str, Message]:
        return await self.store.get_many(MESSAGES, workspace, list(wanted)) if wanted else {}


def entry_id(inbound: Inbound) -> str:
    """Return the id of the entry that keeps an event."""
    return message_id(inbound.workspace, inbound.account, inbound.event.event_id)


def superseded(session: Session) -> Session:
    """Return *session* as ended: its visitor has another open one by now."""
    return msgspec.structs.replace(
        session,
        open_key=None,
        list="ended",
        queue_key=None,
        queue_need=None,
        waiting_since=None,
        ended_at=session.ended_at or session.updated_at,
        end_reason=session.end_reason or "superseded",
    )


def _mark(arrival: Arrival) -> str:
    return mark(entry_id(arrival.inbound))


def placed(entry: Message, session: Session, number: int) -> Message:
    """Return *entry* as the one of *session* that counted as *number*."""
    timeline = session.id if is_shown(entry) else None
    return msgspec.structs.replace(entry, session=session.id, number=number, timeline=timeline)
