"""The rows of a file of standard messages: what they say, and whether they agree. Pure.

A row names a folder, who sees it, and one message. Who sees it is a matter of the folder: rows that
name no channel, team and user take the folder as it is, or as other rows make it; rows that name
some must all name the same, and the same that an existing folder has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from libs.common.errors import CommandError, InvalidInputError
from libs.common.events import ContentPart, TextPart
from libs.common.later import Folder
from libs.common.standard import name_key
from libs.common.words import fold
from services.desk.scheduling import check_variables

COLUMNS = ("Channels", "Folder_name", "Team", "User", "Message")
"""The header of the template, and of what is exported."""
NEEDED = ("Folder_name", "Message")
_OF_ERRORS = frozenset({"row", "column", "reason"})
"""Columns of the list of refused rows, which may be corrected and imported again."""
LONGEST_NAME = 100
LONGEST_TITLE = 100
LONGEST_TEXT = 10_000
_SPLIT = re.compile(r"[,;]")
_LINE = re.compile(r"[\x00-\x1f]+")
_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ALL = frozenset({"", "all", "*"})


class Scope(msgspec.Struct, frozen=True):
    """Who sees a folder, in sorted order; empty: all."""

    channels: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What a row says; `scope` is None where it names none, `folder` empty: in no folder."""

    number: int
    folder: str
    folder_key: str
    scope: Scope | None
    text: str


class RowError(ValueError):
    """A row is refused.

    Args:
        field: The column.
        text: Why, for a person.
    """

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field
        self.text = text


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What names may stand for: ids by what they are called, folded; several: it is not clear."""

    channels: Mapping[str, tuple[str, ...]]
    teams: Mapping[str, tuple[str, ...]]
    users: Mapping[str, tuple[str, ...]]


def by_name(pairs: Iterable[tuple[str, Iterable[str]]]) -> dict[str, tuple[str, ...]]:
    """Return ids by their names, folded, from pairs of an id and its names; an id leads names."""
    rows = [(id_, [name_key(name) for name in names]) for id_, names in pairs]
    found: dict[str, dict[str, None]] = {}
    for id_, names in rows:
        for name in filter(None, names):
            found.setdefault(name, {})[id_] = None
    ids = {fold(id_): (id_,) for id_, _ in rows}
    return {name: tuple(held) for name, held in found.items()} | ids


def separates(name: str) -> bool:
    """Tell whether *name* has in it what stands between names."""
    return _SPLIT.search(name) is not None


def columns_of(header: Sequence[str]) -> dict[str, int]:
    """Return the place of each column that *header* names, in whatever order and case.

    Raises:
        InvalidInputError: One is unknown, named twice, or a needed one is missing.
    """
    by_key = {_column_key(name): name for name in COLUMNS}
    found: dict[str, int] = {}
    for place, cell in enumerate(header):
        if not cell.strip() or _column_key(cell) in _OF_ERRORS:
            continue
        name = by_key.get(_column_key(cell), "")
        if not name or name in found:
            words = "stands twice" if name else "is no column of this file"
            raise _header_wrong(f"the column {cell.strip()[:40]!r} {words}")
        found[name] = place
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise _header_wrong(f"the column {missing[0]} is missing from the first row")
    return found


def line_of(number: int, cells: Sequence[str], columns: Mapping[str, int], known: Known) -> Line:
    """Return what the row says.

    Raises:
        RowError: A cell is wrong.
    """
    cell = {
        name: cells[place].strip() if place < len(cells) else "" for name, place in columns.items()
    }
    scope = Scope(
        _ids(cell.get("Channels", ""), known.channels, "Channels", "channel"),
        _ids(cell.get("Team", ""), known.teams, "Team", "team"),
        _ids(cell.get("User", ""), known.users, "User", "user"),
    )
    named = any(cell.get(name, "") for name in ("Channels", "Team", "User"))
    folder = _folder(cell["Folder_name"])
    if named and not folder and scope != Scope():
        raise RowError("Folder_name", "who sees a message is said of its folder; name one")
    return Line(
        number=number,
        folder=folder,
        folder_key=name_key(folder),
        scope=scope if named and folder else None,
        text=_text(cell["Message"]),
    )


def title_of(text: str) -> str:
    """Return a title for *text*: its first line, cut."""
    first = next(line for line in text.splitlines() if line.strip())
    words = " ".join(_LINE.sub(" ", first).split())
    return words if len(words) <= LONGEST_TITLE else words[: LONGEST_TITLE - 1].rstrip() + "…"


def scope_of(folder: Folder) -> Scope:
    """Return who sees *folder*."""
    return Scope(
        tuple(sorted(folder.channels)), tuple(sorted(folder.teams)), tuple(sorted(folder.users))
    )


def scopes_of(lines: Iterable[Line]) -> dict[str, set[Scope]]:
    """Return the scopes that *lines* name, by the folder's key."""
    found: dict[str, set[Scope]] = {}
    for line in lines:
        if line.folder:
            named = found.setdefault(line.folder_key, set())
            if line.scope is not None:
                named.add(line.scope)
    return found


