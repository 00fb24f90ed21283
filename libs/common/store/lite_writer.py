"""One thread that writes to SQLite: what waits is committed together, answered after the commit.

SQLite has one writer at a time, in all processes together, and a durable commit costs a disk
sync. So one thread drains the queue into one transaction and shares the sync among all callers.
"""

from __future__ import annotations

import asyncio
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from libs.common.errors import GatewayError, StoreUnavailableError

T = TypeVar("T")

DEADLINE_S = 5.0
"""How long a call waits for its answer."""
LOCK_WAIT_S = 4.0
"""How long to wait for the writers of other processes; below the deadline."""
_BATCH = 256
_RETRY_S = 0.002


class Change(NamedTuple):
    """A change and who waits for it.

    `apply` either changes everything it wants, or raises a `GatewayError` and changes nothing.
    """

    apply: Callable[[sqlite3.Connection], Any]
    answer: asyncio.Future[Any]
    deadline: float


class Writer:
    """The writing thread; made, used and closed on one event loop.

    Args:
        connection: In autocommit mode; the thread owns it from here on and closes it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._thread.start()

    async def run(self, apply: Callable[[sqlite3.Connection], T]) -> T:
        """Run *apply* in a transaction and return its result once that is committed.

        Raises:
            StoreUnavailableError: Not committed in time, or the disk refused. After a timeout the
                change may still happen.
        """
        if not self._thread.is_alive():
            raise StoreUnavailableError("the store is closed")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._waiting.put(Change(apply, answer, time.monotonic() + DEADLINE_S))
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await answer
        except TimeoutError:
            raise StoreUnavailableError(f"no commit within {DEADLINE_S} s") from None

    async def close(self) -> None:
        """Finish what waits, then end the thread."""
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join, DEADLINE_S)

    def _serve(self) -> None:
        self._connection.execute("PRAGMA busy_timeout = 0")  # `begin` waits better
        last = False
        while not last:
            changes, last = self._take()
            outcomes = commit(self._connection, changes) if changes else []
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_answer, changes, outcomes)
        self._connection.close()

    def _take(self) -> tuple[list[Change], bool]:
        """Wait for a change, then take all that wait; tell whether it was the last time."""
        changes: list[Change] = []
        item = self._waiting.get()
        while item is not None:
            changes.append(item)
            if len(changes) == _BATCH or self._waiting.empty():
                return changes, False
            item = self._waiting.get()
        return changes, True


def commit(connection: sqlite3.Connection, changes: Sequence[Change]) -> list[object]:
    """Apply *changes* in one transaction; return each one's result or exception.

    When one of several fails unexpectedly, all are undone and each is tried by itself, so that a
    bad one cannot fail its neighbours.
    """
    try:
        begin(connection, LOCK_WAIT_S)
    except sqlite3.Error as error:
        return [_unavailable(error) for _ in changes]
    try:
        outcomes = [_outcome(connection, change) for change in changes]
        connection.execute("COMMIT")
    except Exception as error:  # noqa: BLE001 the boundary of the thread: every caller is told
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        if len(changes) > 1:
            return [outcome for change in changes for outcome in commit(connection, [change])]
        return [_unavailable(error) if isinstance(error, sqlite3.Error) else error]
    return outcomes


def begin(connection: sqlite3.Connection, wait_s: float) -> None:
    """Begin a writing transaction as soon as no other process has one.

    SQLite's own waiting sleeps up to 100 ms at a time, which let a busy neighbour keep us out for
    a second; asking every few milliseconds takes turns.

    Raises:
        sqlite3.OperationalError: Still locked after *wait_s*, or another failure.
    """
    end = time.monotonic() + wait_s
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > end:
                raise
            time.sleep(random.uniform(0.5, 1.5) * _RETRY_S)  # noqa: S311 jitter, not a secret
        else:
            return


def is_busy(error: sqlite3.Error) -> bool:
    """Tell that another process holds the file, for whatever reason."""
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _outcome(connection: sqlite3.Connection, change: Change) -> object:
    if change.answer.done() or time.monotonic() > change.deadline:  # nobody waits any more
        return StoreUnavailableError("too late")
    try:
        return change.apply(connection)
    except GatewayError as error:
        return error


def _answer(changes: Sequence[Change], outcomes: Sequence[object]) -> None:
    for change, outcome in zip(changes, outcomes, strict=True):
        if change.answer.done():
            continue
        if isinstance(outcome, Exception):
            change.answer.set_exception(outcome)
        else:
            change.answer.set_result(outcome)


def _unavailable(error: sqlite3.Error) -> StoreUnavailableError:
    code = getattr(error, "sqlite_errorname", type(error).__name__)
    return StoreUnavailableError(f"SQLite refused: {code}")
