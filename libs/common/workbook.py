"""Workbooks and CSV: read safely whatever the file says, and written so that nothing in them runs.

Reading is done by `workbook_child`, a process with bounds on memory and time of its own, so that no
file stops a service's loop or takes its memory. What a file is follows from its content, never from
its name. Values are texts: `00123` stays so where the cell is text, 1.0 is `1`, a date is ISO 8601,
and of a formula the value that was saved with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from libs.common import workbook_child
from libs.common.errors import CommandError, FileRefusedError
from libs.common.workbook_write import write_csv as write_csv  # noqa: PLC0414 (one door)
from libs.common.workbook_write import write_xlsx as write_xlsx  # noqa: PLC0414 (one door)

FileKind = Literal["xlsx", "xls", "csv"]

_STATUS = {"not_a_workbook": 415, "too_large": 413}
_LINE = 8 * 1024 * 1024
_CHUNK = 1024 * 1024
_ENDS_WITHIN_S = 5.0
_ROWS_AT_ONCE = 200
_SLOTS = 2
"""Files that one process reads at once: each may take `MEMORY_BYTES` in its child.

As many more are looked at, which is short: nobody's upload waits until an import is over.
"""
_slots: dict[tuple[asyncio.AbstractEventLoop, bool], asyncio.Semaphore] = {}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What is read at most; beyond, the whole file is refused."""

    rows: int = 200_001
    columns: int = 200
    cells: int = 3_000_000
    row_chars: int = 100_000
    unpacked: int = 1024 * 1024 * 1024
    memory: int = workbook_child.MEMORY_BYTES


LIMITS = Limits()


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A row that says something: its number in the file, from 1, and its cells.

    What is empty at its end is left out, so rows are of different lengths.
    """

    number: int
    cells: tuple[str, ...]


class WorkbookError(CommandError):
    """A file is not taken: 415 `not_a_workbook`, 413 `too_large`, else 422.

    Args:
        code: `not_a_workbook`, `too_large`, `encrypted`, `damaged`, `empty` or `no_sheet`.
        detail: In plain words, safe to show to the caller.
    """

    code = "damaged"
    status = 422

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail, field="file", allowed="a workbook: .xlsx or .xls")
        self.code = code
        self.status = _STATUS.get(code, self.status)


class _Answer(msgspec.Struct, frozen=True):
    """A line of the child that is no row."""

    kind: FileKind = "csv"
    end: bool = False
    error: str = ""
    detail: str = ""


_answers = msgspec.json.Decoder(_Answer)
_rows = msgspec.json.Decoder(Row)


async def look(source: Path | bytes, *, csv: bool = False, limits: Limits = LIMITS) -> FileKind:
    """Return what *source* is, without reading its rows.

    Args:
        source: A file, or its bytes.
        csv: Whether text is taken, too.
        limits: Of what it may hold when it is unpacked.

    Raises:
        WorkbookError: It is none that is taken.
    """
    async with _file(source) as path, aclosing(_told(path, csv, limits, look=True)) as told:
        async for answer in told:
            if isinstance(answer, _Answer) and not answer.end:
                return answer.kind
    raise _overwhelmed()


async def read(
    source: Path | bytes, *, csv: bool = False, limits: Limits = LIMITS
) -> AsyncGenerator[Row, None]:
    """Yield the rows of the first sheet that is shown; close it (`aclosing`) if you stop early.

    Args:
        source: A file, or its bytes.
        csv: Whether text is taken, too.
        limits: Beyond them the file is refused, perhaps in its middle.

    Raises:
        WorkbookError: It is none that is taken, damaged, protected or too large.
    """
    async with _file(source) as path, aclosing(_told(path, csv, limits, look=False)) as told:
        count = 0
        async for answer in told:
            if isinstance(answer, Row):
                yield answer
                count += 1
                if not count % _ROWS_AT_ONCE:  # what has come already is read without waiting
                    await asyncio.sleep(0)


@asynccontextmanager
async def spooled(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[Path]:
    """Yield a temporary file that holds *chunks*; it is gone behind the block.

    Raises:
        FileRefusedError: 413, it is larger than *limit* bytes.
    """
    with tempfile.TemporaryDirectory(prefix="relaydesk-") as folder:
        path = Path(folder) / "file"
        size = 0
        with path.open("wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise FileRefusedError(
                        f"The file is larger than {limit} bytes.",
                        code="too_large",
                        limit_bytes=str(limit),
                    )
                await asyncio.to_thread(file.write, chunk)
        yield path


async def pieces_of(path: Path) -> AsyncIterator[bytes]:
    """Yield the bytes of a file."""
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _CHUNK):
            yield piece


# --- the child ---------------------------------------------------------------------------------


@asynccontextmanager
async def _file(source: Path | bytes) -> AsyncIterator[Path]:
    if isinstance(source, Path):
        yield source
        return
    with tempfile.NamedTemporaryFile(prefix="relaydesk-") as file:
        await asyncio.to_thread(_fill, file, source)
        yield Path(file.name)


def _fill(file: Any, content: bytes) -> None:
    file.write(content)
    file.flush()


async def _told(
    path: Path, csv: bool, limits: Limits, *, look: bool
) -> AsyncGenerator[Row | _Answer, None]:
    """Yield what the child says, until it has come to its end.

    Raises:
        WorkbookError: It refuses the file, or the file was too much for it.
    """
    order = {**msgspec.structs.asdict(limits), "path": str(path), "csv": csv, "look": look}
    async with _slot(look=look):
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(Path(workbook_child.__file__)),
            msgspec.json.encode(order).decode(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE,
        )
        try:
            while line := await _line(child):
                answer = _rows.decode(line) if line.startswith(b"[") else _answers.decode(line)
                if isinstance(answer, _Answer) and answer.error:
                    raise WorkbookError(answer.error, answer.detail)
                yield answer
                if isinstance(answer, _Answer) and answer.end:
                    return
        finally:
            await _ended(child)
    raise _overwhelmed()


async def _line(child: asyncio.subprocess.Process) -> bytes:
    if child.stdout is None:
        raise LookupError("the child has no output")
    return await child.stdout.readline()


async def _ended(child: asyncio.subprocess.Process) -> None:
    """End it if it still runs: of what it would say, nothing is wanted any more."""
    with contextlib.suppress(ProcessLookupError):
        child.kill()
    async with asyncio.timeout(_ENDS_WITHIN_S):
        await child.wait()


def _slot(*, look: bool) -> asyncio.Semaphore:
    """Return what bounds the children of this loop that look, or read."""
    loop = asyncio.get_running_loop()
    for closed in [one for one in _slots if one[0].is_closed()]:
        del _slots[closed]
    return _slots.setdefault((loop, look), asyncio.Semaphore(_SLOTS))


def _overwhelmed() -> WorkbookError:
    return WorkbookError(
        "too_large",
        "The workbook takes too much memory or time to read: remove empty rows and columns that "
        "are formatted, or split it.",
    )
