"""Writing tables as CSV or XLSX, row by row, so that no cell is ever run as a formula or a link.

Source of the guard of CSV cells: OWASP, "CSV Injection". A cell that begins with what would start a
formula, whatever apostrophes stand before it, gets one apostrophe more; reading takes it off again.
"""

from __future__ import annotations

import asyncio
import csv
import io
import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import xlsxwriter

_RUNS = re.compile(r"'*[=+\-@\t\r\n]")
_PIECE = 64 * 1024
_ROWS_AT_ONCE = 500
MOST_ROWS = 1_048_576
"""Rows of a sheet."""
_MOST_CHARS = 32_767
"""Characters of a cell of a sheet."""
_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")

Cells = Sequence[str]


def safe(cell: str) -> str:
    """Return *cell* as a CSV file may hold it."""
    return "'" + cell if _RUNS.match(cell) else cell


async def write_csv(rows: AsyncIterator[Cells]) -> AsyncIterator[bytes]:
    """Yield CSV in UTF-8 with a byte order mark (spreadsheets guess wrong without), CRLF ends."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    text.write("\ufeff")
    async for cells in rows:
        writer.writerow([safe(cell) for cell in cells])
        if text.tell() >= _PIECE:
            yield _taken(text)
            await asyncio.sleep(0)  # rows may come without any waiting
    if text.tell():
        yield _taken(text)


def _taken(text: io.StringIO) -> bytes:
    piece = text.getvalue().encode("utf-8", "replace")
    text.seek(0)
    text.truncate()
    return piece


async def write_xlsx(
    rows: AsyncIterator[Cells], *, widths: Sequence[int] = ()
) -> AsyncIterator[bytes]:
    """Yield an XLSX workbook of one sheet whose cells are all text, its first row in bold.

    It is made in a temporary file, in constant memory, before the first byte is yielded.

    Args:
        rows: At most `MOST_ROWS`.
        widths: Of the columns, in characters.

    Raises:
        ValueError: There are more rows.
    """
    with tempfile.TemporaryDirectory(prefix="relaydesk-") as folder:
        path = Path(folder) / "book.xlsx"
        sheet = _Sheet(path, folder, widths)
        try:
            await _fill(sheet, rows)
        except BaseException:
            sheet.give_up()
            raise
        with path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield piece


async def _fill(sheet: _Sheet, rows: AsyncIterator[Cells]) -> None:
    batch: list[Cells] = []
    async for cells in rows:
        batch.append(cells)
        if len(batch) == _ROWS_AT_ONCE:
            await asyncio.to_thread(sheet.add, batch)
            batch = []
    await asyncio.to_thread(sheet.finish, batch)


class _Sheet:
    """A workbook that is being written to *path*."""

    def __init__(self, path: Path, folder: str, widths: Sequence[int]) -> None:
        options = {
            "constant_memory": True,
            "tmpdir": folder,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        }
        self._book = xlsxwriter.Workbook(str(path), options)
        self._sheet = self._book.add_worksheet()
        self._bold = self._book.add_format({"bold": True})
        self._at = 0
        for place, width in enumerate(widths):
            self._sheet.set_column(place, place, width)
        self._sheet.freeze_panes(1, 0)

    def add(self, rows: Sequence[Cells]) -> None:
        if self._at + len(rows) > MOST_ROWS:
            raise ValueError(f"a sheet has at most {MOST_ROWS} rows")
        for cells in rows:
            style = None if self._at else self._bold
            for column, cell in enumerate(cells):
                if cell:
                    text = _UNFIT.sub("\ufffd", cell)[:_MOST_CHARS]
                    self._sheet.write_string(self._at, column, text, style)
            self._at += 1

    def finish(self, rows: Sequence[Cells]) -> None:
        self.add(rows)
        self._book.close()

    def give_up(self) -> None:
        """Close the file of rows, which the library does only when a book is finished."""
        if self._sheet.row_data_fh is not None:
            self._sheet.row_data_fh.close()
