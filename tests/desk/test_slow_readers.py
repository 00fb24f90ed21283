"""Readers of files who read slowly or not at all: bounded in number, in bytes and in time."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from libs.common.admin import listening
from libs.common.cli.front import front
from libs.common.outflow import AT_ONCE_PER_FILE, FullError, Room, cut_off, send
from tests.desk.test_files import link, stored
from tests.desk.world import World

MEBIBYTE = 1 << 20
STALL_S = 0.4


@asynccontextmanager
async def idle_readers(base: str, path: str, count: int) -> AsyncIterator[list[socket.socket]]:
    """Open connections that ask for *path* and read nothing."""
    at = urlsplit(base)
    opened = []
    try:
        for _ in range(count):
            connection = socket.socket()
            opened.append(connection)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect((at.hostname, at.port))
            connection.setblocking(False)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield opened
    finally:
        for connection in opened:
            connection.close()


def rest_of(reader: socket.socket) -> bytes:
    """Return what still comes until the connection ends."""
    reader.settimeout(10)
    read = bytearray()
    with suppress(ConnectionResetError):
        while piece := reader.recv(MEBIBYTE):
            read += piece
    return bytes(read)


@pytest.mark.parametrize("through", ["desk", "the front"])
async def test_i11_readers_who_do_not_read_take_places_and_not_more(
    world: World, through: str
) -> None:
    film = secrets.token_bytes(24 * MEBIBYTE)
    url = link(world, await stored(world, content=film, id="att_film"))
    other = link(world, await stored(world, id="att_other"))
    standing = (
        nullcontext(world.port)
        if through == "desk"
        else front("127.0.0.1", 0, lambda: {"desk": world.base})
    )
    async with standing as port:
        base = f"http://127.0.0.1:{port}"
        async with idle_readers(base, url, AT_ONCE_PER_FILE):
            await asyncio.sleep(0.3)
            refused = await world.call("GET", base + url)
            assert (refused.status, refused.headers["Retry-After"]) == (503, "5"), refused.body
            assert (await world.call("HEAD", base + url)).status == 200
            assert (await world.call("GET", base + other)).status == 200
        answer = await world.call("GET", base + url)
        assert (answer.status, answer.body == film) == (200, True)


class Tap:
    """Serves an endless or a short answer as the file door does; notes what it took and why it
    ended."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self.ends: list[str] = []

    async def pieces(self) -> AsyncIterator[bytes]:
        while self.taken < self.size:
            self.taken += 256 * 1024
            yield bytes(256 * 1024)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = self.size
        await response.prepare(request)
        try:
            await send(request, response, self.pieces(), stall_s=STALL_S)
        except OSError as error:
            self.ends.append(type(error).__name__)
            cut_off(request, response)
        else:
            self.ends.append("whole")
        return response


@asynccontextmanager
async def tapped(size: int) -> AsyncIterator[tuple[Tap, str]]:
    tap = Tap(size)
    app = web.Application()
    app.router.add_get("/", tap.serve)
    async with listening(app, "127.0.0.1", 0) as port:
        yield tap, f"http://127.0.0.1:{port}"


async def test_i11_whoever_does_not_read_is_cut_off_and_little_is_taken_for_them() -> None:
    async with tapped(256 * MEBIBYTE) as (tap, base), idle_readers(base, "/", 1) as [reader]:
        await asyncio.sleep(3 * STALL_S)
        assert tap.ends == ["TimeoutError"]
        assert tap.taken <= 4 * MEBIBYTE
        assert len(await asyncio.to_thread(rest_of, reader)) < tap.size


async def test_i11_whoever_reads_slowly_gets_everything() -> None:
    size = 2 * MEBIBYTE
    async with tapped(size) as (tap, base), aiohttp.ClientSession() as http:
        async with http.get(base, read_bufsize=1024) as answer:
            began, read = time.monotonic(), 0
            while piece := await answer.content.read(96 * 1024):
                read += len(piece)
                await asyncio.sleep(STALL_S / 8)
        assert (read, tap.ends) == (size, ["whole"])
        assert time.monotonic() - began > 2 * STALL_S


async def test_i11_a_place_that_becomes_free_goes_to_who_waits() -> None:
    room = Room(total=2, each=1, patience_s=5)
    done: list[str] = []

    async def read(key: str, seconds: float) -> None:
        async with room.place(key):
            await asyncio.sleep(seconds)
            done.append(key)

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        for key, seconds in (("a", 0.1), ("a", 0.1), ("b", 0.15), ("c", 0.2)):
            tasks.create_task(read(key, seconds))
    assert sorted(done) == ["a", "a", "b", "c"]


FULL = {
    "all places are taken": (["a", "b"], "c"),
    "those of the file are taken": (["a"], "a"),
}


@pytest.mark.parametrize(("taken", "key"), FULL.values(), ids=FULL)
async def test_i11_who_waits_too_long_is_refused(taken: list[str], key: str) -> None:
    room = Room(total=2, each=1, patience_s=0.05)
    holding = [room.place(name) for name in taken]
    for place in holding:
        await place.__aenter__()
    with pytest.raises(FullError):
        async with room.place(key):
            pass
    for place in holding:
        await place.__aexit__(None, None, None)
    async with room.place(key):
        pass


async def test_i11_a_crowd_is_refused_without_waiting() -> None:
    room = Room(total=1, patience_s=60)
    async with room.place("a"):
        waiting = [asyncio.create_task(room.place("b").__aenter__()) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(FullError):
            async with room.place("b"):
                pass
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
