"""A write whose answer got lost on the network is reported as what it was: done, once (C3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import msgspec
import pytest

from libs.common.errors import StaleRevisionError, UniqueConflictError
from libs.common.store.api import Store
from libs.common.store.open import open_store
from tests.store.contract import THINGS, fill, thing

Meanwhile = Callable[[], Awaitable[object]]


class Cutter:
    """A proxy that passes a command on, keeps back its answer, and cuts the connection."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._needle = b""
        self._meanwhile: Meanwhile | None = None
        self.cuts = 0

    def cut_answer_to(self, command: str, meanwhile: Meanwhile | None = None) -> None:
        """Arm for the next *command*; *meanwhile* happens before the caller learns of the cut."""
        self._needle = b"\x02" + command.encode() + b"\x00"  # a BSON string of that name
        self._meanwhile = meanwhile

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(*self._server)
        doomed = asyncio.Event()
        both = [
            asyncio.create_task(self._ask(reader, inner_writer, doomed)),
            asyncio.create_task(self._answer(inner_reader, writer, doomed)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            for one in (writer, inner_writer):
                one.close()
                with suppress(OSError):
                    await one.wait_closed()

    async def _ask(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 20):
            if self._needle and self._needle in data:
                self._needle = b""
                doomed.set()
            server.write(data)

    async def _answer(
        self, server: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        while data := await server.read(1 << 20):
            if doomed.is_set():  # the server has done it
                if self._meanwhile:
                    await self._meanwhile()
                self.cuts += 1
                return
            writer.write(data)


@asynccontextmanager
async def cutting(url: str) -> AsyncIterator[tuple[Cutter, str]]:
    """Run the proxy before the server of *url*; yield it and the URL through it."""
    parts = urlsplit(url)
    cutter = Cutter(parts.hostname or "", parts.port or 27017)
    server = await asyncio.start_server(cutter.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    try:
        yield cutter, parts._replace(netloc=f"{user}127.0.0.1:{port}").geturl()
    finally:
        server.close()


@pytest.fixture(params=["the driver repeats", "only we repeat"])
async def stores(
    request: pytest.FixtureRequest, mongo_database_url: str
) -> AsyncIterator[tuple[Cutter, Store, Store]]:
    """The proxy, a store behind it, and one on the direct way."""
    retry = "true" if request.param == "the driver repeats" else "false"
    sign = "&" if "?" in mongo_database_url else "?"
    options = f"{sign}directConnection=true&retryWrites={retry}"
    async with cutting(mongo_database_url) as (cutter, url):
        async with (
            open_store(url + options, [THINGS]) as ours,
            open_store(mongo_database_url, [THINGS]) as theirs,
        ):
            yield cutter, ours, theirs
        assert cutter.cuts == 1


async def test_an_insertion_is_not_its_own_conflict(stores: tuple[Cutter, Store, Store]) -> None:
    cutter, ours, theirs = stores
    cutter.cut_answer_to("insert")
    stored = await ours.insert(THINGS, thing(1))
    assert await theirs.get(THINGS, "acme", "t0001") == stored


async def test_a_batch_names_the_conflicts_of_others_alone(
    stores: tuple[Cutter, Store, Store],
) -> None:
    cutter, ours, theirs = stores
    await theirs.insert(THINGS, thing(3))
    cutter.cut_answer_to("insert")
    assert await ours.insert_many(THINGS, [thing(n) for n in range(6)]) == {"t0003": "id"}
    assert await theirs.count(THINGS, "acme", {}) == 6


async def test_an_insertion_overtaken_by_a_change_is_still_ours(
    stores: tuple[Cutter, Store, Store],
) -> None:
    cutter, ours, theirs = stores

    async def change() -> None:
        now = msgspec.structs.replace(thing(1), rev=1, on=True)
        await theirs.replace(THINGS, now)

    cutter.cut_answer_to("insert", change)
    assert (await ours.insert(THINGS, thing(1))).rev == 1


async def test_a_replacement_is_not_stale_by_itself(stores: tuple[Cutter, Store, Store]) -> None:
    cutter, ours, theirs = stores
    [first] = await fill(theirs, 1)
    cutter.cut_answer_to("update")
    stored = await ours.replace(THINGS, msgspec.structs.replace(first, on=True))
    assert await theirs.get(THINGS, "acme", first.id) == stored
    assert stored.rev == 2


async def test_a_replacement_overtaken_by_others_is_still_ours(
    stores: tuple[Cutter, Store, Store],
) -> None:
    cutter, ours, theirs = stores
    [first] = await fill(theirs, 1)

    async def change() -> None:
        for _ in range(5):
            now = await theirs.get(THINGS, "acme", first.id)
            assert now is not None
            await theirs.replace(THINGS, msgspec.structs.replace(now, size=now.size + 1))

    cutter.cut_answer_to("update", change)
    assert (await ours.replace(THINGS, msgspec.structs.replace(first, on=True))).rev == 2
    last = await theirs.get(THINGS, "acme", first.id)
    assert last is not None
    assert (last.on, last.rev) == (True, 7)


async def test_a_batch_of_replacements_names_the_stale_ones_alone(
    stores: tuple[Cutter, Store, Store],
) -> None:
    cutter, ours, theirs = stores
    things = await fill(theirs, 6)
    await theirs.replace(THINGS, things[2])
    clash = msgspec.structs.replace(things[4], name="n5", size=5)
    cutter.cut_answer_to("update")
    refused = await ours.replace_many(THINGS, [*things[:4], clash])
    assert refused == {"t0002": "stale_revision", "t0004": "unique_conflict"}


async def test_a_real_loser_still_loses(stores: tuple[Cutter, Store, Store]) -> None:
    cutter, ours, theirs = stores
    [first, second] = await fill(theirs, 2)
    await theirs.replace(THINGS, first)
    cutter.cut_answer_to("update")
    with pytest.raises(StaleRevisionError):
        await ours.replace(THINGS, msgspec.structs.replace(first, on=True))
    with pytest.raises(UniqueConflictError):
        await ours.insert(THINGS, second)
