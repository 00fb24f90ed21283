"""What the engines answer when the disk, a neighbour, the server or the network misbehaves."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from libs.common.errors import (
    MalformedPayloadError,
    SettingsError,
    StaleRevisionError,
    StoreUnavailableError,
)
from libs.common.store import lite_writer, mongo
from libs.common.store.api import Collection, Document, Index, Page, Store
from libs.common.store.lite import SWITCH_S, LiteStore
from libs.common.store.open import open_store
from tests.engines import start_secantus, stop
from tests.store.contract import THINGS, Thing, thing

# --- SQLite ------------------------------------------------------------------------------------


@asynccontextmanager
async def open_lite(url: str) -> AsyncIterator[LiteStore]:
    async with open_store(url, [THINGS]) as store:
        assert isinstance(store, LiteStore)
        yield store


def on_writer(store: LiteStore, sql: str) -> Callable[[], Awaitable[object]]:
    """Return what runs a pragma on the store's own writing connection."""
    return lambda: store._writer.run(lambda connection: connection.execute(sql).fetchall())


OTHER = """
import asyncio, os, sys
from libs.common.store.open import open_store
from tests.store.contract import THINGS, thing

async def main():
    async with open_store(sys.argv[1], [THINGS]) as store:
        await store.insert(THINGS, thing(1))
        os.kill(os.getpid(), 9)

asyncio.run(main())
"""


async def test_a_file_that_we_open_twice_keeps_what_another_process_writes(sqlite_url: str) -> None:
    """Closing the file once too often would drop our locks, and with them the common log."""
    async with open_lite(sqlite_url) as store, open_lite(sqlite_url):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", OTHER, sqlite_url, cwd=Path(__file__).parents[2]
        )
        assert await asyncio.wait_for(process.wait(), 20) == -signal.SIGKILL
        assert await store.get(THINGS, "acme", thing(1).id) is not None


async def test_while_a_neighbour_writes_for_long_we_fail_in_time_and_still_read(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lite_writer, "LOCK_WAIT_S", 0.3)
    async with open_lite(sqlite_url) as store:
        stored = await store.insert(THINGS, thing(1))
        neighbour = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        neighbour.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="BUSY"):
            await store.insert(THINGS, thing(2))
        assert time.monotonic() - began < 20
        assert not await store.healthy()
        assert await store.get(THINGS, "acme", stored.id) == stored
        neighbour.execute("ROLLBACK")
        neighbour.close()
        await store.insert(THINGS, thing(2))
        assert await store.healthy()


async def test_a_writer_that_hangs_is_left_after_the_deadline(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lite_writer, "DEADLINE_S", 0.3)
    async with open_lite(sqlite_url) as store:
        hanging = asyncio.create_task(store._writer.run(lambda _: time.sleep(1)))
        await asyncio.sleep(0.05)
        with pytest.raises(StoreUnavailableError, match=r"0\.3 s"):
            await store.insert(THINGS, thing(1))
        assert not await store.healthy()
        with pytest.raises(StoreUnavailableError):
            await hanging
        await asyncio.sleep(1)
        assert await store.get(THINGS, "acme", "t0001") is None  # too late, so not done


async def test_on_a_full_disk_writes_fail_and_come_back_when_there_is_room(sqlite_url: str) -> None:
    async with open_lite(sqlite_url) as store:
        stored = await store.insert(THINGS, thing(1))
        await on_writer(store, "PRAGMA max_page_count = 1")()
        fat = msgspec.structs.replace(thing(2), free={"k": "x" * 500_000})
        with pytest.raises(StoreUnavailableError, match="FULL"):
            await store.insert(THINGS, fat)
        with pytest.raises(StoreUnavailableError, match="FULL"):
            await store.replace_many(THINGS, [msgspec.structs.replace(stored, free=fat.free)])
        assert await store.get(THINGS, "acme", stored.id) == stored
        await on_writer(store, "PRAGMA max_page_count = 1000000")()
        await store.insert(THINGS, fat)


