"""What the rows of a file of standard messages say, and which are refused (B36)."""

from __future__ import annotations

import pytest

from libs.common.errors import InvalidInputError
from libs.common.later import Folder
from services.desk.standard_rows import (
    COLUMNS,
    Known,
    Line,
    RowError,
    Scope,
    agreed,
    by_name,
    columns_of,
    line_of,
    title_of,
)
from tests.desk.world import NOW

KNOWN = Known(
    channels=by_name((one, (one, one.replace("_", " "))) for one in ("line", "fb_comment", "web")),
    teams=by_name(
        [("t1", ("Sales",)), ("t2", ("Care, night",)), ("t3", ("Twin",)), ("t4", ("Twin",))]
    ),
    users=by_name([("a1", ("Amy", "amy@acme.example")), ("t1", ("Bob", "bob@acme.example"))]),
)
HEADERS: dict[str, tuple[tuple[str, ...], dict[str, int] | str]] = {
    "as in the template": (COLUMNS, {name: at for at, name in enumerate(COLUMNS)}),
    "in another order and case, with a column of nothing": (
        ("message", " FOLDER NAME ", "", "team"),
        {"Message": 0, "Folder_name": 1, "Team": 3},
    ),
    "corrected from the list of errors": (
        ("row", "column", "reason", "Folder_name", "Message"),
        {"Folder_name": 3, "Message": 4},
    ),
    "a column that is none": (("Folder_name", "Message", "Chann"), "'Chann'"),
    "a column twice": (("Folder_name", "Message", "message"), "twice"),
    "no messages": (("Folder_name", "Team"), "Message"),
    "no folders": (("Message",), "Folder_name"),
    "nothing": ((), "Folder_name"),
}


@pytest.mark.parametrize(("header", "expected"), HEADERS.values(), ids=HEADERS)
def test_b36_columns_are_found_by_name(
    header: tuple[str, ...], expected: dict[str, int] | str
) -> None:
    if isinstance(expected, dict):
        assert columns_of(header) == expected
        return
    with pytest.raises(InvalidInputError, match=expected) as refused:
        columns_of(header)
    assert refused.value.facts["field"] == "file"


Cells = tuple[str, ...]
TAKEN: dict[str, tuple[Cells, Scope | None, str]] = {
    "a folder for some": (
        ("line;web", "F", "sales", "AMY", "m"),
        Scope(("line", "web"), ("t1",), ("a1",)),
        "m",
    ),
    "by id, and by address": (
        ("", "F", "t2", "a1, bob@ACME.example", "m"),
        Scope((), ("t2",), ("a1", "t1")),
        "m",
    ),
    "a name with a comma in it": (("", "F", "Care, Night", "", "m"), Scope((), ("t2",), ()), "m"),
    "a channel by its words": (("FB comment", "F", "", "", "m"), Scope(("fb_comment",)), "m"),
    "for all, said so": (("all", "F", "*", "", "m"), Scope(), "m"),
    "nothing said": (("", "F", "", "", "m"), None, "m"),
    "in no folder": (("", "", "", "", " m\r\nn "), None, "m\nn"),
    "a formula is a text": (("", "F", "", "", "=1+1"), None, "=1+1"),
}


@pytest.mark.parametrize(("cells", "scope", "text"), TAKEN.values(), ids=TAKEN)
def test_b36_a_row_says_folder_who_sees_it_and_message(
    cells: Cells, scope: Scope | None, text: str
) -> None:
    line = line_of(2, cells, columns_of(COLUMNS), KNOWN)
    assert (line.scope, line.text, line.folder) == (scope, text, cells[1])


REFUSED: dict[str, tuple[Cells, str]] = {
    "no such channel": (("line, fax", "F", "", "", "m"), "Channels"),
    "no such team": (("", "F", "Ghosts", "", "m"), "Team"),
    "a name that two teams have": (("", "F", "Twin", "", "m"), "Team"),
    "no such agent": (("", "F", "", "zoe", "m"), "User"),
    "who sees it, and no folder": (("line", "", "", "", "m"), "Folder_name"),
    "no message": (("", "F", "", "", " \n "), "Message"),
    "cells that are missing": (("", "F"), "Message"),
    "a long name": (("", "F" * 101, "", "", "m"), "Folder_name"),
    "a name of nothing": (("", "\u200b", "", "", "m"), "Folder_name"),
    "a long message": (("", "F", "", "", "m" * 10_001), "Message"),
    "control characters": (("", "F", "", "", "a\x07b"), "Message"),
    "a variable that is none": (("", "F", "", "", "{{contact.shape}}"), "Message"),
    "a variable that does not end": (("", "F", "", "", "{{contact.name"), "Message"),
}


@pytest.mark.parametrize(("cells", "field"), REFUSED.values(), ids=REFUSED)
def test_b36_a_row_is_refused_by_its_column(cells: Cells, field: str) -> None:
    with pytest.raises(RowError) as refused:
        line_of(2, cells, columns_of(COLUMNS), KNOWN)
    assert refused.value.field == field
    assert refused.value.text


def folder(*channels: str) -> Folder:
    return Folder(
        id="f",
        workspace="w",
        name="F",
        name_key="f",
        channels=channels,
        created_at=NOW,
        updated_at=NOW,
    )


LINE, WEB = Scope(("line",)), Scope(("web",))
AGREED: dict[str, tuple[Scope | None, set[Scope], Folder | None, Scope | None]] = {
    "a new folder is as its rows say": (LINE, {LINE}, None, LINE),
    "a row that says nothing takes what others say": (None, {LINE}, None, LINE),
    "where none says anything it is for all": (None, set(), None, Scope()),
    "rows that differ": (LINE, {LINE, WEB}, None, None),
    "a row that says nothing, where others differ": (None, {LINE, WEB}, None, None),
    "a folder that exists stays as it is": (None, set(), folder("line"), LINE),
    "a row that says what it is": (LINE, {LINE, WEB}, folder("line"), LINE),
    "a row that says something else": (WEB, {WEB}, folder("line"), None),
    "a row that says all": (Scope(), {Scope()}, folder("line"), None),
}


@pytest.mark.parametrize(("scope", "named", "held", "expected"), AGREED.values(), ids=AGREED)
def test_b36_who_sees_a_folder_is_said_once(
    scope: Scope | None, named: set[Scope], held: Folder | None, expected: Scope | None
) -> None:
    line = Line(number=2, folder="F", folder_key="f", scope=scope, text="m")
    if expected is not None:
        assert agreed(line, named, held) == expected
        return
    with pytest.raises(RowError):
        agreed(line, named, held)


TITLES = {"\n Hello\tyou \nthere": "Hello you", "x" * 100: "x" * 100, "x" * 101: "x" * 99 + "…"}


@pytest.mark.parametrize(("text", "title"), TITLES.items())
def test_b36_the_first_line_is_the_title(text: str, title: str) -> None:
    assert title_of(text) == title
