"""Importing standard messages from a workbook: the job, and what it is checked against (B36-B38).

What a folder has already is left as it is; a message of the same text in the same folder counts as
unchanged. Every document has an id derived of the job, so that a step done again changes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import msgspec

from libs.common.documents import AUDIT, AuditEntry
from libs.common.errors import InvalidInputError, StaleRevisionError
from libs.common.events import TextPart
from libs.common.ids import derive_id
from libs.common.jobs import Counts, RefusedRow
from libs.common.later import FOLDERS, STANDARD_MESSAGES, Folder, StandardMessage
from libs.common.standard import Reader, keyed, sees
from libs.common.workbook import Limits, Row, WorkbookError
from services.desk.api.folder_body import MOST_MESSAGES
from services.desk.jobs import Work
from services.desk.standard_held import Held, held_of, key_of, known_of
from services.desk.standard_read import MOST_FOLDERS
from services.desk.standard_rows import (
    Line,
    RowError,
    Scope,
    agreed,
    columns_of,
    line_of,
    scopes_of,
    title_of,
)

MOST_ROWS = 10_000
LIMITS = Limits(rows=MOST_ROWS + 1, columns=50, cells=100_000, row_chars=60_000)
MOST_CHARS = 20_000_000
"""Of all cells of a file together."""
_STEP = 200


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """A file: its header, what its rows say, and the rows that say nothing that can be taken."""

    header: tuple[str, ...]
    lines: tuple[tuple[Row, Line | RefusedRow], ...]


async def run(work: Work) -> None:
    """Import what the source of the job says.

    Raises:
        CommandError: The file cannot be read, or its header is wrong.
        JobStoppedError: The job is not ours any more.
    """
    rows = await _read(work)
    held = await held_of(work.desk.store.port, work.workspace)
    if work.job.dry_run:
        await work.write(cursor="")
    taking = Taking(work, rows, held)
    start = 0 if work.job.dry_run else int(work.job.cursor or 0)
    counts = msgspec.structs.replace(Counts() if not start else work.job.counts)
    counts = msgspec.structs.replace(counts, total=len(rows.lines))
    for at in range(start, len(rows.lines), _STEP):
        chunk = rows.lines[at : at + _STEP]
        done, refused = await taking.step(chunk)
        counts = _added(counts, done, len(chunk), len(refused))
        await work.report(counts, str(at + len(chunk)), refused, columns=rows.header)
    if not rows.lines:
        await work.report(counts, "0")


async def header_of(rows: AsyncGenerator[Row, None]) -> Row:
    """Return the first row of a file, which must name the columns.

    Raises:
        InvalidInputError: It does not.
        WorkbookError: The file cannot be read.
    """
    first = await anext(rows, None)
    if first is None:
        raise InvalidInputError(
            "file: it is empty.", field="file", allowed="a workbook with the template's columns"
        )
    columns_of(first.cells)
    return first


async def _read(work: Work) -> Rows:
    known = await known_of(work)
    lines: list[tuple[Row, Line | RefusedRow]] = []
    chars = 0
    async with work.rows(limits=LIMITS) as rows:
        header = (await header_of(rows)).cells
        columns = columns_of(header)
        async for row in rows:
            chars += sum(map(len, row.cells))
            if chars > MOST_CHARS:
                raise WorkbookError("too_large", f"It has more than {MOST_CHARS} characters.")
            try:
                lines.append((row, line_of(row.number, row.cells, columns, known)))
            except RowError as error:
                lines.append((row, _refused(row, error)))
    return Rows(header=header, lines=tuple(lines))


def _refused(row: Row, error: RowError) -> RefusedRow:
    return RefusedRow(number=row.number, field=error.field, reason=error.text, cells=row.cells)


def _added(counts: Counts, done: Counts, rows: int, refused: int) -> Counts:
    return msgspec.structs.replace(
        counts,
        done=counts.done + rows,
        created=counts.created + done.created,
        unchanged=counts.unchanged + done.unchanged,
        failed=counts.failed + refused,
    )


class Taking:
    """Taking the lines of a file, step by step; `held` grows with what they add."""

    def __init__(self, work: Work, rows: Rows, held: Held) -> None:
        self._work = work
        self._held = held
        self._named = scopes_of(line for _, line in rows.lines if isinstance(line, Line))
        self._folders: list[Folder] = []
        self._messages: list[StandardMessage] = []
        self._reader = Reader(
            agent=work.agent.id, teams=work.agent.teams, channels=work.scope.channels, keeps=True
        )

    async def step(
        self, chunk: Sequence[tuple[Row, Line | RefusedRow]]
    ) -> tuple[Counts, list[RefusedRow]]:
        """Take some rows; return what was made of them, and those that are refused."""
        self._folders, self._messages = [], []
        created, refused = 0, list[RefusedRow]()
        for row, line in chunk:
            if isinstance(line, RefusedRow):
                refused.append(line)
                continue
            try:
                created += self._take(line)
            except RowError as error:
                refused.append(_refused(row, error))
        if not self._work.job.dry_run:
            await self._write()
        unchanged = len(chunk) - len(refused) - created
        return Counts(created=created, unchanged=unchanged), refused

    def _take(self, line: Line) -> bool:
        """Note what *line* adds; tell whether its message was made by this job.

        Raises:
            RowError: Its folder is for others, or there are too many.
        """
        folder = self._folder(line) if line.folder else ""
        key = (folder, key_of(line.text))
        mark = f"{self._work.job.id}:{line.number}"
        if key in self._held.messages:
            return self._held.messages[key] == mark
        if len(self._held.messages) >= MOST_MESSAGES:
            raise RowError("Message", f"there may be {MOST_MESSAGES} standard messages")
        place = self._held.places.get(folder, 0)
        self._held.places[folder] = place + 1
        self._held.messages[key] = mark
        self._messages.append(self._message(line, folder, place, mark))
        return True

    def _folder(self, line: Line) -> str:
        found = self._held.folders.get(line.folder_key)
        scope = agreed(line, self._named[line.folder_key], found)
        if found is None:
            if len(self._held.folders) >= MOST_FOLDERS:
                raise RowError("Folder_name", f"there may be {MOST_FOLDERS} folders")
            found = self._made(line, scope)
            self._held.folders[line.folder_key] = found
            self._folders.append(found)
        elif not sees(found, self._reader):
            raise RowError("Folder_name", "a folder of this name is for channels you do not see")
        return found.id

    def _made(self, line: Line, scope: Scope) -> Folder:
        work, now = self._work, self._work.desk.now()
        return Folder(
            id=derive_id("fld", work.workspace, work.job.id, line.folder_key),
            workspace=work.workspace,
            name=line.folder,
            name_key=line.folder_key,
            channels=scope.channels,
            teams=scope.teams,
            users=scope.users,
            place=max((one.place for one in self._held.folders.values()), default=-1) + 1,
            created_at=now,
            updated_at=now,
            digest=work.job.id,
        )

    def _message(self, line: Line, folder: str, place: int, mark: str) -> StandardMessage:
        work, now = self._work, self._work.desk.now()
        made = StandardMessage(
            id=derive_id("std", work.workspace, work.job.id, str(line.number)),
            workspace=work.workspace,
            title=title_of(line.text),
            folder=folder,
            place=place,
            parts=(TextPart(text=line.text),),
            created_at=now,
            updated_at=now,
            digest=mark,
        )
        return keyed(made)

    # --- writing -------------------------------------------------------------------------------

    async def _write(self) -> None:
        """Write what was noted: records first, folders before what is in them.

        Raises:
            StaleRevisionError: Somebody made a folder of the same name meanwhile: go on later.
        """
        store = self._work.desk.store.port
        records = [
            self._record(action, f"{word}:{one.id}", one)
            for action, word, docs in (
                ("folder.create", "folder", self._folders),
                ("standard_message.create", "standard_message", self._messages),
            )
            for one in docs
        ]
        if records:
            await store.insert_many(AUDIT, records)
        if self._folders:
            refused = await store.insert_many(FOLDERS, self._folders)
            if "name" in refused.values():
                raise StaleRevisionError("a folder was made meanwhile")
        if self._messages:
            await store.insert_many(STANDARD_MESSAGES, self._messages)

    def _record(self, action: str, about: str, after: Folder | StandardMessage) -> AuditEntry:
        work = self._work
        return AuditEntry(
            id=derive_id("aud", work.workspace, work.job.id, about),
            workspace=work.workspace,
            at=work.desk.now(),
            actor=f"agent:{work.agent.id}",
            action=action,
            object=about,
            after=msgspec.json.encode(after).decode(),
        )