async def test_a_change_that_fails_does_not_fail_its_neighbours(sqlite_url: str) -> None:
    async with open_lite(sqlite_url) as store:

        def bad(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM things")
            connection.execute("SELECT nonsense")

        await store.insert(THINGS, thing(0))
        blocker = asyncio.create_task(store._writer.run(lambda _: time.sleep(0.1)))
        await asyncio.sleep(0.05)  # so that the others meet in one transaction
        answers = await asyncio.gather(
            store.insert(THINGS, thing(1)),
            store._writer.run(bad),
            store.insert(THINGS, thing(2)),
            return_exceptions=True,
        )
        await blocker
        assert isinstance(answers[1], StoreUnavailableError)
        assert await store.count(THINGS, "acme", {}) == 3


async def test_a_caller_who_is_cancelled_while_waiting_writes_nothing(sqlite_url: str) -> None:
    async with open_lite(sqlite_url) as store:
        blocker = asyncio.create_task(store._writer.run(lambda _: time.sleep(0.1)))
        await asyncio.sleep(0.02)
        waiting = asyncio.create_task(store.insert(THINGS, thing(1)))
        await asyncio.sleep(0.02)
        waiting.cancel()
        await blocker
        assert await store.get(THINGS, "acme", "t0001") is None


async def test_what_waits_when_the_store_is_closed_is_still_written(sqlite_url: str) -> None:
    async with open_lite(sqlite_url) as store:
        waiting = [asyncio.create_task(store.insert(THINGS, thing(n))) for n in range(20)]
        await asyncio.sleep(0)
    assert len(await asyncio.gather(*waiting)) == 20
    assert not await store.healthy()
    with pytest.raises(StoreUnavailableError, match="closed"):
        await store.insert(THINGS, thing(99))
    with pytest.raises(StoreUnavailableError, match="closed"):
        await store.get(THINGS, "acme", "t0001")


async def test_five_processes_may_open_a_fresh_file_at_once_and_lose_no_update(
    sqlite_url: str,
) -> None:
    async def add(number: int) -> None:
        async with open_store(sqlite_url, [THINGS]) as store:
            await store.insert_many(THINGS, [thing(1, size=0)])
            for _ in range(10):
                while True:
                    now = await store.get(THINGS, "acme", "t0001")
                    assert now is not None
                    try:
                        await store.replace(THINGS, msgspec.structs.replace(now, size=now.size + 1))
                    except StaleRevisionError:
                        continue
                    break
            await store.insert(THINGS, thing(100 + number))

    await asyncio.gather(*map(add, range(5)))
    async with open_store(sqlite_url, [THINGS]) as store:
        last = await store.get(THINGS, "acme", "t0001")
        assert last is not None
        assert (last.size, last.rev) == (50, 51)
        assert await store.count(THINGS, "acme", {}) == 6


async def test_an_opening_waits_for_a_neighbour_who_is_setting_up_the_file(tmp_path: Path) -> None:
    neighbour = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    neighbour.execute("BEGIN IMMEDIATE")  # not yet in WAL mode: SQLite itself would not wait
    ours = open_lite(f"sqlite:///{tmp_path / 'store.db'}")
    opening = asyncio.create_task(ours.__aenter__())
    await asyncio.sleep(0.2)
    assert not opening.done()
    neighbour.execute("ROLLBACK")
    neighbour.close()
    await (await opening).insert(THINGS, thing(1))
    await ours.__aexit__(None, None, None)


async def test_an_event_loop_that_never_rests_does_not_starve_the_writer(sqlite_url: str) -> None:
    async with open_lite(sqlite_url) as store:
        assert sys.getswitchinterval() <= SWITCH_S * 1.01  # 5 ms let single inserts take seconds
        writing = asyncio.gather(*(store.insert(THINGS, thing(n)) for n in range(20)))
        while not writing.done():
            sum(range(3000))
            await asyncio.sleep(0)
        assert len(await writing) == 20


BAD_FILES: dict[str, Callable[[Path], Path]] = {
    "a folder": lambda folder: folder,
    "below a file": lambda folder: _written(folder / "file", b"") / "store.db",
    "no database": lambda folder: _written(folder / "store.db", b"not a database" * 100),
}


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("place", BAD_FILES.values(), ids=BAD_FILES)
async def test_a_file_that_cannot_be_used_stops_the_start(
    tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    with pytest.raises(SettingsError, match="file cannot be used"):
        async with open_store(f"sqlite:///{place(tmp_path)}", [THINGS]):
            pass


async def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    async with open_lite(f"sqlite:///{tmp_path / 'data' / 'store.db'}") as store:
        await store.insert(THINGS, thing(1))
        modes = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "data").iterdir()}
    assert set(modes) >= {"store.db", "store.db-wal"}
    assert set(modes.values()) == {0}


