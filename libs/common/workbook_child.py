"""Reading a workbook in a process of its own: `python -I workbook_child.py <order as JSON>`.

What a file makes a reader do is bounded by the operating system here: a declared size of a sheet is
allocated before a cell is read (calamine), so that a hostile one ends this process, not a service.
Nothing of Relaydesk is imported, which keeps the start short. Standard output is one JSON value a
line: first `{"kind": ...}`, then `[number, [cells]]` a row, at last `{"end": true}`, or
`{"error": code, "detail": ...}`. Values are read, formulas are never run, no link is followed.

Sources: [MS-CFB] for the compound file of .xls, ECMA-376 part 2 for the parts of .xlsx.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import datetime as dt
import json
import os
import re
import resource
import struct
import sys
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, TextIO

MEMORY_BYTES = 256 * 1024 * 1024
CPU_S = 120
_MIDNIGHT = dt.time()
_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_FREE_SECTOR = 0xFFFFFFF0
_MOST_SECTORS = 4096
_MOST_ENTRIES = 10_000
_GUARDED = re.compile(r"'+[=+\-@\t\r\n]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_MARKUP = re.compile(r"\s*<(?:!doctype|html|\?xml|table|workbook)", re.IGNORECASE)
_SNIFF = 64 * 1024
_DIGITS = 15
"""Significant digits that a spreadsheet keeps of a number."""


class WrongFileError(Exception):
    """The file is not taken: a stable code, and why in plain words."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


_DAMAGED = ("damaged", "The workbook is damaged: it cannot be read to its end.")


# --- what it is --------------------------------------------------------------------------------


def kind_of(path: str, *, csv_too: bool, unpacked: int) -> str:
    """Return `xlsx`, `xls` or `csv`, by the content alone.

    Raises:
        WrongFileError: It is none that is taken.
    """
    with open(path, "rb") as file:  # noqa: PTH123  # nothing more is needed here
        head = file.read(8)
        if head.startswith(_ZIP):
            return _zip_kind(file, unpacked)
        if head == _OLE:
            return _ole_kind(file)
        if not head:
            raise WrongFileError("empty", "The file is empty.")
        if not csv_too:
            raise WrongFileError(
                "not_a_workbook", "This is no workbook: save it as .xlsx or .xls and try again."
            )
        _encoding(file)
        return "csv"


def _zip_kind(file: BinaryIO, unpacked: int) -> str:
    try:
        with zipfile.ZipFile(file) as found:
            entries = found.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, struct.error):
        raise WrongFileError(*_DAMAGED) from None
    except NotImplementedError:  # how zipfile refuses an archive that asks for a later unzip
        raise WrongFileError(*_DAMAGED) from None
    names = {entry.filename.replace("\\", "/").lstrip("/").lower() for entry in entries}
    if "xl/workbook.xml" not in names:
        raise WrongFileError(
            "not_a_workbook", "This archive holds no workbook: save it as .xlsx and try again."
        )
    if len(entries) > _MOST_ENTRIES or sum(entry.file_size for entry in entries) > unpacked:
        raise WrongFileError(
            "too_large", f"The workbook is larger than {unpacked} bytes when it is unpacked."
        )
    return "xlsx"


def _ole_kind(file: BinaryIO) -> str:
    names = set(_streams(file))
    if "EncryptedPackage" in names:
        raise WrongFileError(
            "encrypted", "The workbook is protected by a password: save it without one."
        )
    if names & {"WordDocument", "PowerPoint Document"} or not names & {"Workbook", "Book"}:
        raise WrongFileError(
            "not_a_workbook", "This document is no workbook: save it as .xlsx or .xls."
        )
    return "xls"


