"""Importing contacts from a table, as a job."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.common.contact_facts import FACTS
from libs.common.errors import InvalidInputError
from libs.common.workbook import look, spooled, write_xlsx
from services.desk.api.jobs import begun
from services.desk.api.pouring import poured
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.api.tags import known_tags
from services.desk.audited import digest_of
from services.desk.contact_defined import defined_fields
from services.desk.contact_import import ImportOrder
from services.desk.contact_sheet import FIELD, TAGS, Key
from services.desk.jobs import begin

MOST_BYTES = 64 * 1024 * 1024
"""Of a file; a service of people may take less."""
_WIDTH = 18


class ImportQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How the file is to be understood.

    Attributes:
        key: The column by which a row finds its contact; nobody found: a new one is made.
        dry_run: Only tell what would become of the rows.
        on_blank: Whether a blank cell keeps, or clears, what the contact has.
        map: `column:meaning` for columns of other names; `column:-` passes one over.
        tag: Ids of tags that every contact of the file gets.
        name: The file's name, where the body is the file itself.
    """

    key: Key = "email"
    dry_run: bool = False
    on_blank: Literal["keep", "clear"] = "keep"
    map: Annotated[tuple[Plain, ...], Meta(description="column:meaning")] = ()
    tag: Annotated[tuple[Plain, ...], Meta(description="Ids of tags")] = ()
    name: Annotated[
        Plain, Meta(max_length=255, description="Name of the file; a form brings its own")
    ] = ""


async def import_contacts(call: Call) -> Reply:
    """Take a file and import it as a job.

    Raises:
        WorkbookError: 413, 415 or 422: it is no table that is taken.
        InvalidInputError: 422: an unknown tag, or a mapping that is none.
        RefusalError: 429, too many jobs wait; 409, the key made another one.
    """
    query: ImportQuery = call.query
    if call.upload is None:
        raise LookupError("the route takes no upload")
    await known_tags(call, query.tag, "tag")
    order = ImportOrder(
        key=query.key, on_blank=query.on_blank, renamed=_renamed(query.map), add=query.tag
    )
    most = min(MOST_BYTES, call.desk.settings.upload_max_bytes)
    async with spooled(call.upload.chunks, most) as path:
        await look(path, csv=True)
        started = await begin(
            call,
            "contacts.import",
            order,
            source=path,
            source_name=call.upload.name,
            dry_run=query.dry_run,
            digest=digest_of(query, await asyncio.to_thread(_hash, path)),
        )
    return begun(started)


async def template(call: Call) -> Reply:
    """Give an empty workbook with the columns that an import takes."""
    defined = await defined_fields(call.desk.store.port, call.who.workspace)
    head = (*FACTS, TAGS, *(FIELD + field.name for field in defined))

    async def rows() -> AsyncIterator[tuple[str, ...]]:
        yield head

    chunks = write_xlsx(rows(), widths=[_WIDTH] * len(head))
    return poured(call, chunks, "contacts-template.xlsx")


def _renamed(given: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return columns and meanings.

    Raises:
        InvalidInputError: One is no such pair, or a column stands twice.
    """
    pairs = [one.rpartition(":") for one in given]
    names = [column for column, _, _ in pairs]
    for place, (column, _, meaning) in enumerate(pairs):
        if not column or not meaning or column in names[:place]:
            allowed = "column:meaning, each column once, such as Customer no:ref"
            raise InvalidInputError(
                f"map.{place}: allowed is {allowed}.", field=f"map.{place}", allowed=allowed
            )
    return tuple((column, meaning) for column, _, meaning in pairs)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
