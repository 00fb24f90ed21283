"""The store on SQLite: one file, durable, safe for several processes on one machine.

Writes go through one thread (`lite_writer`), reads through a few connections of their own, which
in WAL mode neither wait for writers nor hold them up.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from libs.common.errors import SettingsError, StoreUnavailableError
from libs.common.store.api import Collection, Document, Page, Range, Store, Where
from libs.common.store.fields import Specs, check_keys, check_workspace
from libs.common.store.lite_schema import bring_up_to_date, fits
from libs.common.store.lite_sql import Statement, Statements, read_many
from libs.common.store.lite_write import delete, insert, insert_many, replace, replace_many
from libs.common.store.lite_writer import DEADLINE_S, LOCK_WAIT_S, Writer, begin, is_busy
from libs.common.store.query import (
    group_text,
    page_key,
    parse_find,
    parse_group,
    parse_values,
    parse_where,
)

D = TypeVar("D", bound=Document)

READERS = 2
SWITCH_S = 1e-5
"""How soon a busy event loop must hand the interpreter to our threads, for the whole process.

With Python's 5 ms, each hand-over restarts the wait: beside a loop that never rests a single
insert took up to 4 s, with this at most 9 ms (docs/adr/0008).
"""
OLDEST = (3, 33)
"""`UPDATE FROM` came with SQLite 3.33."""
_OPEN_WAIT_S = 60.0
_OPEN_RETRY_S = 0.02
_HEALTH_S = 1.0
_SCRUB_WAIT_S = 10.0


class LiteStore:
    """`Store` on a SQLite file.

    Args:
        path: The file, whose tables are up to date.
        specs: All the collections that it is asked for.
        connection: To write by; the store owns it from here on.
    """

    def __init__(self, path: Path, specs: Specs, connection: sqlite3.Connection) -> None:
        self._path = path
        self._specs = specs
        self._statements = {spec.name: Statements(spec) for spec in specs}
        self._writer = Writer(connection)
        self._readers: deque[sqlite3.Connection | None] = deque([None] * READERS)
        """Those that are free, the last used on top; None: not opened yet."""
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")

    async def close(self) -> None:
        """Finish the waiting writes, then close every connection."""
        await self._writer.close()
        await asyncio.to_thread(self._threads.shutdown)
        for reader in self._readers:
            if reader is not None:
                reader.close()

    async def insert(self, collection: Collection[D], doc: D) -> D:
        """See `Store.insert`."""
        check_keys([doc])
        statements = self._of(collection)
        stored = msgspec.structs.replace(doc, rev=1)
        await self._writer.run(partial(insert, statements, statements.row(stored)))
        return stored

    async def insert_many(self, collection: Collection[D], docs: Sequence[D]) -> dict[str, str]:
        """See `Store.insert_many`."""
        check_keys(docs)
        statements = self._of(collection)
        rows = [statements.row(msgspec.structs.replace(doc, rev=doc.rev + 1)) for doc in docs]
        return await self._writer.run(partial(insert_many, statements, rows)) if rows else {}

    async def replace(self, collection: Collection[D], doc: D) -> D:
        """See `Store.replace`."""
        check_keys([doc])
        statements = self._of(collection)
        stored = msgspec.structs.replace(doc, rev=doc.rev + 1)
        await self._writer.run(partial(replace, statements, statements.row(stored)))
        return stored

    async def replace_many(self, collection: Collection[D], docs: Sequence[D]) -> dict[str, str]:
        """See `Store.replace_many`."""
        check_keys(docs)
        statements = self._of(collection)
        rows = [statements.row(msgspec.structs.replace(doc, rev=doc.rev + 1)) for doc in docs]
        return await self._writer.run(partial(replace_many, statements, rows)) if rows else {}

    async def delete(self, collection: Collection[D], workspace: str, doc_id: str) -> bool:
        """See `Store.delete`."""
        table = self._of(collection)
        return await self._writer.run(partial(delete, table, check_workspace(workspace), doc_id))

    async def get(self, collection: Collection[D], workspace: str, doc_id: str) -> D | None:
        """See `Store.get`."""
        return (await self.get_many(collection, workspace, [doc_id])).get(doc_id)

    async def get_many(
        self, collection: Collection[D], workspace: str, ids: Sequence[str]
    ) -> dict[str, D]:
        """See `Store.get_many`."""
        table = self._specs.of(collection).name
        wanted = msgspec.json.encode(list(ids)).decode()
        docs = await self._documents(
            collection, (read_many(table), [check_workspace(workspace), wanted])
        )
        return {doc.id: doc for doc in docs}

    async def find(
        self, collection: Collection[D], workspace: str, where: Where, page: Page
    ) -> list[D]:
        """See `Store.find`."""
        query = parse_find(self._specs.of(collection), workspace, where, page)
        if query.is_empty:
            return []
        docs = await self._documents(collection, self._of(collection).find(query))
        # SQLite joins the lines in the order of the subquery, but does not promise it.
        return sorted(docs, key=partial(page_key, query), reverse=query.descending)

    async def count(
        self, collection: Collection[D], workspace: str, where: Where, *, limit: int = 1000
    ) -> int:
        """See `Store.count`."""
        query = parse_where(self._specs.of(collection), workspace, where)
        if query.is_empty or limit < 1:
            return 0
        rows = await self._read(self._of(collection).count(query, limit))
        return int(rows[0][0])

    async def group_count(
        self, collection: Collection[D], workspace: str, where: Where, *, by: str
    ) -> dict[str, int]:
        """See `Store.group_count`."""
        query, field = parse_group(self._specs.of(collection), workspace, where, by)
        if query.is_empty:
            return {}
        rows = await self._read(self._of(collection).group(query, field))
        return {group_text(field, value): number for value, number in rows}

    async def values(
        self, collection: Collection[D], workspace: str, field: str, within: Range, *, limit: int
    ) -> list[str]:
        """See `Store.values`."""
        wanted = parse_values(self._specs.of(collection), workspace, field, within, limit)
        rows = await self._read(self._of(collection).values(wanted))
        return [value for (value,) in rows]

    async def scrub(self) -> None:
        """See `Store.scrub`: freed space is overwritten at once, and the log is cut off here."""
        await asyncio.to_thread(_cut_log, self._path)

    async def healthy(self) -> bool:
        """See `Store.healthy`: a read answers, and the writer gets its lock."""
        try:
            async with asyncio.timeout(_HEALTH_S):
                await self._read(("SELECT 1", []))
                await self._writer.run(lambda _: None)
        except (TimeoutError, StoreUnavailableError):
            return False
        return True

    def _of(self, collection: Collection[Any]) -> Statements:
        return self._statements[self._specs.of(collection).name]

    async def _documents(self, collection: Collection[D], statement: Statement) -> list[D]:
        spec = self._specs.of(collection)
        [(lines,)] = await self._read(statement)
        try:
            return msgspec.json.Decoder(spec.kind).decode_lines(lines or "")
        except msgspec.ValidationError as error:
            raise spec.unreadable(error) from error

    async def _read(self, statement: Statement) -> list[Any]:
        """Run *statement* on a free reader.

        Raises:
            StoreUnavailableError: No answer in time, or SQLite refused.
        """
        running: list[sqlite3.Connection] = []
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(DEADLINE_S):
                work = partial(self._fetch, statement, running)
                return await loop.run_in_executor(self._threads, work)
        except TimeoutError:
            for connection in running:
                connection.interrupt()
            raise StoreUnavailableError(f"no answer within {DEADLINE_S} s") from None
        except sqlite3.Error as error:
            raise StoreUnavailableError(f"SQLite refused: {type(error).__name__}") from error
        except RuntimeError as error:  # the pool is shut down
            raise StoreUnavailableError("the store is closed") from error

    def _fetch(self, statement: Statement, running: list[sqlite3.Connection]) -> list[Any]:
        connection = self._readers.pop()  # there is one for each thread
        try:
            if connection is None:
                connection = _reader(self._path)
            running.append(connection)
            return connection.execute(*statement).fetchall()
        finally:
            running.clear()
            self._readers.append(connection)


@asynccontextmanager
async def open_lite(path: Path, specs: Specs) -> AsyncIterator[Store]:
    """Open the file, created with its folder where missing, and bring its tables up to date.

    Raises:
        SettingsError: SQLite is too old, the file cannot be used, or an index has drifted.
        StoreUnavailableError: Another process holds the file for more than a minute.
    """
    sys.setswitchinterval(min(SWITCH_S, sys.getswitchinterval()))
    store = LiteStore(path, specs, await asyncio.to_thread(_prepared, path, specs))
    try:
        yield store
    finally:
        await store.close()


def connect(path: Path, *, wait_s: float) -> sqlite3.Connection:
    """Open a connection in autocommit mode that syncs every commit to disk."""
    connection = sqlite3.connect(
        path, timeout=wait_s, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -8000")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA secure_delete = ON")  # what is erased must be so in the file
    return connection


def _reader(path: Path) -> sqlite3.Connection:
    reader = connect(path, wait_s=LOCK_WAIT_S)
    reader.execute("PRAGMA query_only = ON")
    return reader


def _cut_log(path: Path) -> None:
    """Move the whole log into the file and cut it off, as soon as nobody reads an older state."""
    end = time.monotonic() + _SCRUB_WAIT_S
    try:
        connection = connect(path, wait_s=1.0)
        try:
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > end:
                    raise StoreUnavailableError("the log is read or written all the time")
                time.sleep(_OPEN_RETRY_S)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreUnavailableError(f"SQLite refused: {error}") from error


def _prepared(path: Path, specs: Specs) -> sqlite3.Connection:
    """Return a connection to the file, whose tables are up to date."""
    if sqlite3.sqlite_version_info < OLDEST:
        raise SettingsError(f"SQLite {sqlite3.sqlite_version} is too old: 3.33 is needed")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _create(path)
        connection = connect(path, wait_s=_OPEN_WAIT_S)
    except (OSError, sqlite3.Error) as error:
        raise SettingsError(f"the store's file cannot be used: {error}") from error
    try:
        _bring_up_to_date(connection, specs)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: Path) -> None:
    """Create the file for us alone: it holds conversations.

    One that exists is not opened: closing it would drop the locks that this process has on it
    (POSIX), and another process would then remove the log that we still write to.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _bring_up_to_date(connection: sqlite3.Connection, specs: Specs) -> None:
    try:
        _switch_to_wal(connection)
        if not fits(connection, specs):
            begin(connection, _OPEN_WAIT_S)
            bring_up_to_date(connection, specs)
            connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise StoreUnavailableError(f"SQLite refused: {error}") from error
    except sqlite3.DatabaseError as error:
        raise SettingsError(f"the store's file cannot be used: {error}") from error


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Set WAL mode, which stays with the file; SQLite does not wait here when processes race."""
    end = time.monotonic() + _OPEN_WAIT_S
    while True:
        try:
            [(mode,)] = connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > end:
                raise
            time.sleep(_OPEN_RETRY_S)
            continue
        if mode != "wal":
            raise SettingsError("the store's file system does not support SQLite's WAL mode")
        return
