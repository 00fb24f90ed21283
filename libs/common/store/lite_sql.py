# ruff: noqa: S608 table and column names come from declarations, every value is bound
"""The statements of the SQLite engine, and the compiler from `Query` to SQL.

A batch is one statement of many rows, not many statements: between two statements the writer
thread must win the interpreter lock back from the event loop, which costs up to 5 ms each under
load (200 single inserts took 1.5 s beside a busy loop, one statement of 200 rows took 29 ms).
For the same reason a page of documents is read as one row, joined by line feeds: JSON has none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from libs.common.store.api import Document
from libs.common.store.fields import Field, Scalar, Spec
from libs.common.store.lite_schema import column, entries_of, index_name, plain, side_fields
from libs.common.store.query import Also, Between, Condition, Equal, OneOf, Query, Values

Statement = tuple[str, list[Scalar | None]]
MIXED = "mixed"
"""The shape of a row that keeps fields its last writer does not know."""

_DOCS = "SELECT group_concat(doc, char(10)) FROM"
_as_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Row(NamedTuple):
    """A document as the tables hold it; `rev` is the new one."""

    workspace: str
    id: str
    rev: int
    doc: str
    side: list[Scalar | None]
    entries: list[list[tuple[Scalar | None, ...]]]


class Statements:
    """The statements of one collection."""

    def __init__(self, spec: Spec[Any]) -> None:
        self.spec = spec
        self.side = side_fields(spec)
        self.entries = entries_of(spec)
        side = [column(field) for field in self.side]
        self._columns = ", ".join(["workspace", "id", "rev", "shape", "doc", *side])
        self.width = 5 + len(side)
        self.entry_width = max((len(e.columns) for e in self.entries), default=1)
        changes = [f"{name} = v.column{n}" for n, name in enumerate(side, 6)]
        self._set = ", ".join(["rev = v.column3", "shape = v.column4", "doc = v.column5", *changes])

    def row(self, doc: Document) -> Row:
        """Return the row of a document that carries its new `rev`.

        Raises:
            ValueError: An indexed field holds what it cannot, or text is not Unicode.
        """
        return Row(
            doc.workspace,
            doc.id,
            doc.rev,
            msgspec.json.encode(doc).decode(),
            plain(self.side, doc),
            [entries.rows(doc) for entries in self.entries],
        )

    def insert(self, rows: Sequence[Row]) -> Statement:
        """Return the insertion of all *rows* or none of them."""
        sql = f'INSERT INTO "{self.spec.name}" ({self._columns}) VALUES {_places(rows, self.width)}'
        return sql, self._values(rows, self.spec.shape)

    def update(self, rows: Sequence[Row], shape: str, new_shape: str) -> Statement:
        """Return the update of the *rows* whose stored `rev` and shape are the expected ones."""
        sql = (
            f'UPDATE "{self.spec.name}" AS t SET {self._set}'
            f" FROM (VALUES {_places(rows, self.width)}) AS v"
            " WHERE t.workspace = v.column1 AND t.id = v.column2 AND t.rev = v.column3 - 1"
            " AND t.shape = ?"
        )
        return sql, [*self._values(rows, new_shape), shape]

    def add_entries(self, rows: Sequence[Row]) -> list[Statement]:
        """Return the insertions into the entry tables."""
        found = []
        for n, entries in enumerate(self.entries):
            values = [entry for row in rows for entry in row.entries[n]]
            if values:
                names = ", ".join(entries.columns)
                places = _places(values, len(entries.columns))
                sql = f'INSERT INTO "{entries.table}" ({names}) VALUES {places}'
                found.append((sql, [value for entry in values for value in entry]))
        return found

    def drop_entries(self, keys: Sequence[tuple[str, str]]) -> list[Statement]:
        """Return the deletions from the entry tables, by workspace and id."""
        values: list[Scalar | None] = [part for key in keys for part in key]
        where = f"(workspace, id) IN (VALUES {_places(keys, 2)})"
        return [(f'DELETE FROM "{e.table}" WHERE {where}', values) for e in self.entries]

    def find(self, query: Query) -> Statement:
        """Return the statement for one page, as one row of lines."""
        source, where, values = _body(self.spec, query)
        if query.after is not None:
            names = ", ".join(_name(query, field) for field in query.order)
            sign = "<" if query.descending else ">"
            where += f" AND ({names}) {sign} ({', '.join('?' * len(query.after))})"
            values.extend(query.after)
        way = " DESC" if query.descending else ""
        order = ", ".join(_name(query, field) + way for field in query.order)
        by = f" ORDER BY {order}" if order else ""
        rest = f"WHERE {where}{by} LIMIT ? OFFSET ?"
        walked = _walked_alone(self.spec, query, rest)
        if walked:  # the documents are read of those found, not of those passed over
            found = f"(SELECT c.workspace, c.id FROM {walked} {rest}) AS f"
            sql = (
                f'{_DOCS} (SELECT m.doc FROM {found} CROSS JOIN "{self.spec.name}" AS m'
                " ON m.workspace = f.workspace AND m.id = f.id)"
            )
        else:
            sql = f"{_DOCS} (SELECT m.doc FROM {source} {rest})"
        return sql, [*values, query.limit, query.skip]

    def count(self, query: Query, limit: int) -> Statement:
        """Return the statement that counts, up to *limit*."""
        source, where, values = _body(self.spec, query)
        source = _walked_alone(self.spec, query, where) or source
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {source} WHERE {where} LIMIT ?)"
        return sql, [*values, limit]

    def group(self, query: Query, by: Field) -> Statement:
        """Return the statement for `(value, count)` rows."""
        source, where, values = _body(self.spec, query)
        name = f"m.{column(by)}"
        if by.multikey:
            source += f' JOIN "{self.spec.name}__{by.name}" AS g'
            source += " ON g.workspace = m.workspace AND g.id = m.id"
            name = f"g.{column(by)}"
        return f"SELECT {name}, count(*) FROM {source} WHERE {where} GROUP BY {name}", values

    def values(self, wanted: Values) -> Statement:
        """Return the statement for the values in a range: one look at the index for each."""
        name = column(wanted.field)
        table = self.spec.name
        if wanted.field.multikey:
            table += f"__{wanted.field.name}"
        source = f'"{table}" INDEXED BY "{index_name(self.spec, wanted.index)}"'
        limit = "" if wanted.lt is None else f" AND {name} < ?"
        given: list[Scalar | None] = [] if wanted.lt is None else [wanted.lt]
        look = f"SELECT min({name}) FROM {source} WHERE workspace = ? AND {name}"
        sql = (
            f"WITH RECURSIVE v(value) AS ({look} >= ?{limit} UNION ALL"
            f" SELECT ({look} > v.value{limit}) FROM v WHERE v.value IS NOT NULL)"
            " SELECT value FROM v WHERE value IS NOT NULL LIMIT ?"
        )
        first = [wanted.workspace, wanted.ge, *given]
        return sql, [*first, wanted.workspace, *given, wanted.limit]

    def _values(self, rows: Sequence[Row], shape: str) -> list[Scalar | None]:
        heads = ((row.workspace, row.id, row.rev, shape, row.doc, *row.side) for row in rows)
        return [value for head in heads for value in head]


def read_many(table: str) -> str:
    """Return the SQL for the documents of a workspace by a JSON array of ids, as one row."""
    return f'{_DOCS} "{table}" WHERE workspace = ? AND id IN (SELECT value FROM json_each(?))'


def keep_unknown(doc: str, stored: bytes | str, known: frozenset[str]) -> tuple[str, bool]:
    """Return *doc* with the stored fields that this version does not know, and whether any."""
    old = _as_parts.decode(stored)
    unknown = {name: value for name, value in old.items() if name not in known}
    if not unknown:
        return doc, False
    return msgspec.json.encode(unknown | _as_parts.decode(doc)).decode(), True


def violated(spec: Spec[Any], error: sqlite3.IntegrityError) -> str:
    """Return the index that SQLite names by its columns: `UNIQUE constraint failed: t.a, t.b`."""
    names = str(error).partition(": ")[2].split(", ")
    return spec.violated(name.rpartition(".")[2].removeprefix("x_") for name in names)


def _places(rows: Sequence[object], width: int) -> str:
    row = f"({', '.join('?' * width)})"
    return ", ".join([row] * len(rows))


def _walked_alone(spec: Spec[Any], query: Query, clauses: str) -> str:
    """Return the entry table to walk where *clauses* ask for nothing else, else nothing."""
    return _walked(spec, query) if query.walk and "m." not in clauses else ""


def _walked(spec: Spec[Any], query: Query) -> str:
    by = f' INDEXED BY "{index_name(spec, query.index)}"' if query.index else ""
    name = query.walk.name if query.walk else ""
    return f'"{spec.name}__{name}" AS c{by}'


def _body(spec: Spec[Any], query: Query) -> tuple[str, str, list[Scalar | None]]:
    by = f' INDEXED BY "{index_name(spec, query.index)}"' if query.index else ""
    source = f'"{spec.name}" AS m{by}'
    if query.walk:
        source = f'{_walked(spec, query)} CROSS JOIN "{spec.name}" AS m'
        source += " ON m.workspace = c.workspace AND m.id = c.id"
    of = "c" if query.walk else "m"
    parts = [f"{of}.workspace = ?"]
    values: list[Scalar | None] = [query.workspace]
    for condition in query.conditions:
        field = condition.field
        clause, given = _compare(_name(query, field), condition)
        if field.multikey and not (field == query.walk and isinstance(condition, Equal)):
            clause, given = _compare(f"k.{column(field)}", condition)
            clause = (
                f'EXISTS (SELECT 1 FROM "{spec.name}__{field.name}" AS k'
                f" WHERE k.workspace = {of}.workspace AND k.id = {of}.id AND {clause})"
            )
        parts.append(clause)
        values.extend(given)
    return source, " AND ".join(parts), values


def _name(query: Query, field: Field) -> str:
    walked = query.walk and (field == query.walk or _repeated(query, field))
    return f"{'c' if walked else 'm'}.{column(field)}"


def _repeated(query: Query, field: Field) -> bool:
    return query.index is not None and (field.name in query.index.fields or field.name == "id")


def _compare(name: str, condition: Condition) -> tuple[str, Sequence[Scalar]]:
    match condition:
        case Equal(value=value) | Also(value=value):
            return f"{name} = ?", (value,)
        case OneOf(values=values):
            return f"{name} IN ({', '.join('?' * len(values))})", values
        case Between(ge=None, lt=None):
            return f"{name} IS NOT NULL", ()
        case Between(ge=ge, lt=None) if ge is not None:
            return f"{name} >= ?", (ge,)
        case Between(ge=None, lt=lt) if lt is not None:
            return f"{name} < ?", (lt,)
        case Between(ge=ge, lt=lt):
            return f"{name} >= ? AND {name} < ?", (ge or 0, lt or 0)
