"""The list of sessions: one page of what a filter means, and how many there are of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.channels import CHANNELS
from libs.common.documents import SESSIONS, Session
from libs.common.store.api import Page, Range, Store, Where
from services.desk.filters import (
    LISTS,
    ME,
    NEW,
    OTHERS,
    PARTIES,
    Piece,
    SessionFilter,
    Snoozed,
    matches,
)
from services.desk.filters import pieces as pieces_of
from services.desk.filters import walks as walks_of

COUNT_LIMIT = 1000
"""Counts stop here: a screen shows "999+"."""
SCAN_LIMIT = 2000
"""Rows one request looks at in one list; beyond, it answers a short page with a cursor."""
MINE_LIMIT = 100_000
"""Sessions of one agent that `others` subtracts."""
PAGE = 1000
"""Sessions of one agent that are told apart by looking at each, where no count can."""
MOST_TAGS = 100
"""Tags that are counted, the most frequent."""

Grouping = Literal["account", "tags"]
Position = tuple[datetime, str]
"""Where a row stands: (updated_at, id); of snoozed ones (snoozed_until, id)."""


class SessionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Rows, newest change first, snoozed ones by when they wake; `next` continues behind them.

    `next` is None at the end.
    """

    rows: tuple[Session, ...]
    next: Position | None


class Facets(msgspec.Struct, frozen=True, kw_only=True):
    """Counts a value of each filter, under the other filters; each stops at `COUNT_LIMIT`."""

    lists: dict[str, int]
    parties: dict[str, int]
    assignee: dict[str, int]
    channels: dict[str, int]
    accounts: dict[str, int]
    tags: dict[str, int]


