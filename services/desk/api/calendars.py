"""Calendars: business hours in a zone, with holidays."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.policy import Calendar, Holiday, Span
from services.desk.api.policy_parts import (
    TEXT_MAX,
    Kind,
    Name,
    created,
    delete,
    found,
    part_id_of,
    put,
)
from services.desk.api.route import Call, Reply
from services.desk.policy_store import etag

KIND: Kind[Calendar] = Kind(word="calendar", field="calendars", most=200)


class CalendarBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours; `id` may repeat the one in the path. `zone` is a name of the IANA list."""

    id: str = ""
    name: Name = ""
    zone: Annotated[str, Meta(max_length=64)] = "UTC"
    spans: Annotated[tuple[Span, ...], Meta(max_length=50)] = ()
    holidays: Annotated[tuple[Holiday, ...], Meta(max_length=400)] = ()
    away_text: Annotated[str, Meta(max_length=TEXT_MAX)] = ""


class CalendarList(msgspec.Struct, frozen=True, kw_only=True):
    """Every calendar, in the order of their making."""

    items: tuple[Calendar, ...]
    next: str | None = None


class CalendarKept(msgspec.Struct, frozen=True, kw_only=True):
    """The calendar as it is now, and what is allowed but hardly meant about it."""

    item: Calendar
    warnings: tuple[str, ...]


async def calendars(call: Call) -> Reply:
    """List the calendars."""
    document = await call.desk.store.policy(call.who.workspace)
    return Reply(body=CalendarList(items=document.calendars), headers=etag(document))


async def calendar(call: Call) -> Reply:
    """Show a calendar.

    Raises:
        NotFoundError: No such calendar in this workspace.
    """
    part, document = await found(call, KIND)
    return Reply(body=part, headers=etag(document))


async def put_calendar(call: Call) -> Reply:
    """Create or replace a calendar."""
    body: CalendarBody = call.body
    fields = msgspec.structs.asdict(body) | {"id": part_id_of(call, body.id)}
    part = Calendar(**fields)
    done = await put(call, KIND, part)
    return Reply(
        status=created(KIND, done, part.id),
        body=CalendarKept(item=part, warnings=done.warnings),
        headers=etag(done.document),
    )


async def delete_calendar(call: Call) -> Reply:
    """Delete a calendar that nothing refers to."""
    return Reply(status=204, headers=etag((await delete(call, KIND)).document))
