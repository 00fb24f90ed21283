"""Who changed what, when."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from libs.common.documents import AuditEntry
from libs.common.errors import ForbiddenError, InvalidInputError
from services.desk.api.cursor import time_cursor, write_cursor
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


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the record; with `object`, such as `rule:vip`, the versions of that one."""

    object: Annotated[Plain, Meta(max_length=200)] = ""
    cursor: Cursor = ""
    limit: Limit = 50


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
        _check_object(query.object)
    after = time_cursor(query.cursor)
    found = await call.desk.store.audit(
        call.who.workspace, about=query.object, after=after, limit=query.limit + 1
    )
    page = found[: query.limit]
    more = len(found) > query.limit
    return Reply(
        body=AuditList(
            items=tuple(map(_view, page)),
            next=write_cursor(page[-1].at, page[-1].id) if more else None,
        )
    )


def _check_object(about: str) -> None:
    allowed = ", ".join(f"{kind}<id>" for kind in OF_LEADS)
    if not about:
        raise InvalidInputError(
            f"object: all of the record takes the role admin; allowed: {allowed}.",
            field="object",
            allowed=allowed,
        )
    if not about.startswith(OF_LEADS):
        raise ForbiddenError(
            f"This takes the role admin; leads may ask for {allowed}.", needs="admin"
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
