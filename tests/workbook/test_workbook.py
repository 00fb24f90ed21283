"""Workbooks and CSV, read and written: whatever a file says, it is read in bounds or refused."""

from __future__ import annotations

import asyncio
import io
import random
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from datetime import date, datetime
from pathlib import Path

import pytest
import xlsxwriter
import xlwt

from libs.common.workbook import (
    LIMITS,
    Limits,
    WorkbookError,
    look,
    read,
    spooled,
    write_csv,
    write_xlsx,
)
from libs.common.workbook_child import text_of

FEW = Limits(rows=100, columns=10, cells=500, row_chars=1000, unpacked=1_000_000)


async def rows(
    source: bytes | Path, *, csv: bool = True, limits: Limits = LIMITS
) -> list[tuple[int, tuple[str, ...]]]:
    async with aclosing(read(source, csv=csv, limits=limits)) as found:
        return [(row.number, row.cells) async for row in found]


def xlsx(fill: Callable[[xlsxwriter.Workbook, xlsxwriter.worksheet.Worksheet], None]) -> bytes:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    fill(book, book.add_worksheet())
    book.close()
    return out.getvalue()


def plain_xlsx() -> bytes:
    return xlsx(lambda _, sheet: sheet.write_row(0, 0, ["name", "email"]))


def xls(rows: Sequence[Sequence[object]] = (("name", "email"), ("Ann", 1.0))) -> bytes:
    book = xlwt.Workbook()
    sheet = book.add_sheet("one")
    for at, row in enumerate(rows):
        for column, cell in enumerate(row):
            sheet.write(at, column, cell)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def renamed_stream(name: str) -> bytes:
    """Return a compound file whose stream is called *name*."""
    raw = bytearray(xls())
    at = raw.index("Workbook".encode("utf-16-le"))
    raw[at : at + 64] = name.encode("utf-16-le").ljust(64, b"\0")
    raw[at + 64 : at + 66] = (2 * len(name) + 2).to_bytes(2, "little")
    return bytes(raw)


def zipped(**parts: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name.replace("__", "/") + ".xml", content)
    return out.getvalue()


