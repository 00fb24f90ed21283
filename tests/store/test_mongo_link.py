"""A client of MongoDB that the driver has wedged is replaced, and we do not wedge it ourselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from libs.common.errors import StoreUnavailableError
from libs.common.files import gridfs
from libs.common.files.gridfs import GridFiles
from libs.common.store import mongo_link
from libs.common.store.mongo_link import MongoLink, linked

HEALED_S = 20.0
NOBODY = "mongodb://127.0.0.1:9/x"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_link, "STUCK_S", 2.0)
    monkeypatch.setattr(mongo_link, "PROBE_S", 1.0)


@pytest_asyncio.fixture
async def link(mongo_database_url: str) -> AsyncIterator[MongoLink]:
    async with linked(mongo_database_url) as found:
        await found.ping(HEALED_S)
        yield found


async def orphan_its_lock(link: MongoLink) -> None:
    """Leave the driver as its fault does: with a lock that nobody holds, never given back."""
    await link._client._topology._lock.acquire()


async def fail_inside(link: MongoLink) -> None:
    """Let the driver say what its fault says to the one whose lock was given back."""

    async def call() -> None:
        raise RuntimeError("Lock is not acquired")

    with pytest.raises(StoreUnavailableError, match="Lock is not acquired"):
        await link.answered(call, limit_s=1)


async def fail_both_ways(link: MongoLink) -> None:
    await orphan_its_lock(link)
    await fail_inside(link)


FAULTS: dict[str, Callable[[MongoLink], Awaitable[None]]] = {
    "its lock is held by nobody": orphan_its_lock,
    "it says that its lock is not acquired": fail_inside,
    "both": fail_both_ways,
}


async def replaced(link: MongoLink, old: Any) -> None:
    """Return once another client than *old* answers, and *old* is closed."""
    end = time.monotonic() + HEALED_S
    while time.monotonic() < end:
        with suppress(StoreUnavailableError):
            await link.ping(0.5)
            if link._client is not old and old._closed:
                return
        await asyncio.sleep(0.05)
    raise AssertionError(f"replaced: {link._client is not old}, closed: {old._closed}")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_i16_a_wedged_client_is_replaced_and_closed(
    link: MongoLink, fault: Callable[[MongoLink], Awaitable[None]]
) -> None:
    old = link._client
    await fault(link)
    await replaced(link, old)
    assert link._calls == {}, "no call is left behind"


async def test_i16_calls_that_are_under_way_on_the_old_client_end_there(link: MongoLink) -> None:
    old = link._client

    async def slow() -> Any:
        await asyncio.sleep(1.0)
        return await old.admin.command("ping")

    under_way = asyncio.create_task(link.answered(slow, limit_s=HEALED_S))
    await asyncio.sleep(0)
    await fail_inside(link)
    assert (await under_way)["ok"] == 1
    await replaced(link, old)


async def test_i16_a_client_that_answers_is_kept(link: MongoLink) -> None:
    old = link._client
    with pytest.raises(StoreUnavailableError, match="no answer"):
        await link.answered(partial(asyncio.sleep, 1.0), limit_s=0.1)
    assert link._mending is not None
    await link._mending
    assert link._client is old
    await link.ping(HEALED_S)


async def test_i16_files_are_stored_by_the_new_client(
    mongo_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"x" * 10

    async with linked(mongo_database_url, tz_aware=True) as link:
        files = GridFiles(link)
        await files.put("acme", "one", content())
        await orphan_its_lock(link)
        monkeypatch.setattr(gridfs, "DEADLINE_S", 0.5)
        old = link._client
        with pytest.raises(StoreUnavailableError):
            await files.check()
        await replaced(link, old)
        monkeypatch.setattr(gridfs, "DEADLINE_S", HEALED_S)
        await files.put("acme", "two", content())
        assert b"".join([piece async for piece in files.read("acme", "one")]) == b"x" * 10
        assert b"".join([piece async for piece in files.read("acme", "two")]) == b"x" * 10


async def test_i16_a_caller_that_goes_leaves_the_drivers_locks_in_order() -> None:
    """The driver takes its lock back after each half second; a caller goes just then.

    Told directly, PyMongo gives back the lock of whoever holds it now.
    """
    async with linked(NOBODY) as link:
        lock = link._client._topology._lock
        caller = asyncio.create_task(link.ping(5))
        await asyncio.sleep(0.3)
        await lock.acquire()
        await asyncio.sleep(0.4)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert lock.locked(), "we hold it still"
        others = [asyncio.create_task(_take(lock)) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert not any(other.done() for other in others), "while we hold it nobody else does"
        lock.release()
        await asyncio.wait_for(asyncio.gather(*others), 5)


async def _take(lock: Any) -> None:
    async with lock:
        pass