def _streams(file: BinaryIO) -> Iterator[str]:
    """Yield the names in the directory of a compound file.

    Raises:
        WrongFileError: Its chain of sectors leads nowhere.
    """
    try:
        file.seek(0)
        head = file.read(512)
        size = 1 << struct.unpack_from("<H", head, 30)[0]
        if size not in {512, 4096}:
            raise WrongFileError(*_DAMAGED)
        table = struct.unpack_from("<109I", head, 76)
        sector = struct.unpack_from("<I", head, 48)[0]
        for _ in range(_MOST_SECTORS):
            if sector >= _FREE_SECTOR:
                return
            file.seek((sector + 1) * size)
            yield from _names(file.read(size))
            block, place = divmod(sector, size // 4)
            file.seek((table[block] + 1) * size + place * 4)
            sector = struct.unpack("<I", file.read(4))[0]
    except (struct.error, IndexError, OSError, OverflowError):
        raise WrongFileError(*_DAMAGED) from None


def _names(sector: bytes) -> Iterator[str]:
    for at in range(0, len(sector) - 127, 128):
        length = struct.unpack_from("<H", sector, at + 64)[0]
        if 2 < length <= 64:  # noqa: PLR2004  # UTF-16 with its end, [MS-CFB] 2.6.1
            yield sector[at : at + length - 2].decode("utf-16-le", "replace")


# --- text --------------------------------------------------------------------------------------


def _encoding(file: BinaryIO) -> str:
    file.seek(0)
    head = file.read(_SNIFF)
    name = "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = "utf-16"
    decoder = codecs.getincrementaldecoder(name)()
    try:
        text = decoder.decode(head)
    except UnicodeDecodeError:
        raise _no_text() from None
    if _CONTROL.search(text) or _MARKUP.match(text):
        raise _no_text()
    return name


def _no_text() -> WrongFileError:
    return WrongFileError(
        "not_a_workbook",
        "This is neither a workbook nor text in UTF-8 or UTF-16: save it as .xlsx or CSV UTF-8.",
    )


def csv_rows(path: str, longest: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file with their numbers; what guards a cell is taken off again.

    Raises:
        WrongFileError: It is no text, or a cell is too long.
    """
    with open(path, "rb") as raw:  # noqa: PTH123
        encoding = _encoding(raw)
    csv.field_size_limit(longest)
    with open(path, encoding=encoding, newline="") as text:  # noqa: PTH123
        try:
            delimiter, skipped = _delimiter(text)
            reader = csv.reader(text, delimiter=delimiter)
            for number, cells in enumerate(reader, 1 + skipped):
                yield number, [c[1:] if _GUARDED.match(c) else c for c in cells]
        except UnicodeDecodeError:
            raise _no_text() from None
        except csv.Error:
            raise WrongFileError(
                "too_large", f"A cell has more than {longest} characters, or a quote is not closed."
            ) from None


def _delimiter(text: TextIO) -> tuple[str, int]:
    """Return what separates cells, by the first line; place *text* where the rows begin."""
    first = text.readline(_SNIFF)
    told = re.fullmatch(r"sep=(.)\s*", first, re.IGNORECASE)
    if told:
        return told[1], 1
    text.seek(0)
    bare = re.sub(r'"[^"]*"?', "", first)
    return max(",;\t", key=bare.count), 0


# --- workbooks ---------------------------------------------------------------------------------


def sheet_rows(path: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of the first sheet that is shown, with their numbers.

    Raises:
        WrongFileError: It is damaged, protected, or has no sheet.
    """
    import python_calamine as calamine  # noqa: PLC0415  # text needs none of it

    try:
        with calamine.CalamineWorkbook.from_path(path) as book:
            shown = [
                place
                for place, sheet in enumerate(book.sheets_metadata)
                if sheet.typ == calamine.SheetTypeEnum.WorkSheet
                and sheet.visible == calamine.SheetVisibleEnum.Visible
            ]
            if not shown:
                raise WrongFileError("no_sheet", "The workbook has no sheet that is shown.")
            sheet = book.get_sheet_by_index(shown[0])
            left = [""] * (sheet.start[1] if sheet.start else 0)
            for number, cells in enumerate(sheet.iter_rows(), 1):
                yield number, left + [text_of(cell) for cell in cells]
    except calamine.PasswordError:
        raise WrongFileError(
            "encrypted", "The workbook is protected by a password: save it without one."
        ) from None
    except (calamine.CalamineError, OSError, ValueError):
        raise WrongFileError(*_DAMAGED) from None


def text_of(value: Any) -> str:
    """Return what a cell says as text: `1` for 1.0, `true`, `2026-03-01`, `2026-03-01T12:30:00`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, dt.datetime):
        return (value.date() if value.time() == _MIDNIGHT else value).isoformat()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value)


def _number(value: float) -> str:
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124  # NaN
        return str(value)
    short = format(value, f".{_DIGITS}g")
    if "e" not in short:
        return short
    return format(float(short), "f").rstrip("0").rstrip(".") if abs(value) >= 1 else short


# --- the process -------------------------------------------------------------------------------


def bounded(rows: Iterator[tuple[int, list[str]]], order: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that say something, without what is empty at their ends.

    Raises:
        WrongFileError: There are too many, or one is too wide or too long.
    """
    count = cells_in_all = 0
    for number, raw in rows:
        cells = _trimmed(raw)
        if not cells:
            continue
        count += 1
        cells_in_all += len(cells)
        if count > order["rows"]:
            most = order["rows"] - 1
            raise WrongFileError("too_large", f"There are more than {most} rows below the first.")
        if len(cells) > order["columns"]:
            raise WrongFileError(
                "too_large", f"Row {number} has more than {order['columns']} columns."
            )
        if cells_in_all > order["cells"]:
            raise WrongFileError("too_large", f"There are more than {order['cells']} cells.")
        if sum(map(len, cells)) > order["row_chars"]:
            raise WrongFileError(
                "too_large", f"Row {number} has more than {order['row_chars']} characters."
            )
        yield number, cells


def _trimmed(cells: Sequence[str]) -> list[str]:
    end = len(cells)
    while end and not cells[end - 1].strip():
        end -= 1
    return list(cells[:end])


def answers(order: Any) -> Iterator[Any]:
    """Yield what is answered to *order*.

    Raises:
        WrongFileError: The file is not taken.
    """
    path = order["path"]
    kind = kind_of(path, csv_too=order["csv"], unpacked=order["unpacked"])
    yield {"kind": kind}
    if not order["look"]:
        longest = order["row_chars"]
        found = csv_rows(path, longest) if kind == "csv" else sheet_rows(path)
        for number, cells in bounded(found, order):
            yield [number, cells]
    yield {"end": True}


def main() -> None:
    """Answer the order of the command line, within bounds."""
    order = json.loads(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (order["memory"], order["memory"]))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        os.nice(5)
    out = sys.stdout.buffer

    def say(value: Any) -> None:
        out.write(json.dumps(value).encode() + b"\n")

    try:
        for answer in answers(order):
            say(answer)
        out.flush()
    except WrongFileError as error:
        say({"error": error.code, "detail": error.detail})
        out.flush()
    except BrokenPipeError:
        os._exit(1)  # nobody listens any more
    except (MemoryError, RecursionError):
        sys.exit(3)


if __name__ == "__main__":
    main()