def with_part(name: str, content: bytes) -> bytes:
    """Return a workbook with one part in place of its own."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(plain_xlsx())) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.namelist():
            new.writestr(entry, content if entry == name else old.read(entry))
    return out.getvalue()


def lying(raw: bytes) -> bytes:
    """Return an archive whose directory says that every part is one byte long."""
    changed = bytearray(raw)
    at = changed.find(b"PK\x01\x02")
    while at >= 0:
        changed[at + 24 : at + 28] = (1).to_bytes(4, "little")
        at = changed.find(b"PK\x01\x02", at + 4)
    return bytes(changed)


def later(raw: bytes) -> bytes:
    """Return an archive whose directory asks for an unzip of version 6.4; 6.3 is the last."""
    changed = bytearray(raw)
    at = changed.index(b"PK\x01\x02")
    changed[at + 6 : at + 8] = (64).to_bytes(2, "little")
    return bytes(changed)


def far() -> bytes:
    def fill(_: xlsxwriter.Workbook, sheet: xlsxwriter.worksheet.Worksheet) -> None:
        sheet.write(0, 0, "a")
        sheet.write(1_048_575, 16_383, "z")

    return xlsx(fill)


BOMB = b"<worksheet>" + b" " * 3_000_000
REFUSED: Mapping[str, tuple[bytes, bool, str]] = {
    "text, where only workbooks are taken": (b"name,email\na,b\n", False, "not_a_workbook"),
    "nothing": (b"", True, "empty"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(64), True, "not_a_workbook"),
    "a PDF": (b"%PDF-1.7\n\x00\xff\xfe", True, "not_a_workbook"),
    "a web page that is called a workbook": (b" <html><table></table>", True, "not_a_workbook"),
    "text in an old code page": ("Müller,a\n".encode("latin-1"), True, "not_a_workbook"),
    "another archive": (zipped(word__document=b"<a/>"), True, "not_a_workbook"),
    "an archive without its end": (plain_xlsx()[:-40], True, "damaged"),
    "an archive of a later kind": (later(plain_xlsx()), True, "damaged"),
    "a workbook cut in its middle": (plain_xlsx()[:1500], True, "damaged"),
    "a workbook whose sheet is no XML": (
        with_part("xl/worksheets/sheet1.xml", b"<worksheet><sheetData><row"),
        True,
        "damaged",
    ),
    "a workbook without its list of sheets": (with_part("xl/workbook.xml", b""), True, "damaged"),
    "an old workbook cut in its middle": (xls()[:3000], True, "damaged"),
    "another compound file": (renamed_stream("WordDocument"), True, "not_a_workbook"),
    "an encrypted workbook": (renamed_stream("EncryptedPackage"), True, "encrypted"),
    "a cell in the last corner": (far(), True, "too_large"),
    "what is too large when unpacked": (
        with_part("xl/worksheets/sheet1.xml", BOMB),
        True,
        "too_large",
    ),
    "what is larger than it says": (
        lying(with_part("xl/worksheets/sheet1.xml", BOMB)),
        True,
        "damaged",
    ),
    "too many rows": (b"a\n" * 101, True, "too_large"),
    "too many columns": (b"a," * 10 + b"a\n", True, "too_large"),
    "too many cells": (b"a,a,a,a,a,a\n" * 90, True, "too_large"),
    "a cell that is too long": (b"a" * 1001, True, "too_large"),
    "a quote that is not closed": (b'"' + b"a\n" * 1000, True, "too_large"),
}


@pytest.mark.parametrize(("raw", "csv", "code"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_read_is_refused_with_the_reason(
    raw: bytes, csv: bool, code: str
) -> None:
    with pytest.raises(WorkbookError) as refused:
        await rows(raw, csv=csv, limits=FEW)
    assert refused.value.code == code
    assert refused.value.detail


TEXT: Mapping[str, tuple[bytes, list[tuple[str, ...]]]] = {
    "commas": (b"a,b\n1,2\n", [("a", "b"), ("1", "2")]),
    "semicolons": (b'a;b\n"1,5";2\n', [("a", "b"), ("1,5", "2")]),
    "tabs": (b"a\tb\n1\t2\n", [("a", "b"), ("1", "2")]),
    "a line that says what separates": (b"sep=|\na|b,c\n", [("a", "b,c")]),
    "a byte order mark": ("\ufeffä,b\n".encode(), [("ä", "b")]),
    "UTF-16 of either end": ("\ufeffä;b\n".encode("utf-16-le"), [("ä", "b")]),
    "the other end": ("\ufeffä;b\n".encode("utf-16-be"), [("ä", "b")]),
    "an end of line in a cell": (b'a,"b\nc"\n', [("a", "b\nc")]),
    "zeros in front": (b"0049,007\n", [("0049", "007")]),
    "a guarded cell": (b"'=1+1,'a,''-x\n", [("=1+1", "'a", "'-x")]),
    "empty rows and ends": (b"a,,\n,,\n\n ,b\n", [("a",), (" ", "b")]),
}


@pytest.mark.parametrize(("raw", "found"), TEXT.values(), ids=TEXT)
async def test_text_is_read_however_it_is_written(raw: bytes, found: list[tuple[str, ...]]) -> None:
    assert [cells for _, cells in await rows(raw)] == found


CELLS: Mapping[str, tuple[object, str]] = {
    "a whole number": (1.0, "1"),
    "a fraction": (0.1 + 0.2, "0.3"),
    "a long number, as far as a sheet keeps it": (4.915112345678e12, "4915112345678"),
    "a huge number": (1e20, "100000000000000000000"),
    "true": (True, "true"),
    "a day": (date(2026, 3, 1), "2026-03-01"),
    "a day at midnight": (datetime(2026, 3, 1), "2026-03-01"),  # noqa: DTZ001  # sheets have no zone
    "an instant": (datetime(2026, 3, 1, 12, 30), "2026-03-01T12:30:00"),  # noqa: DTZ001
    "text of digits": ("00123", "00123"),
    "not a number": (float("nan"), "nan"),
}


@pytest.mark.parametrize(("value", "text"), CELLS.values(), ids=CELLS)
def test_a_cell_says_what_people_see(value: object, text: str) -> None:
    assert text_of(value) == text


async def test_a_workbook_is_read_as_it_is_seen_and_nothing_in_it_runs() -> None:
    def fill(book: xlsxwriter.Workbook, sheet: xlsxwriter.worksheet.Worksheet) -> None:
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.write_string(1, 1, "00123")
        sheet.write_number(1, 2, 7)
        sheet.write_datetime(1, 3, datetime(2026, 3, 1), day)  # noqa: DTZ001
        sheet.write_formula(1, 4, '=WEBSERVICE("http://127.0.0.1:9/")', None, "saved")
        sheet.write_url(1, 5, "http://127.0.0.1:9/", string="link")
        sheet.write_boolean(3, 0, False)
        hidden = book.add_worksheet()
        hidden.write(0, 0, "of another sheet")

    found = await rows(xlsx(fill), csv=False)
    assert found == [
        (2, ("", "00123", "7", "2026-03-01", "saved", "link")),
        (4, ("false",)),
    ]
    assert await rows(xls(), csv=False) == [(1, ("name", "email")), (2, ("Ann", "1"))]
    assert [await look(raw) for raw in (plain_xlsx(), xls())] == ["xlsx", "xls"]
    assert await look(b"a,b", csv=True) == "csv"


async def test_entities_are_not_unfolded() -> None:
    bomb = (
        '<!DOCTYPE x [<!ENTITY a "'
        + "lol" * 100
        + '">'
        + "".join(f'<!ENTITY {b} "{f"&{a};" * 100}">' for a, b in zip("abcd", "bcde", strict=True))
        + "]>"
    )
    body = '<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>&e;</t></is></c></row></sheetData>'
    raw = with_part(
        "xl/worksheets/sheet1.xml",
        (bomb + f"<worksheet>{body}</worksheet>").encode(),
    )
    found: list[tuple[int, tuple[str, ...]]] = []
    with suppress(WorkbookError):
        found = await rows(raw, limits=FEW)
    assert sum(len(cell) for _, cells in found for cell in cells) < 100


async def _table(table: Sequence[Sequence[str]]) -> AsyncIterator[Sequence[str]]:
    for row in table:
        yield row


NASTY = [
    "=1+1",
    "+1",
    "-1",
    "@a",
    "\tx",
    "'=x",
    "''+",
    "'",
    "a'",
    "http://x.example/",
    "0",
    "ä\nb",
    '"',
]


async def test_what_is_written_is_read_again_and_no_cell_of_it_is_a_formula_or_a_link() -> None:
    table = [["head", "b"], *([cell, "x"] for cell in NASTY)]
    text = b"".join([piece async for piece in write_csv(_table(table))])
    assert [list(cells) for _, cells in await rows(text)] == table
    lines = text.decode("utf-8-sig").split("\r\n")
    assert not any(line.lstrip('"').startswith(("=", "+", "-", "@", "\t")) for line in lines)
    book = b"".join([piece async for piece in write_xlsx(_table(table))])
    assert [list(cells) for _, cells in await rows(book)] == table
    with zipfile.ZipFile(io.BytesIO(book)) as parts:
        sheet = parts.read("xl/worksheets/sheet1.xml")
    assert b"<f>" not in sheet
    assert b"hyperlink" not in sheet


async def test_a_damaged_byte_anywhere_is_read_or_refused() -> None:
    chance = random.Random(7)  # noqa: S311  # the same each time
    for good in (plain_xlsx(), xls()):
        for _ in range(6):
            raw = bytearray(good)
            for _ in range(chance.randint(1, 30)):
                raw[chance.randrange(len(raw))] = chance.randrange(256)
            with suppress(WorkbookError):
                await rows(bytes(raw), limits=FEW)


async def test_reading_and_writing_leave_the_loop_to_others() -> None:
    turns = 0

    async def watch() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    watching = asyncio.create_task(watch())
    table = [["name", "=x", "+49 151 12345678"]] * 8_000
    book = b"".join([piece async for piece in write_xlsx(_table(table))])
    text = b"".join([piece async for piece in write_csv(_table(table))])
    assert len(await rows(book)) == len(await rows(text)) == 8_000
    watching.cancel()
    assert turns > 100


async def test_d15_uploads_are_looked_at_while_imports_are_read() -> None:
    table = b"name\n" + b"Eve\n" * 2000
    async with AsyncExitStack() as reading:
        for _ in range(2):
            rows = await reading.enter_async_context(aclosing(read(table, csv=True)))
            await anext(rows)
        async with asyncio.timeout(20):
            assert await look(table, csv=True) == "csv"


async def test_what_comes_in_pieces_is_kept_up_to_its_limit() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"a,b\n"

    async with spooled(pieces(), 12) as path:
        assert len(await rows(path)) == 3
    assert not path.exists()
    with pytest.raises(Exception, match="larger than 11 bytes"):
        async with spooled(pieces(), 11):
            pass
