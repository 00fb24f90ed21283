"""Real workbooks for tests, as people's spreadsheets write them."""

from __future__ import annotations

import io
from collections.abc import Sequence

import xlsxwriter
import xlwt

HEADER = ("Channels", "Folder_name", "Team", "User", "Message")
Rows = Sequence[Sequence[str]]


def xlsx(rows: Rows, formula: str = "") -> bytes:
    """Return an .xlsx; with *formula* the first cell below the last row is one."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet()
    for at, row in enumerate(rows):
        for column, cell in enumerate(row):
            sheet.write_string(at, column, cell)
    if formula:
        sheet.write_string(len(rows), 1, "Sums")
        sheet.write_formula(len(rows), 4, formula, None, "the saved value")
    book.close()
    return out.getvalue()


def xls(rows: Rows) -> bytes:
    """Return an .xls."""
    book = xlwt.Workbook()
    sheet = book.add_sheet("Sheet")
    for at, row in enumerate(rows):
        for column, cell in enumerate(row):
            sheet.write(at, column, cell)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
