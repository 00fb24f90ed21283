"""One MongoDB client, never cancelled in the middle of a call, and replaced when it is wedged.

PyMongo 4.20 on Python 3.11 waits for a server by `asyncio.wait_for(condition.wait())`, which runs
in a task of its own. Where the caller is cancelled while that task takes its lock back, the caller
gives a lock back that is not its own ("Lock is not acquired" hits whoever holds it), and the task
then keeps the lock for ever: from then on every call of that client waits in vain, although the
server is well. So each call runs in a task that nobody cancels, ended by the driver's own deadline;
and a client that does not answer while a fresh one does is replaced.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import pymongo
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError

from libs.common.errors import SettingsError, StoreUnavailableError

T = TypeVar("T")
Client = AsyncMongoClient[dict[str, Any]]

log = logging.getLogger(__name__)

PATIENCE_S = 0.2
"""How much longer we wait than the driver, should its own deadline fail."""
PROBE_S = 2.0
"""How long a client has to answer when it is compared with a fresh one."""
MOST_PAUSE_S = 5.0
"""Between two comparisons, while neither answers."""
STUCK_S = 10.0
"""A call that is so long past its deadline will not end by itself: it is cancelled after all."""
FINISH_S = 3.0
"""How long a caller that is cancelled waits for its call, where it must know that it is over."""
CLOSE_S = 2.0


class MongoLink:
    """The database of the store's URL, by a client that works.

    Args:
        make: Makes a client; it does not connect by that.
    """

    def __init__(self, make: Callable[[], Client]) -> None:
        self._make = make
        self._client = make()
        self.database: AsyncDatabase[dict[str, Any]] = _database(self._client)
        """Ask it anew for each call: it is another one after the client was replaced."""
        self._calls: dict[asyncio.Task[Any], Client] = {}
        self._mending: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def answered(
        self, call: Callable[[], Awaitable[T]], *, limit_s: float, finish: bool = False
    ) -> T:
        """Return what the driver answers to *call* within *limit_s*.

        A caller that is cancelled leaves its call to end by itself; with *finish* it waits for
        that first, for at most `FINISH_S`.

        Raises:
            StoreUnavailableError: No answer in time, or a fault of the driver's own.
            PyMongoError: Whatever the driver raises.
        """
        client = self._client
        task = asyncio.create_task(_bounded(call, limit_s))
        self._calls[task] = client
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait({task}, timeout=limit_s + PATIENCE_S)
        except asyncio.CancelledError:
            if finish:
                await asyncio.wait({task}, timeout=FINISH_S)
            raise
        finally:
            if not task.done():
                asyncio.get_running_loop().call_later(limit_s + STUCK_S, task.cancel)
        if not task.done():  # the driver's own deadline has failed
            self._suspect(client)
            raise StoreUnavailableError(f"no answer within {limit_s} s")
        try:
            return task.result()
        except (RuntimeError, asyncio.CancelledError) as error:  # its locks are in disorder
            self._suspect(client, sure=True)
            raise StoreUnavailableError(f"MongoDB's driver failed: {error!r}") from error

    async def ping(self, limit_s: float) -> None:
        """Return once the server answers; raises as `answered`."""
        await self.answered(lambda: self._client.admin.command("ping"), limit_s=limit_s)

    async def close(self) -> None:
        """Close every client; calls under way have a moment to end."""
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.wait({self._mending})
        leaving = {*self._leaving, asyncio.create_task(self._leave(self._client, CLOSE_S / 2))}
        await asyncio.wait(leaving, timeout=4 * CLOSE_S)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._calls[task]
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not call it forgotten

    def _suspect(self, client: Client, *, sure: bool = False) -> None:
        """See whether *client* must be replaced, unless that is under way."""
        if client is self._client and (self._mending is None or self._mending.done()):
            self._mending = asyncio.create_task(self._mend(client, sure=sure))

    async def _mend(self, client: Client, *, sure: bool) -> None:
        """Replace *client* by the first fresh one that answers, unless it answers itself.

        A client that is *sure* to be in disorder is replaced even so: its next lock may hang.
        """
        pause_s = 1.0
        while True:
            fresh = self._make()
            kept = False
            try:
                old, new = await asyncio.gather(self._answers(client), self._answers(fresh))
                if kept := new and (sure or not old):
                    log.warning("store.client_replaced", extra={"sure": sure})
                    self._client, self.database = fresh, _database(fresh)
                    self._retire(client)
            finally:
                if not kept:  # beside this: whoever closes the link meanwhile waits for it
                    self._retire(fresh, PATIENCE_S)
            if kept or (old and not sure):
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MOST_PAUSE_S)

    async def _answers(self, client: Client) -> bool:
        task = asyncio.create_task(_bounded(lambda: client.admin.command("ping"), PROBE_S))
        self._calls[task] = client
        task.add_done_callback(self._ended)
        await asyncio.wait({task}, timeout=PROBE_S)
        return task.done() and not task.cancelled() and task.exception() is None

    def _retire(self, client: Client, grace_s: float = STUCK_S) -> None:
        """Close *client* once its calls have ended, or cannot any more."""
        leaving = asyncio.create_task(self._leave(client, grace_s))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _leave(self, client: Client, grace_s: float) -> None:
        calls = {task for task, its in self._calls.items() if its is client}
        if calls:
            _, stuck = await asyncio.wait(calls, timeout=grace_s)
            for task in stuck:
                task.cancel()
            await asyncio.wait(calls, timeout=CLOSE_S)
        if not await _closed(client, CLOSE_S / 2):
            _unlock(client)
            await _closed(client, 2 * CLOSE_S)  # it has nothing to send any more


async def _bounded(call: Callable[[], Awaitable[T]], limit_s: float) -> T:
    with pymongo.timeout(limit_s):
        return await call()


async def _closed(client: Client, limit_s: float) -> bool:
    try:
        async with asyncio.timeout(limit_s):
            await client.close()
    except TimeoutError:
        return False
    except (PyMongoError, RuntimeError):
        return True
    return True


def _database(client: Client) -> AsyncDatabase[dict[str, Any]]:
    return client.get_default_database("relaydesk")


def _unlock(client: Client) -> None:
    """Give back the lock that nobody holds any more: without it a client cannot be closed.

    Only the driver's inside has it; where that has changed, such a client is merely left behind.
    """
    lock = getattr(getattr(client, "_topology", None), "_lock", None)
    if lock is not None and lock.locked():
        with suppress(RuntimeError):
            lock.release()


@asynccontextmanager
async def linked(url: str, **options: Any) -> AsyncIterator[MongoLink]:
    """Yield the link to *url*; the server may be away.

    Raises:
        SettingsError: The URL is malformed.
    """

    def make() -> Client:
        return AsyncMongoClient(
            url,
            w="majority",
            journal=True,
            serverSelectionTimeoutMS=1500,
            connectTimeoutMS=1500,
            **options,
        )

    try:
        link = MongoLink(make)
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise SettingsError(f"the store's URL is malformed: {type(error).__name__}") from None
    try:
        yield link
    finally:
        await link.close()
