"""What a workspace's consoles are told is read here, once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

import msgspec

from libs.common.documents import MESSAGES, SESSIONS, Message, Session
from libs.common.store.api import Cursor, Page, cursor
from libs.common.timeline import TimelineEntry
from libs.common.windows import Capabilities
from services.desk.api.able import able_in
from services.desk.api.messages import folded
from services.desk.api.problem import unavailable
from services.desk.api.route import Call, Desk
from services.desk.api.sessions import row
from services.desk.filters import OPEN
from services.desk.inbox_room import Room
from services.desk.inbox_told import Change, Rows, Shown
from services.desk.named import named

CHUNK = 500
MOST_ENTRIES = 200
"""Entries that are shown at once; of more, only that they have changed is told."""
MOST_TARGETS = 50
"""Messages that one change may be about; of more, only that it came is told."""
MOST_LINES = 50
"""Newest entries of a timeline that are looked through for what happened to the session."""
_BEGUN_S = 3.0


class EntryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a session's timeline, new or changed, as it is now.

    `entry` null: too much happened at once, or it is not shown by itself; read the timeline.
    """

    session: str
    message: str
    entry: TimelineEntry | None


class Reading:
    """Reads the sessions and entries of one workspace; `inbox_room.Sources`."""

    def __init__(self, desk: Desk, workspace: str) -> None:
        self._desk = desk
        self._workspace = workspace

    async def shown(self, changes: Mapping[str, Change]) -> dict[str, Shown]:
        """Return each of the sessions as it is now, with the entries that have changed.

        Raises:
            StoreUnavailableError: The store is away.
        """
        stored = await self._desk.store.sessions(self._workspace, changes)
        names = await named(self._desk.store.port, self._workspace, [*stored.values()])
        found = {session.id: session for session in names}
        can = await able_in(self._desk, self._workspace, found.values())
        entries = await self._entries(found, changes)
        return {
            id_: Shown(
                session=found.get(id_),
                rows=_rows(found[id_], can.get(id_)) if id_ in found else None,
                entries=entries.get(id_, {}),
            )
            for id_ in changes
        }

    async def open_sessions(self) -> AsyncIterator[list[Session]]:
        """Iterate over the pages of all open sessions.

        Raises:
            StoreUnavailableError: The store is away.
        """
        for name in OPEN:
            after: Cursor | None = None
            while True:
                page = Page(order="list", after=after, limit=CHUNK)
                port = self._desk.store.port
                found = await port.find(SESSIONS, self._workspace, {"list": name}, page)
                yield found
                if len(found) < CHUNK:
                    break
                after = cursor(SESSIONS, "list", found[-1])

    async def _entries(
        self, sessions: Mapping[str, Session], changes: Mapping[str, Change]
    ) -> dict[str, dict[str, bytes]]:
        """Return the changed entries of each session, as JSON, by id."""
        asked = [id_ for change in changes.values() for id_ in change.messages]
        if len(asked) > MOST_ENTRIES:
            return {s: {m: _entry(s, m, None) for m in changes[s].messages} for s in sessions}
        port = self._desk.store.port
        stored = await port.get_many(MESSAGES, self._workspace, sorted(set(asked)))
        groups = await asyncio.gather(
            *(self._of(session, changes[id_], stored) for id_, session in sessions.items())
        )
        return dict(zip(sessions, groups, strict=True))

    async def _of(
        self, session: Session, change: Change, stored: Mapping[str, Message]
    ) -> dict[str, bytes]:
        named = [stored[id_] for id_ in change.messages if id_ in stored]
        named += await self._lines(session, change)
        if not named:
            return {}
        meant = await self._meant(session, named)
        call = Call(desk=self._desk, principal=None, params={}, headers={}, remote="")
        entries = await folded(call, session, [m for m in meant if m.timeline == session.id])
        return {one.id: _entry(session.id, one.id, one) for one in entries}

    async def _lines(self, session: Session, change: Change) -> list[Message]:
        """Return what the timeline says of what happened to the session, the newest of it."""
        if change.since is None:
            return []
        page = Page(order="timeline", descending=True, limit=MOST_LINES)
        port = self._desk.store.port
        found = await port.find(MESSAGES, session.workspace, {"timeline": session.id}, page)
        return [one for one in found if one.kind == "system" and one.occurred_at >= change.since]

    async def _meant(self, session: Session, named: Sequence[Message]) -> list[Message]:
        """Return the entries that are shown, and those that what is not shown itself changes."""
        found = {message.id: message for message in named if message.kind != "event"}
        targets = {t: None for m in named if m.kind == "event" for t in m.target}
        for target in list(targets)[:MOST_TARGETS]:
            page = Page(order="provider", limit=1)
            where = {"account": session.account, "provider_ids": target}
            port = self._desk.store.port
            changed = await port.find(MESSAGES, session.workspace, where, page)
            by_id = None if changed else await port.get(MESSAGES, session.workspace, target)
            found |= {one.id: one for one in (*changed, *([by_id] if by_id else []))}
        return list(found.values())


async def room_of(call: Call) -> Room:
    """Return the room of the caller's workspace.

    Raises:
        RefusalError: 503, changes cannot be read now.
    """
    feed = call.desk.live.inbox
    try:
        async with asyncio.timeout(_BEGUN_S):
            await feed.begun.wait()
    except TimeoutError:
        raise unavailable("Changes cannot be read right now.", retry_after_s=5) from None
    return feed.room(call.who.workspace, Reading(call.desk, call.who.workspace))


async def counted(call: Call) -> dict[str, int]:
    """Return what the caller has not read, by account.

    Raises:
        RefusalError: 503, the sessions are still being counted.
    """
    room = await room_of(call)
    try:
        return await call.desk.live.inbox.unread(room, call.who.agent, call.who.scope)
    except TimeoutError:
        raise unavailable("What is unread is being counted.", retry_after_s=2) from None


def _rows(session: Session, can: Capabilities | None) -> Rows:
    return Rows(session, partial(_row, can=can))


def _row(session: Session, agent: str, can: Capabilities | None) -> bytes:
    return msgspec.json.encode(row(session, agent, can))


def _entry(session: str, message: str, entry: TimelineEntry | None) -> bytes:
    return msgspec.json.encode(EntryEvent(session=session, message=message, entry=entry))
