"""Exporting contacts: the rows of a filter, read page by page, and the job that keeps them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import msgspec

from libs.common.errors import FileRefusedError
from libs.common.jobs import Counts
from libs.common.store.api import Store
from libs.common.workbook import write_csv, write_xlsx
from libs.common.workbook_write import MOST_ROWS
from services.desk.contact_defined import defined_fields
from services.desk.contact_list import ContactFilter, page_of_contacts
from services.desk.contact_sheet import cells, head
from services.desk.jobs import Work
from services.desk.tagging import all_tags

PAGE = 200
_SAY_EVERY = 1000
"""Rows after which a job says how far it came."""

FileFormat = Literal["csv", "xlsx"]
Rows = AsyncIterator[tuple[str, ...]]


class ExportOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What an export is to hold, and as what."""

    format: FileFormat = "csv"
    wanted: ContactFilter = ContactFilter()


async def rows_of(store: Store, workspace: str, wanted: ContactFilter) -> Rows:
    """Yield the first row, and one for each contact that fits.

    Raises:
        StoreUnavailableError: The store does not answer; what was yielded is not all.
    """
    defined = await defined_fields(store, workspace)
    tags = {tag.id: tag.name for tag in await all_tags(store, workspace)}
    yield head(defined)
    after: str | None = ""
    while after is not None:
        page = await page_of_contacts(store, workspace, wanted, after=after, limit=PAGE)
        for found in page.rows:
            seen = [
                i.channel for i in found.identities if wanted.scope.account(i.channel, i.account)
            ]
            yield cells(found.contact, seen, tags, defined)
        after = page.next


def written(rows: Rows, kind: FileFormat) -> AsyncIterator[bytes]:
    """Return the rows as a file; of a sheet that they do not fit in, nothing.

    Raises:
        FileRefusedError: 413, as it is read: there are more than a sheet holds.
    """
    return write_csv(rows) if kind == "csv" else write_xlsx(_fitting(rows))


async def _fitting(rows: Rows) -> Rows:
    count = 0
    async for row in rows:
        count += 1
        if count > MOST_ROWS:
            raise FileRefusedError(
                f"A sheet holds {MOST_ROWS} rows: export as csv, or fewer contacts.",
                code="too_large",
                allowed="csv",
            )
        yield row


async def run(work: Work) -> None:
    """Do an export; begun again, it is made anew.

    Raises:
        JobStoppedError: It is not ours any more.
        StoreUnavailableError: Whoever resumes makes it anew.
    """
    order = work.order(ExportOrder)
    wanted = msgspec.structs.replace(order.wanted, scope=work.scope)
    rows = _counted(work, rows_of(work.desk.store.port, work.workspace, wanted))
    day = work.job.created_at.date().isoformat()
    await work.made(written(rows, order.format), f"contacts-{day}.{order.format}")


async def _counted(work: Work, rows: Rows) -> Rows:
    done = -1  # the first row is no contact
    async for row in rows:
        yield row
        done += 1
        if done and not done % _SAY_EVERY:
            await work.report(Counts(done=done))
    await work.report(Counts(total=done, done=done))
