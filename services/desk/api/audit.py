"""Who changed what, when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from libs.common.documents import AuditEntry
from libs.common.errors import ForbiddenError, InvalidInputError
from libs.common.store.api import Range
from libs.common.workbook_write import write_csv
from services.desk.api.cursor import time_cursor, write_cursor
from services.desk.api.pouring import poured
from services.desk.api.read import Plain
from services.desk.api.route import RANK, Call, Reply
from services.desk.api.sessions import Cursor, Limit

OF_LEADS = (
    "rule:",
    "team:",
    "calendar:",
    "bot:",
    "broadcast:",
    "tag:",
    "scheduled:",
    "standard_message:",
    "folder:",
    "job:",
)
"""Objects that leads keep, and whose record they may read."""
_PLACED = ("broadcast:", "scheduled:", "job:")
"""Those of them that are about some channels, accounts or contacts alone."""


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which changes; all that is given must hold.

    Attributes:
        object: Of one thing, such as `rule:vip`: its versions.
        actor: Who made them, such as `agent:agt_…`; `system` for ours.
        action: What was done, such as `agent.patch`.
        since, until: From then, and before then.
    """

    object: Annotated[Plain, Meta(max_length=200)] = ""
    actor: Annotated[Plain, Meta(max_length=200)] = ""
    action: Annotated[Plain, Meta(max_length=100)] = ""
    since: datetime | None = None
    until: datetime | None = None


class AuditQuery(_Wanted, frozen=True, kw_only=True):
    """One page of the record of changes."""

    cursor: Cursor = ""
    limit: Limit = 50


class AuditExport(_Wanted, frozen=True, kw_only=True):
    """The record of changes as CSV."""


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    """One change; `before` and `after` are the object as JSON, null where it did not exist."""

    id: str
    at: datetime
    actor: str
    action: str
    object: str
    before: Any
    after: Any


class AuditList(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    items: tuple[AuditView, ...]
    next: str | None


async def audit(call: Call) -> Reply:
    """Show one page of the record of changes.

    Raises:
        InvalidInputError: A lead names no object.
        ForbiddenError: A lead names an object that leads do not keep.
    """
    query: AuditQuery = call.query
    if RANK[call.who.role] < RANK["admin"]:
        _check_object(query.object, of_leads(call))
    found = await _found(call, query, time_cursor(query.cursor), query.limit + 1)
    page = found[: query.limit]
    more = len(found) > query.limit
    return Reply(
        body=AuditList(
            items=tuple(map(_view, page)),
            next=write_cursor(page[-1].at, page[-1].id) if more else None,
        )
    )


async def export(call: Call) -> Reply:
    """Write the record as CSV, newest first; the rows are read as they are sent."""
    query: AuditExport = call.query

    async def rows() -> AsyncIterator[tuple[str, ...]]:
        yield COLUMNS
        after: tuple[datetime, str] | None = None
        while found := await _found(call, query, after, PAGE):
            for one in found:
                yield tuple(str(getattr(one, name)) for name in COLUMNS)
            if len(found) < PAGE:
                return
            after = (found[-1].at, found[-1].id)

    return poured(call, write_csv(rows()), "audit.csv")


COLUMNS = ("at", "actor", "action", "object", "before", "after")
PAGE = 500


async def _found(
    call: Call, query: _Wanted, after: tuple[datetime, str] | None, limit: int
) -> list[AuditEntry]:
    """Return a page of what is wanted.

    Raises:
        InvalidInputError: A time is without its offset from UTC.
    """
    for name in ("since", "until"):
        given = getattr(query, name)
        if given is not None and given.tzinfo is None:
            raise InvalidInputError(
                f"{name}: the time needs its offset.", field=name, allowed="2026-03-02T09:00:00Z"
            )
    some = query.since is not None or query.until is not None
    return await call.desk.store.audit(
        call.who.workspace,
        about=query.object,
        actor=query.actor,
        action=query.action,
        within=Range(ge=query.since, lt=query.until) if some else None,
        after=after,
        limit=limit,
    )


def of_leads(call: Call) -> tuple[str, ...]:
    """Return the objects whose record the caller may read, being a lead, by how they begin.

    The record of a thing says what it was, wherever it was: who is limited sees none of such
    things as may be out of their scope.
    """
    if call.who.scope.whole:
        return OF_LEADS
    return tuple(kind for kind in OF_LEADS if kind not in _PLACED)


def _check_object(about: str, kinds: tuple[str, ...]) -> None:
    allowed = ", ".join(f"{kind}<id>" for kind in kinds)
    if not about:
        raise InvalidInputError(
            f"object: all of the record takes the role admin; allowed: {allowed}.",
            field="object",
            allowed=allowed,
        )
    if not about.startswith(kinds):
        raise ForbiddenError(
            f"This takes the role admin; you may ask for {allowed}.", needs="admin"
        )


def _view(entry: AuditEntry) -> AuditView:
    return AuditView(
        id=entry.id,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        object=entry.object,
        before=msgspec.json.decode(entry.before) if entry.before else None,
        after=msgspec.json.decode(entry.after) if entry.after else None,
    )
