"""The list of sessions: one page of what a filter means, and how many there are of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import msgspec

from libs.common.channels import CHANNELS
from libs.common.documents import SESSIONS, Session
from libs.common.store.api import Page, Store
from services.desk.filters import LISTS, ME, NEW, OTHERS, PARTIES, Piece, SessionFilter, matches
from services.desk.filters import pieces as pieces_of

COUNT_LIMIT = 1000
"""Counts stop here: a screen shows "999+"."""
SCAN_LIMIT = 2000
"""Rows one request looks at in one list; beyond, it answers a short page with a cursor."""
MINE_LIMIT = 100_000
"""Sessions of one agent that `others` subtracts."""
PAGE = 1000
"""Sessions of one agent that `others` together with agent ids tells apart."""

Position = tuple[datetime, str]
"""Where a row stands: (updated_at, id)."""


class SessionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Rows, newest change first; `next` continues behind them, None at the end."""

    rows: tuple[Session, ...]
    next: Position | None


class Facets(msgspec.Struct, frozen=True, kw_only=True):
    """Counts a value of each filter, under the other filters; each stops at `COUNT_LIMIT`."""

    lists: dict[str, int]
    parties: dict[str, int]
    assignee: dict[str, int]
    channels: dict[str, int]
    accounts: dict[str, int]


class Inbox:
    """Pages and counts over the store port; every method takes the caller's workspace."""

    def __init__(self, store: Store) -> None:
        self._port = store

    async def page(
        self, workspace: str, wanted: SessionFilter, *, after: Position | None, limit: int
    ) -> SessionPage:
        """Return one page of the sessions that *wanted* means, newest change first."""
        walks = await asyncio.gather(
            *(
                self._walk(workspace, piece, wanted, after=after, wanted_rows=limit + 1)
                for piece in pieces_of(wanted)
            )
        )
        rows = sorted(once(row for found, _ in walks for row in found), key=position, reverse=True)
        horizon = max((end for _, end in walks if end is not None), default=None)
        if horizon is not None:  # behind it, a list that was not read to its end may have more
            rows = [row for row in rows if position(row) >= horizon]
        more = len(rows) > limit
        return SessionPage(
            rows=tuple(rows[:limit]), next=position(rows[limit - 1]) if more else horizon
        )

    async def facets(self, workspace: str, wanted: SessionFilter) -> Facets:
        """Count the values of each filter."""
        change = msgspec.structs.replace
        groups = await asyncio.gather(
            self._counts(workspace, {name: change(wanted, lists=(name,)) for name in LISTS}),
            self._counts(workspace, {name: change(wanted, parties=(name,)) for name in PARTIES}),
            self._counts(
                workspace, {name: change(wanted, assignees=(name,)) for name in (ME, NEW, OTHERS)}
            ),
            self._counts(
                workspace, {name: change(wanted, channels=(name,)) for name in sorted(CHANNELS)}
            ),
            self._by_account(workspace, change(wanted, accounts=())),
        )
        lists, parties, assignee, channels, accounts = groups
        return Facets(
            lists=lists,
            parties=parties,
            assignee=assignee,
            channels={name: n for name, n in channels.items() if n},
            accounts=accounts,
        )

    async def _walk(
        self,
        workspace: str,
        piece: Piece,
        wanted: SessionFilter,
        *,
        after: Position | None,
        wanted_rows: int,
    ) -> tuple[list[Session], Position | None]:
        """Return rows of one list, and how far it was read; None: to its end."""
        rows: list[Session] = []
        scanned = 0
        while True:
            page = Page(
                order=piece.order,
                descending=True,
                after=None if after is None else (*piece.lead, *after),
                limit=wanted_rows,
            )
            found = await self._port.find(SESSIONS, workspace, piece.where, page)
            rows += [row for row in found if piece.minus is None or matches(row, wanted)]
            scanned += len(found)
            if len(found) < wanted_rows:
                return rows, None
            after = position(found[-1])
            if len(rows) >= wanted_rows or scanned >= SCAN_LIMIT:
                return rows, after

    async def _counts(self, workspace: str, filters: dict[str, SessionFilter]) -> dict[str, int]:
        counts = await asyncio.gather(*(self._count(workspace, f) for f in filters.values()))
        return dict(zip(filters, counts, strict=True))

    async def _count(self, workspace: str, wanted: SessionFilter) -> int:
        counts = await asyncio.gather(
            *(self._count_piece(workspace, piece, wanted) for piece in pieces_of(wanted))
        )
        return min(sum(counts), COUNT_LIMIT)

    async def _count_piece(self, workspace: str, piece: Piece, wanted: SessionFilter) -> int:
        out = 0
        if piece.spare:
            out = (await self._left_out(workspace, piece, wanted)).total()
        elif piece.minus is not None:
            out = await self._port.count(SESSIONS, workspace, piece.minus, limit=MINE_LIMIT)
        limit = COUNT_LIMIT + out
        return await self._port.count(SESSIONS, workspace, piece.where, limit=limit) - out

    async def _by_account(self, workspace: str, wanted: SessionFilter) -> dict[str, int]:
        total: Counter[str] = Counter()
        for piece in pieces_of(wanted):
            where = piece.where
            total.update(await self._port.group_count(SESSIONS, workspace, where, by="account"))
            total.subtract(await self._left_out(workspace, piece, wanted))
        return {name: min(n, COUNT_LIMIT) for name, n in sorted(total.items()) if n > 0}

    async def _left_out(self, workspace: str, piece: Piece, wanted: SessionFilter) -> Counter[str]:
        """Count, by account, what `piece.minus` takes away."""
        if piece.minus is None:
            return Counter()
        if not piece.spare:
            mine = piece.minus
            return Counter(await self._port.group_count(SESSIONS, workspace, mine, by="account"))
        page = Page(order="updated", descending=True, limit=PAGE)
        rows = await self._port.find(SESSIONS, workspace, piece.minus, page)
        return Counter(row.account for row in rows if not matches(row, wanted))


def once(rows: Iterable[Session]) -> Iterable[Session]:
    """Keep the later of two states: a session may move while one list after the other is read."""
    latest: dict[str, Session] = {}
    for row in rows:
        if row.id not in latest or latest[row.id].rev < row.rev:
            latest[row.id] = row
    return latest.values()


def position(session: Session) -> Position:
    """Return where *session* stands in every list."""
    return session.updated_at, session.id