# --- both --------------------------------------------------------------------------------------


class Odd(Document, kw_only=True):
    """`Thing` as somebody else understands it."""

    name: str
    free: int = 0


async def test_a_document_that_this_version_cannot_read_is_named_as_such(store_url: str) -> None:
    odd = Collection("things", Odd, (Index("name", ("name", "id")),))
    same = Collection("things", Thing, odd.indexes)
    async with open_store(store_url, [odd]) as theirs, open_store(store_url, [same]) as ours:
        await theirs.insert(odd, Odd(id="a", workspace="acme", name="n", free=1))
        with pytest.raises(MalformedPayloadError, match="things"):
            await ours.get(same, "acme", "a")
        with pytest.raises(MalformedPayloadError, match="things"):
            await ours.find(same, "acme", {}, Page(order="name"))


# --- MongoDB -----------------------------------------------------------------------------------


async def test_no_server_is_told_soon() -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="ServerSelectionTimeout"):
        async with open_store("mongodb://127.0.0.1:9/x", [THINGS]):
            pass
    assert time.monotonic() - began < 20


async def test_a_malformed_url_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="malformed"):
        async with open_store("mongodb://127.0.0.1:notaport/x", [THINGS]):
            pass


async def every_call(store: Store) -> list[object]:
    """Make every call at once and return what comes of each."""
    calls: list[Awaitable[object]] = [
        store.insert(THINGS, thing(5)),
        store.insert_many(THINGS, [thing(6)]),
        store.replace(THINGS, msgspec.structs.replace(thing(1), rev=1)),
        store.replace_many(THINGS, [msgspec.structs.replace(thing(1), rev=1)]),
        store.delete(THINGS, "acme", "t0001"),
        store.get(THINGS, "acme", "t0001"),
        store.get_many(THINGS, "acme", ["t0001"]),
        store.find(THINGS, "acme", {}, Page(order="size")),
        store.count(THINGS, "acme", {}),
        store.group_count(THINGS, "acme", {}, by="on"),
    ]
    return await asyncio.gather(*calls, return_exceptions=True)


# The driver drops the sockets of a server that is gone without closing each.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_server_that_hangs_or_dies_fails_every_call_in_time_and_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo, "DEADLINE_S", 1.0)
    process, url = start_secantus(tmp_path)
    try:
        async with open_store(f"{url}/x", [THINGS]) as store:
            stored = await store.insert(THINGS, thing(1))
            for fault in (signal.SIGSTOP, signal.SIGKILL):
                process.send_signal(fault)
                began = time.monotonic()
                answers = await every_call(store)
                assert {type(answer) for answer in answers} == {StoreUnavailableError}
                assert not await store.healthy()
                assert time.monotonic() - began < 25  # not the driver's 30 s
                process.send_signal(signal.SIGCONT)
            stop(process)
            process, _ = start_secantus(tmp_path, port=int(url.rpartition(":")[2]))
            assert await eventually_healthy(store)
            assert await store.get(THINGS, "acme", stored.id) in (stored, None)
    finally:
        stop(process)


async def eventually_healthy(store: Store) -> bool:
    for _ in range(20):
        if await store.healthy():
            return True
        await asyncio.sleep(0.1)
    return False
