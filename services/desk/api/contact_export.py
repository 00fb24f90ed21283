"""Exporting contacts: as a stream at once, or as a job whose file is fetched later."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from libs.common.documents import AUDIT
from libs.common.errors import InvalidInputError
from services.desk.api.contacts import ContactQuery, filter_of
from services.desk.api.jobs import begun
from services.desk.api.pouring import poured
from services.desk.api.route import Call, Reply
from services.desk.audited import digest_of, entry
from services.desk.contact_export import ExportOrder, rows_of, written
from services.desk.contact_list import ContactFilter
from services.desk.jobs import begin


class ExportQuery(ContactQuery, frozen=True, kw_only=True):
    """The filters of `GET /contacts`; an export has no pages, so `cursor`, `total` are refused."""

    format: Annotated[Literal["csv", "xlsx"], Meta(description="csv, or xlsx")] = "csv"


async def export(call: Call) -> Reply:
    """Give the contacts that fit, as a file that is made while it is read.

    An end that is missing shows: the connection is cut then.

    Raises:
        InvalidInputError: A filter is wrong.
        FileRefusedError: 413, more than a sheet holds.
        RefusalError: 429, two files are on their way to the caller.
    """
    query: ExportQuery = call.query
    wanted = await _wanted(call, query)
    shown = {"format": query.format, "filter": _shown(query)}
    await call.desk.store.port.insert(
        AUDIT, entry(call, "contacts.export", "contacts", None, shown)
    )
    rows = rows_of(call.desk.store.port, call.who.workspace, wanted)
    day = call.desk.now().date().isoformat()
    return poured(call, written(rows, query.format), f"contacts-{day}.{query.format}")


async def start_export(call: Call) -> Reply:
    """Make the same file as a job, for as many contacts as there are.

    Raises:
        InvalidInputError: A filter is wrong.
        RefusalError: 429, too many jobs wait; 409, the key made another one.
    """
    query: ExportQuery = call.query
    order = ExportOrder(format=query.format, wanted=await _wanted(call, query))
    started = await begin(call, "contacts.export", order, digest=digest_of(query))
    return begun(started)


async def _wanted(call: Call, query: ExportQuery) -> ContactFilter:
    if query.cursor or query.total:
        field = "cursor" if query.cursor else "total"
        raise InvalidInputError(
            f"{field}: an export has no pages.", field=field, allowed="the other parameters"
        )
    return await filter_of(call, query)


def _shown(query: ExportQuery) -> dict[str, object]:
    """Return by what it was filtered, without an address or number."""
    names = ("format", "tag", "match", "channel", "language", "has_email", "has_phone")
    return {name: getattr(query, name) for name in names}