def agreed(line: Line, named: set[Scope], folder: Folder | None) -> Scope:
    """Return who sees the folder of *line*, whose rows name the scopes *named*.

    Raises:
        RowError: It is not what the existing *folder* has, or rows do not agree.
    """
    if folder is not None:
        held = scope_of(folder)
        if line.scope is not None and line.scope != held:
            raise RowError(
                "Folder_name",
                f"the folder {folder.name!r} exists for others: leave Channels, Team and User "
                "empty to take it as it is, or change the folder first",
            )
        return held
    if len(named) > 1:
        raise RowError(
            "Folder_name",
            f"rows of the folder {line.folder!r} differ in Channels, Team or User; they must agree",
        )
    return next(iter(named), Scope())


def _header_wrong(words: str) -> InvalidInputError:
    allowed = ", ".join(COLUMNS)
    return InvalidInputError(
        f"file: {words}; allowed: {allowed}, in any order.", field="file", allowed=allowed
    )


def _column_key(name: str) -> str:
    return re.sub(r"[\s_]+", "_", fold(name).strip())


def _ids(cell: str, known: Mapping[str, tuple[str, ...]], field: str, word: str) -> tuple[str, ...]:
    """Return the ids that *cell* names, sorted; empty: all.

    Raises:
        RowError: A name is not known, or several have it.
    """
    whole = known.get(name_key(cell), ())  # a name that has a comma in it
    if len(whole) == 1:
        return whole
    found: set[str] = set()
    for part in _SPLIT.split(cell):
        name = name_key(part)
        if name in _ALL:
            continue
        ids = known.get(name, ())
        if len(ids) != 1:
            words = f"several {word}s are called" if ids else f"there is no {word}"
            raise RowError(field, f"{words} {part.strip()[:60]!r}")
        found.add(ids[0])
    return tuple(sorted(found))


def _folder(cell: str) -> str:
    name = " ".join(_LINE.sub(" ", cell).split())
    if len(name) > LONGEST_NAME:
        raise RowError("Folder_name", f"longer than {LONGEST_NAME} characters")
    if name and not name_key(name):
        raise RowError("Folder_name", "nothing of it can be seen")
    return name


def _text(cell: str) -> str:
    text = cell.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise RowError("Message", "must not be blank")
    if len(text) > LONGEST_TEXT:
        raise RowError("Message", f"longer than {LONGEST_TEXT} characters")
    if _UNFIT.search(text):
        raise RowError("Message", "has control characters")
    parts: tuple[ContentPart, ...] = (TextPart(text=text),)
    try:
        check_variables(parts, "Message", bare=True)
    except CommandError as error:
        raise RowError("Message", error.detail.removeprefix("Message: ")) from None
    return text
