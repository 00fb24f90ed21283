"""Read what a report is made of, page by page: figures of ended sessions, and sessions still open.

A page is small enough to be decoded and counted in about a hundredth of a second, and between two
of them others have their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec

from libs.common.documents import SESSIONS
from libs.common.figures import FIGURES, SessionFigures
from libs.common.figures_of import figures_of
from libs.common.store.api import In, Page, Range, Store, Where, cursor
from services.desk.filters import OPEN
from services.desk.report_rows import Period
from services.desk.scope import Scope

PAGE = 100
_SESSIONS = 50
"""Open sessions of a page: their documents are large."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Of which sessions a report is: those in *scope* on these channels, accounts and teams."""

    scope: Scope
    channels: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()

    def has(self, one: SessionFigures) -> bool:
        """Tell whether the session counts."""
        return (
            (not self.channels or one.channel in self.channels)
            and (not self.accounts or one.account in self.accounts)
            and (not self.teams or one.team in self.teams)
            and (self.scope.whole or self._sees(one))
        )

    def _sees(self, one: SessionFigures) -> bool:
        """Tell as `Scope.session` does; whoever ever owned it was on it."""
        scope = self.scope
        if not scope.account(one.channel, one.account):
            return False
        if scope.teams is None or not one.team or one.team in scope.teams:
            return True
        return any(held.agent == scope.agent for held in one.course.held)


async def ended(
    store: Store, workspace: str, period: Period, wanted: Wanted
) -> AsyncIterator[Sequence[SessionFigures]]:
    """Yield pages of the sessions that ended in *period*."""
    where: Where = {"ended_at": Range(ge=period.since, lt=period.until)}
    async for page in _pages(store, workspace, where, "ended"):
        yield [one for one in page if wanted.has(one)]


async def alive(
    store: Store, workspace: str, period: Period, wanted: Wanted
) -> AsyncIterator[Sequence[SessionFigures]]:
    """Yield pages of the sessions in which something may have happened in *period*.

    Open ones are read first: what ends meanwhile is found among the ended ones, and counts as it
    was read first.
    """
    seen: set[str] = set()
    where: Where = {"list": In(OPEN)}
    page = Page(order="list", limit=_SESSIONS)
    while True:
        rows = await store.find(SESSIONS, workspace, where, page)
        fresh = [figures_of(row) for row in rows if row.id not in seen]
        seen |= {one.id for one in fresh}
        yield [one for one in fresh if one.created_at < period.until and wanted.has(one)]
        if len(rows) < _SESSIONS:
            break
        page = msgspec.structs.replace(page, after=cursor(SESSIONS, "list", rows[-1]))
        await asyncio.sleep(0)
    where = {"active_until": Range(ge=period.since), "created_at": Range(lt=period.until)}
    async for found in _pages(store, workspace, where, "active"):
        yield [one for one in found if one.id not in seen and wanted.has(one)]


async def _pages(
    store: Store, workspace: str, where: Where, order: str
) -> AsyncIterator[list[SessionFigures]]:
    page = Page(order=order, limit=PAGE)
    while True:
        rows = await store.find(FIGURES, workspace, where, page)
        yield rows
        if len(rows) < PAGE:
            return
        page = msgspec.structs.replace(page, after=cursor(FIGURES, order, rows[-1]))
        await asyncio.sleep(0)
