"""The list of sessions: one page of what the filters mean, and the counts of each filter."""

from __future__ import annotations

import asyncio

import msgspec

from services.desk.api.able import able
from services.desk.api.cursor import time_cursor, write_cursor
from services.desk.api.route import Call, Reply
from services.desk.api.session_search import sessions_found
from services.desk.api.sessions import Counts, SessionList, SessionQuery, row, wanted_by
from services.desk.filters import SessionFilter
from services.desk.inbox import Facets, Position, SessionPage
from services.desk.inbox_found import facets_of, page_of
from services.desk.named import named


class _Listed(msgspec.Struct, frozen=True):
    """What a list answers: a page, the counts where they are asked for, and whether it is all."""

    page: SessionPage
    facets: Facets | None
    complete: bool = True


async def sessions(call: Call) -> Reply:
    """List sessions; reading one never claims it (A03)."""
    query: SessionQuery = call.query
    wanted = wanted_by(query, call.who)
    return Reply(body=await listed(call, wanted, query))


async def listed(call: Call, wanted: SessionFilter, query: SessionQuery) -> SessionList:
    """Return the page of *wanted* that *query* asks for, as the caller sees it."""
    after = time_cursor(query.cursor)
    found = await (_found if query.q else _all)(call, wanted, query, after)
    page = found.page
    can = await able(call, page.rows)
    shown = await named(call.desk.store.port, call.who.workspace, page.rows)
    return SessionList(
        items=tuple(row(s, call.who.agent, can.get(s.id)) for s in shown),
        next=write_cursor(*page.next) if page.next else None,
        counts=_counts(found.facets) if found.facets is not None else None,
        complete=found.complete,
    )


async def _all(
    call: Call, wanted: SessionFilter, query: SessionQuery, after: Position | None
) -> _Listed:
    inbox, workspace = call.desk.inbox, call.who.workspace
    page = await inbox.page(workspace, wanted, after=after, limit=query.limit)
    return _Listed(page, await inbox.facets(workspace, wanted) if query.counts else None)


async def _found(
    call: Call, wanted: SessionFilter, query: SessionQuery, after: Position | None
) -> _Listed:
    """Return the same of what `q` finds.

    What the counts are of may be elsewhere than the page: values of the filters by place.
    """
    narrowed = bool(query.channel or query.account)
    everywhere, here = await asyncio.gather(
        sessions_found(call, query.q if query.counts or not narrowed else ""),
        sessions_found(call, query.q if narrowed else "", query.channel, query.account),
    )
    meant = here if narrowed else everywhere
    page = page_of(meant.rows, wanted, after=after, limit=query.limit)
    facets = facets_of((*everywhere.rows, *here.rows), wanted) if query.counts else None
    return _Listed(page, facets, complete=meant.complete)


def _counts(facets: Facets) -> Counts:
    return Counts(
        lists=facets.lists,
        parties=facets.parties,
        assignee=facets.assignee,
        channels=facets.channels,
        accounts=facets.accounts,
        tags=facets.tags,
    )
