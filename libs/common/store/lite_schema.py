# ruff: noqa: S608 table and column names come from declarations, every value is bound
"""The tables of the SQLite engine: created at open, compared with what is there, extended.

A collection is one table: the document as JSON text, and a column for each indexed field, filled
by us in index form. A multikey field has a table of entries of its own, one row for each value,
that repeats the other columns of its indexes. An index that a newer version declares gets its
column here, filled from the stored documents.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from libs.common.errors import SettingsError
from libs.common.store.api import Document, Index
from libs.common.store.fields import FORMS, ID, Field, Scalar, Spec, Specs

_KEY_COLUMNS = {"id": "id", "workspace": "workspace", "rev": "rev"}
_TYPES = {"text": "TEXT", "time": "TEXT", "integer": "INTEGER", "boolean": "INTEGER"}
_FILL_ROWS = 500
_fitting: dict[tuple[Spec[Any], ...], list[tuple[str, str, str | None]]] = {}
"""What a file declares in which nothing is to be done, as seen by this process.

What there is to do follows from these words alone, so a file that has the same is ready: to tell
costs a tenth of looking for each table, column and index by its name.
"""


class Entries(msgspec.Struct, frozen=True):
    """The table of one multikey field, and the plain fields that its indexes repeat."""

    table: str
    field: Field
    repeated: tuple[Field, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns, the value third."""
        return ("workspace", "id", column(self.field), *map(column, self.repeated))

    def rows(self, doc: Document) -> list[tuple[Scalar | None, ...]]:
        """Return its rows for *doc*, in the order of `columns`."""
        values = dict.fromkeys(self.field.scalars(doc))
        rest = plain(self.repeated, doc) if values else []
        return [(doc.workspace, doc.id, value, *rest) for value in values]


def column(field: Field) -> str:
    """Return the column that holds *field*."""
    return _KEY_COLUMNS.get(field.name, f"x_{field.name}")


def plain(fields: Sequence[Field], doc: Document) -> list[Scalar | None]:
    """Return what the columns of fields that are not multikey hold for *doc*.

    It runs for each document written, so it calls no more than it must.
    """
    row: list[Scalar | None] = []
    for field in fields:
        value = getattr(doc, field.name)
        if value is None:
            row.append(None)
            continue
        form = FORMS[field.kind](value)
        if form is None:
            raise field.refusal(value)
        row.append(form)
    return row


def side_fields(spec: Spec[Any]) -> tuple[Field, ...]:
    """Return the fields with a column of their own in the main table."""
    fields = spec.fields.values()
    return tuple(f for f in fields if not f.multikey and f.name not in _KEY_COLUMNS)


def entries_of(spec: Spec[Any]) -> tuple[Entries, ...]:
    """Return the entry tables of a collection."""
    found = []
    for field in spec.fields.values():
        if field.multikey:
            shared = [f for i in spec.indexes if field.name in i.fields for f in spec.of(i)]
            others = dict.fromkeys(f for f in shared if f not in (field, ID))
            found.append(Entries(f"{spec.name}__{field.name}", field, tuple(others)))
    return tuple(found)


def fits(connection: sqlite3.Connection, specs: Specs) -> bool:
    """Tell whether the file is known to have all tables and indexes, without locking it."""
    known = _fitting.get(tuple(specs))
    return known is not None and known == _declared(connection)


def bring_up_to_date(connection: sqlite3.Connection, specs: Specs) -> None:
    """Create or extend the tables and indexes, inside the caller's transaction.

    Raises:
        SettingsError: As `prepare`.
    """
    for spec in specs:
        prepare(connection, spec)
    _fitting[tuple(specs)] = _declared(connection)


def prepare(connection: sqlite3.Connection, spec: Spec[Any]) -> None:
    """Create or extend the tables and indexes of a collection, inside the caller's transaction.

    Raises:
        SettingsError: An index or column exists and is declared differently; names it.
    """
    connection.execute(
        f'CREATE TABLE IF NOT EXISTS "{spec.name}" (n INTEGER PRIMARY KEY,'
        " workspace TEXT NOT NULL, id TEXT NOT NULL, rev INTEGER NOT NULL,"
        " shape TEXT NOT NULL, doc TEXT NOT NULL, UNIQUE (workspace, id))"
    )
    _add_columns(connection, spec)
    for entries in entries_of(spec):
        _add_entries(connection, spec, entries)
    for index in reversed(spec.indexes):  # SQLite checks the newest first: the first declared
        _add_index(connection, spec, index)


