# ruff: noqa: S608 table and column names come from declarations, every value is bound
"""The changes of the SQLite engine, each run inside the writer's transaction.

Every change begins with the one statement that can be refused; SQLite undoes a refused statement
as a whole, so what raises here has changed nothing and needs no savepoint.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from libs.common.errors import GatewayError, StaleRevisionError, UniqueConflictError
from libs.common.store.lite_sql import MIXED, Row, Statement, Statements, keep_unknown, violated

_MAX_VALUES = 30_000
"""SQLite allows 32,766 parameters in a statement."""


def insert(to: Statements, row: Row, connection: sqlite3.Connection) -> None:
    """Insert one document.

    Raises:
        UniqueConflictError: Names the index.
    """
    _insert_row(to, row, connection)


def insert_many(
    to: Statements, rows: Sequence[Row], connection: sqlite3.Connection
) -> dict[str, str]:
    """Insert what can be inserted; return the violated index of the others."""
    refused: dict[str, str] = {}
    for chunk in _chunks(to, rows):
        try:
            _insert_rows(to, chunk, connection)
        except UniqueConflictError:
            for row in chunk:
                try:
                    _insert_row(to, row, connection)
                except UniqueConflictError as error:
                    refused[row.id] = error.index
    return refused


def replace(to: Statements, row: Row, connection: sqlite3.Connection) -> None:
    """Replace one document, guarded by `rev`; top-level fields unknown to us are kept.

    Raises:
        StaleRevisionError: `rev` has moved on, or the document is gone.
        UniqueConflictError: Names the index.
    """
    shape = to.spec.shape
    if not _update_rows(to, [row], (shape, shape), connection):
        old = connection.execute(
            f'SELECT shape, doc FROM "{to.spec.name}" WHERE workspace = ? AND id = ? AND rev = ?',
            (row.workspace, row.id, row.rev - 1),
        ).fetchone()
        if old is None:
            raise StaleRevisionError(f"{row.id} is past rev {row.rev - 1}, or gone")
        doc, mixed = keep_unknown(row.doc, old[1], to.spec.known)
        shapes = (old[0], MIXED if mixed else shape)
        _update_rows(to, [row._replace(doc=doc)], shapes, connection)


def replace_many(
    to: Statements, rows: Sequence[Row], connection: sqlite3.Connection
) -> dict[str, str]:
    """Replace what can be replaced; return the code of the failure of the others."""
    refused: dict[str, str] = {}
    for chunk in _chunks(to, rows):
        connection.execute("SAVEPOINT chunk")
        try:
            shape = to.spec.shape
            done = _update_rows(to, chunk, (shape, shape), connection) == len(chunk)
        except UniqueConflictError:
            done = False
        if not done:
            connection.execute("ROLLBACK TO chunk")
            for row in chunk:
                try:
                    replace(to, row, connection)
                except GatewayError as error:
                    refused[row.id] = error.code
        connection.execute("RELEASE chunk")
    return refused


def delete(of: Statements, workspace: str, doc_id: str, connection: sqlite3.Connection) -> bool:
    """Delete one document; tell whether it was there."""
    sql = f'DELETE FROM "{of.spec.name}" WHERE workspace = ? AND id = ?'
    found = connection.execute(sql, (workspace, doc_id)).rowcount == 1
    _execute_all(of.drop_entries([(workspace, doc_id)]), connection)
    return found


def _insert_row(to: Statements, row: Row, connection: sqlite3.Connection) -> None:
    """Insert one; where the id exists that is named, whatever else is violated as well."""
    try:
        _insert_rows(to, [row], connection)
    except UniqueConflictError:
        sql = f'SELECT 1 FROM "{to.spec.name}" WHERE workspace = ? AND id = ?'
        if connection.execute(sql, (row.workspace, row.id)).fetchone():
            raise _conflict(to, "id") from None
        raise


def _insert_rows(to: Statements, rows: Sequence[Row], connection: sqlite3.Connection) -> None:
    _guarded(to, to.insert(rows), connection)
    _execute_all(to.add_entries(rows), connection)


def _update_rows(
    to: Statements, rows: Sequence[Row], shapes: tuple[str, str], connection: sqlite3.Connection
) -> int:
    """Update the rows that are as expected; the entry tables follow only when all are."""
    changed = _guarded(to, to.update(rows, *shapes), connection)
    if changed == len(rows):
        _execute_all(to.drop_entries([(row.workspace, row.id) for row in rows]), connection)
        _execute_all(to.add_entries(rows), connection)
    return changed


def _guarded(to: Statements, statement: Statement, connection: sqlite3.Connection) -> int:
    try:
        return connection.execute(*statement).rowcount
    except sqlite3.IntegrityError as error:
        raise _conflict(to, violated(to.spec, error)) from None


def _conflict(to: Statements, index: str) -> UniqueConflictError:
    return UniqueConflictError(f"{to.spec.name}: {index} exists", index=index)


def _execute_all(statements: Sequence[Statement], connection: sqlite3.Connection) -> None:
    for statement in statements:
        connection.execute(*statement)


def _chunks(to: Statements, rows: Sequence[Row]) -> list[Sequence[Row]]:
    entries = max((len(values) for row in rows for values in row.entries), default=1)
    size = max(1, _MAX_VALUES // (max(to.width, entries * to.entry_width) + 1))
    return [rows[start : start + size] for start in range(0, len(rows), size)]