class Inbox:
    """Pages and counts over the store port; every method takes the caller's workspace."""

    def __init__(self, store: Store) -> None:
        self._port = store

    async def page(
        self, workspace: str, wanted: SessionFilter, *, after: Position | None, limit: int
    ) -> SessionPage:
        """Return one page of the sessions that *wanted* means."""
        position, descending = order_of(wanted)
        walks = await asyncio.gather(
            *(
                self._walk(workspace, walk, wanted, after=after, wanted_rows=limit + 1)
                for piece in pieces_of(wanted)
                for walk in walks_of(piece)
            )
        )
        found = once(row for walked, _ in walks for row in walked)
        rows = sorted(found, key=position, reverse=descending)
        first = max if descending else min
        horizon = first((end for _, end in walks if end is not None), default=None)
        if horizon is not None:  # behind it, a list that was not read to its end may have more
            rows = [row for row in rows if first(position(row), horizon) == position(row)]
        more = len(rows) > limit
        return SessionPage(
            rows=tuple(rows[:limit]), next=position(rows[limit - 1]) if more else horizon
        )

    async def facets(self, workspace: str, wanted: SessionFilter) -> Facets:
        """Count the values of each filter."""
        change = msgspec.structs.replace
        if wanted.snoozed == "false" and not await self._are_snoozed(workspace):
            wanted = change(wanted, snoozed="all")
        groups = await asyncio.gather(
            self._counts(workspace, {name: change(wanted, lists=(name,)) for name in LISTS}),
            self._counts(workspace, {name: change(wanted, parties=(name,)) for name in PARTIES}),
            self._counts(
                workspace, {name: change(wanted, assignees=(name,)) for name in (ME, NEW, OTHERS)}
            ),
            self._counts(
                workspace, {name: change(wanted, channels=(name,)) for name in sorted(CHANNELS)}
            ),
            self._grouped(workspace, change(wanted, accounts=()), "account"),
            self._grouped(workspace, change(wanted, tags=()), "tags"),
        )
        lists, parties, assignee, channels, accounts, tags = groups
        return Facets(
            lists=lists,
            parties=parties,
            assignee=assignee,
            channels={name: n for name, n in channels.items() if n},
            accounts=accounts,
            tags=dict(sorted(tags.items(), key=lambda one: (-one[1], one[0]))[:MOST_TAGS]),
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
        position, descending = order_of(wanted)
        all_fit = piece.minus is None and not piece.sifted and wanted.snoozed != "false"
        while True:
            page = Page(
                order=piece.order,
                descending=descending,
                after=None if after is None else (*piece.lead, *after),
                limit=wanted_rows,
            )
            found = await self._port.find(SESSIONS, workspace, piece.where, page)
            rows += [row for row in found if all_fit or matches(row, wanted)]
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
        """Count, up to `COUNT_LIMIT`: what is not snoozed is the rest of all."""
        if wanted.snoozed != "false":
            return min(await self._sum(workspace, wanted, COUNT_LIMIT), COUNT_LIMIT)
        snoozed = await self._sum(workspace, _with(wanted, "true"), MINE_LIMIT)
        both = await self._sum(workspace, _with(wanted, "all"), COUNT_LIMIT + snoozed)
        return max(0, min(both - snoozed, COUNT_LIMIT))  # one may wake in between

    async def _sum(self, workspace: str, wanted: SessionFilter, limit: int) -> int:
        counts = await asyncio.gather(
            *(self._count_piece(workspace, piece, wanted, limit) for piece in pieces_of(wanted))
        )
        return sum(counts)

    async def _count_piece(
        self, workspace: str, piece: Piece, wanted: SessionFilter, limit: int
    ) -> int:
        if piece.sifted:
            return len(await self._sifted(workspace, piece.where, wanted, meant=True))
        out = 0
        if piece.spare:
            out = (await self._left_out(workspace, piece, wanted, "account")).total()
        elif piece.minus is not None:
            out = await self._port.count(SESSIONS, workspace, piece.minus, limit=MINE_LIMIT)
        return await self._port.count(SESSIONS, workspace, piece.where, limit=limit + out) - out

    async def _are_snoozed(self, workspace: str) -> bool:
        where = {"snoozed_until": Range()}
        return await self._port.count(SESSIONS, workspace, where, limit=1) > 0

    async def _grouped(self, workspace: str, wanted: SessionFilter, by: Grouping) -> dict[str, int]:
        if wanted.snoozed == "false":
            total = await self._totals(workspace, _with(wanted, "all"), by)
            total.subtract(await self._totals(workspace, _with(wanted, "true"), by))
        else:
            total = await self._totals(workspace, wanted, by)
        return {name: min(n, COUNT_LIMIT) for name, n in sorted(total.items()) if n > 0}

    async def _totals(self, workspace: str, wanted: SessionFilter, by: Grouping) -> Counter[str]:
        total: Counter[str] = Counter()
        for piece in pieces_of(wanted):
            where = piece.where
            if piece.sifted:
                total.update(_by(await self._sifted(workspace, where, wanted, meant=True), by))
                continue
            total.update(await self._port.group_count(SESSIONS, workspace, where, by=by))
            total.subtract(await self._left_out(workspace, piece, wanted, by))
        return total

    async def _left_out(
        self, workspace: str, piece: Piece, wanted: SessionFilter, by: Grouping
    ) -> Counter[str]:
        """Count, by a field, what `piece.minus` takes away."""
        if piece.minus is None:
            return Counter()
        if not piece.spare:
            mine = piece.minus
            return Counter(await self._port.group_count(SESSIONS, workspace, mine, by=by))
        return _by(await self._sifted(workspace, piece.minus, wanted, meant=False), by)

    async def _sifted(
        self, workspace: str, where: Where, wanted: SessionFilter, *, meant: bool
    ) -> list[Session]:
        """Return which of an agent's newest sessions are meant, or which are not."""
        page = Page(order="updated", descending=True, limit=PAGE)
        rows = await self._port.find(SESSIONS, workspace, where, page)
        return [row for row in rows if matches(row, wanted) == meant]


def once(rows: Iterable[Session]) -> Iterable[Session]:
    """Keep the later of two states: a session may move while one list after the other is read."""
    latest: dict[str, Session] = {}
    for row in rows:
        if row.id not in latest or latest[row.id].rev < row.rev:
            latest[row.id] = row
    return latest.values()


def position(session: Session) -> Position:
    """Return where *session* stands in every list but that of the snoozed ones."""
    return session.updated_at, session.id


def waking(session: Session) -> Position:
    """Return where *session* stands among the snoozed ones."""
    return session.snoozed_until or session.updated_at, session.id


def order_of(wanted: SessionFilter) -> tuple[Callable[[Session], Position], bool]:
    """Return where a session stands in the list, and whether that is read from its end."""
    return (waking, False) if wanted.only_snoozed else (position, True)


def _by(rows: Iterable[Session], field: Grouping) -> Counter[str]:
    if field == "tags":
        return Counter(tag for row in rows for tag in set(row.tags))
    return Counter(row.account for row in rows)


def _with(wanted: SessionFilter, snoozed: Snoozed) -> SessionFilter:
    return msgspec.structs.replace(wanted, snoozed=snoozed)