def index_name(spec: Spec[Any], index: Index) -> str:
    """Return the name of an index in the database."""
    return f"{spec.name}.{index.name}"


def _add_columns(connection: sqlite3.Connection, spec: Spec[Any]) -> None:
    existing = _columns(connection, spec.name)
    missing = []
    for field in side_fields(spec):
        found = existing.get(column(field))
        if found is None:
            default = "NULL" if field.default is None else _literal(field.default)
            connection.execute(
                f'ALTER TABLE "{spec.name}" ADD COLUMN {column(field)}'
                f" {_TYPES[field.kind]} DEFAULT {default}"
            )
            missing.append(field)
        elif found != _TYPES[field.kind]:
            raise SettingsError(f"{spec.name}.{field.name} is stored as {found}: migrate it first")
    if missing:
        change = ", ".join(f"{column(field)} = ?" for field in missing)
        connection.executemany(
            f'UPDATE "{spec.name}" SET {change} WHERE n = ?',
            ((*plain(missing, doc), n) for n, doc in _stored(connection, spec)),
        )


def _add_entries(connection: sqlite3.Connection, spec: Spec[Any], entries: Entries) -> None:
    existing = _columns(connection, entries.table)
    if set(entries.columns) <= existing.keys():
        return
    connection.execute(f'DROP TABLE IF EXISTS "{entries.table}"')
    repeated = "".join(f", {column(f)} {_TYPES[f.kind]}" for f in entries.repeated)
    value = column(entries.field)
    connection.execute(
        f'CREATE TABLE "{entries.table}" (workspace TEXT NOT NULL, id TEXT NOT NULL,'
        f" {value} {_TYPES[entries.field.kind]} NOT NULL{repeated},"
        f" PRIMARY KEY (workspace, id, {value})) WITHOUT ROWID"
    )
    places = ", ".join("?" * len(entries.columns))
    connection.executemany(
        f'INSERT INTO "{entries.table}" ({", ".join(entries.columns)}) VALUES ({places})',
        (row for _, doc in _stored(connection, spec) for row in entries.rows(doc)),
    )


def _add_index(connection: sqlite3.Connection, spec: Spec[Any], index: Index) -> None:
    name = index_name(spec, index)
    fields = spec.sorted_by(index)
    multikey = next((field for field in fields if field.multikey), None)
    table = f"{spec.name}__{multikey.name}" if multikey else spec.name
    nullable = [column(f) for f in fields if f.nullable and not f.multikey]
    only = " AND ".join(f"{name} IS NOT NULL" for name in nullable)
    wanted = (
        f'CREATE {"UNIQUE " if index.unique else ""}INDEX "{name}" ON "{table}"'
        f" (workspace, {', '.join(map(column, fields))}){' WHERE ' + only if only else ''}"
    )
    found = connection.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND name = ?", (name,)
    ).fetchone()
    if found is None:
        try:
            connection.execute(wanted)
        except sqlite3.IntegrityError:
            raise SettingsError(f"{spec.name}: stored documents break index {index.name}") from None
    elif found[0] != wanted:
        raise SettingsError(f"{spec.name}: index {index.name} exists and is declared differently")


def _declared(connection: sqlite3.Connection) -> list[tuple[str, str, str | None]]:
    return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


def _columns(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    rows = connection.execute(f'PRAGMA table_info("{table}")')
    return {name: declared for _, name, declared, *_ in rows}


def _literal(value: Scalar) -> str:
    return str(int(value)) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _stored(connection: sqlite3.Connection, spec: Spec[Any]) -> Iterator[tuple[int, Document]]:
    decode = msgspec.json.Decoder(spec.kind).decode
    last, rows = 0, [(0, "")]
    while rows:
        rows = connection.execute(
            f'SELECT n, doc FROM "{spec.name}" WHERE n > ? ORDER BY n LIMIT {_FILL_ROWS}', (last,)
        ).fetchall()
        for last, text in rows:
            try:
                yield last, decode(text)
            except msgspec.ValidationError as error:
                raise spec.unreadable(error) from error
