"""Standard messages as workbooks: the template (B35), what there is, and importing (B36-B38)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.common import workbook
from libs.common.documents import Agent
from libs.common.later import STANDARD_MESSAGES, Folder
from libs.common.policy import Team
from libs.common.standard import name_key, sees, text_of
from libs.common.store.api import Page, Value, cursor
from services.desk.api.jobs import begun
from services.desk.api.pouring import poured
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.audited import digest_of
from services.desk.jobs import begin
from services.desk.standard_import import LIMITS, header_of
from services.desk.standard_read import all_folders, reader_of
from services.desk.standard_rows import COLUMNS, by_name, separates

_KIND: Literal["standard_messages.import"] = "standard_messages.import"
_WIDTHS = (24, 24, 24, 32, 80)
_PAGE = 500
_EXAMPLE = "Hello {{contact.name|there}}, thank you for writing to us. How can we help you?"


class ImportQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The file's name, where the body is the file itself, and whether it is only tried."""

    name: Annotated[
        Plain, Meta(max_length=255, description="Name with extension; a form brings its own")
    ] = ""
    dry_run: Annotated[bool, Meta(description="Only tell what would come of it")] = False


class ImportOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What the job has to know besides its file: nothing."""


async def template(call: Call) -> Reply:
    """Give a workbook with the header and one row as an example, for the caller themselves."""
    return poured(call, workbook.write_xlsx(_template(call), widths=_WIDTHS), "template.xlsx")


async def export(call: Call) -> Reply:
    """Give every text that the caller sees, as the import takes it; files are left out."""
    rows = _exported(call)
    return poured(call, workbook.write_xlsx(rows, widths=_WIDTHS), "standard-messages.xlsx")


async def start_import(call: Call) -> Reply:
    """Begin to import a workbook; the job is told of when it is over.

    Raises:
        WorkbookError: 415, it is neither .xlsx nor .xls, whatever its name; 413, too large.
        InvalidInputError: A column is unknown, stands twice or is missing.
        RefusalError: 409, the key made something else; 429, too many jobs wait.
    """
    query: ImportQuery = call.query
    coming = call.upload
    if coming is None:
        raise LookupError("the route takes no upload")
    limit = call.desk.settings.upload_max_bytes
    async with workbook.spooled(coming.chunks, limit) as path:
        async with aclosing(workbook.read(path, limits=LIMITS)) as rows:
            await header_of(rows)
        started = await begin(
            call,
            _KIND,
            ImportOrder(),
            source=path,
            source_name=coming.name,
            dry_run=query.dry_run,
            digest=digest_of(_KIND, await asyncio.to_thread(_hash, path), query.dry_run),
        )
    return begun(started)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _template(call: Call) -> AsyncIterator[tuple[str, ...]]:
    yield COLUMNS
    agent = await call.desk.store.agent(call.who.workspace, call.who.agent)
    channel = (call.who.scope.channels or ("line",))[0]
    yield (channel, "Example", "", agent.email if agent else "", _EXAMPLE)


# --- export ------------------------------------------------------------------------------------


async def _exported(call: Call) -> AsyncIterator[tuple[str, ...]]:
    yield COLUMNS
    reader = await reader_of(call)
    names = _Names(
        (await call.desk.store.policy(call.who.workspace)).teams,
        await call.desk.store.all_agents(call.who.workspace),
    )
    held = await all_folders(call.desk.store.port, call.who.workspace)
    for folder in [*(one for one in held.values() if sees(one, reader)), None]:
        scope = names.scope(folder) if folder else ("", "", "", "")
        async for text in _texts(call, folder.id if folder else ""):
            yield (*scope, text)


async def _texts(call: Call, folder: str) -> AsyncIterator[str]:
    after: tuple[Value, ...] | None = None
    while True:
        page = Page(order="folder", after=after, limit=_PAGE)
        where = {"folder": folder}
        rows = await call.desk.store.port.find(STANDARD_MESSAGES, call.who.workspace, where, page)
        for row in rows:
            text = text_of(row.parts)
            if text.strip():
                yield text
        if len(rows) < _PAGE:
            return
        after = cursor(STANDARD_MESSAGES, "folder", rows[-1])


class _Names:
    """What teams and agents are called in a file: by name or address where that is clear."""

    def __init__(self, teams: tuple[Team, ...], agents: list[Agent]) -> None:
        self._teams = _clear({one.id: one.name for one in teams})
        self._users = {one.id: one.email for one in agents}

    def scope(self, folder: Folder) -> tuple[str, str, str, str]:
        """Return the cells that say which folder it is, and who sees it."""
        return (
            ", ".join(folder.channels),
            folder.name,
            ", ".join(self._teams.get(one, one) for one in folder.teams),
            ", ".join(self._users.get(one, one) for one in folder.users),
        )


def _clear(names: Mapping[str, str]) -> dict[str, str]:
    """Return the name of each id, or the id where the name would not lead back to it."""
    known = by_name((id_, (id_, name)) for id_, name in names.items())
    return {
        id_: name if known.get(name_key(name)) == (id_,) and not separates(name) else id_
        for id_, name in names.items()
    }
