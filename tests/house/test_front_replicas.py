"""Several replicas behind the front: who is chosen, who is left out, and what is sent twice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from libs.common import backends as module
from libs.common.admin import listening
from libs.common.backends import Backends, Source, source
from libs.common.cli import front_answers
from libs.common.cli import front_metrics as metrics
from libs.common.cli.front import _front, until
from libs.common.stopping import Stop
from tests.house.test_front import Upstream, closed_origin, upstream

Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Replicas:
    """A front before replicas of ingest, each with its own port for readiness."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.url = ""
        self.found: Backends

    async def asked(self, number: int, method: str = "GET", path: str = "/plugin/a") -> list[int]:
        statuses = []
        for _ in range(number):
            async with self.http.request(method, self.url + path) as answer:
                statuses.append(answer.status)
        return statuses


@asynccontextmanager
async def behind(sources: list[Source]) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as opened:
        timeout = aiohttp.ClientTimeout(total=10)
        http = await opened.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        made = Replicas(http)
        made.found = Backends(sources, http)
        await made.found.look()
        port = await opened.enter_async_context(
            _front("127.0.0.1", 0, lambda _service: made.found.choose(), Stop())
        )
        made.url = f"http://127.0.0.1:{port}"
        yield made


@asynccontextmanager
async def probed(ready: dict[str, bool]) -> AsyncIterator[int]:
    """Serve a `/readyz` that says what *ready* says."""

    async def readyz(_request: web.Request) -> web.Response:
        return web.Response(status=200 if ready["now"] else 503)

    app = web.Application()
    app.router.add_get("/readyz", readyz)
    async with listening(app, "127.0.0.1", 0) as port:
        yield port


async def test_ready_replicas_are_used_in_turn_and_one_that_leaves_is_left_out() -> None:
    ready = {"now": True}
    first, second = Upstream("first"), Upstream("second")
    async with upstream(first), upstream(second), probed(ready) as probe:
        sources = [source(f"{first.origin}#{probe}"), source(second.origin)]
        async with behind(sources) as found:
            assert await found.asked(4) == [201] * 4
            assert (len(first.seen), len(second.seen)) == (2, 2)
            ready["now"] = False
            await found.found.look()
            assert (found.found.ready, found.found.known) == (1, 2)
            await found.asked(4)
            assert (len(first.seen), len(second.seen)) == (2, 6)
            ready["now"] = True
            await found.found.look()
            await found.asked(2)
            assert (len(first.seen), len(second.seen)) == (3, 7)


async def test_where_none_is_ready_the_service_answers_for_itself() -> None:
    only = Upstream("only")
    async with (
        upstream(only),
        probed({"now": False}) as probe,
        behind([source(f"{only.origin}#{probe}")]) as found,
    ):
        assert await found.asked(1) == [201]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_one_that_takes_no_connection_costs_nobody_an_answer(method: str) -> None:
    there = Upstream("there")
    async with upstream(there):
        sources = [source(closed_origin()), source(there.origin)]
        async with behind(sources) as found:
            found.found._ready = frozenset(found.found.choose())  # not noticed yet
            assert await found.asked(4, method) == [201] * 4
    assert len(there.seen) == 4


CUT = {
    "a POST that was sent is not sent again": ("POST", [503], 1),
    "a PATCH that was sent is not sent again": ("PATCH", [503], 1),
    "a GET without an answer is asked elsewhere": ("GET", [201], 2),
}


@pytest.mark.parametrize(("method", "statuses", "sent"), CUT.values(), ids=CUT)
async def test_what_was_sent_is_not_sent_again(method: str, statuses: list[int], sent: int) -> None:
    taken: list[str] = []

    async def cut(request: web.Request) -> web.StreamResponse:
        taken.append(request.method)
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    there = Upstream("there")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", cut)
    async with upstream(there), listening(app, "127.0.0.1", 0) as port:
        sources = [source(f"http://127.0.0.1:{port}"), source(there.origin)]
        async with behind(sources) as found:
            found.found._turn = 1  # the next begins with the first
            assert await found.asked(1, method) == statuses
    assert len(taken) + len(there.seen) == sent


@asynccontextmanager
async def raw(answer: bytes) -> AsyncIterator[str]:
    """Serve these bytes to whoever connects, and nothing more; yield the origin."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(answer)
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def count(outcome: str) -> float:
    return float(metrics.REQUESTS.labels("ingest", outcome)._value.get())


STRANGE = {
    "an answer that is no HTTP": (b"HTTP/9.9 what\r\n\r\n", 502),
    "no answer at all": (b"", 504),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("answer", "status"), STRANGE.values(), ids=STRANGE)
async def test_what_is_no_answer_is_said_and_counted(
    answer: bytes, status: int, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_answers, "ANSWERS_WITHIN_S", 0.5)
    before = count("5xx")
    async with raw(answer) as origin, behind([source(origin)]) as found:
        assert await found.asked(1, method) == [status]
    assert count("5xx") == before + 1


async def test_an_answer_that_comes_before_the_body_is_whole_is_passed_on() -> None:
    early = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
    async with raw(early) as origin, behind([source(origin)]) as found:
        url = URL(found.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        head = b"POST /plugin/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
        for piece in (head, b"1", b"2", b"3"):
            writer.write(piece)
            await asyncio.sleep(0.1)
        answer = await asyncio.wait_for(reader.readuntil(b"no"), 5)
        assert answer.startswith(b"HTTP/1.1 413")
        writer.close()


async def test_a_client_that_leaves_is_not_counted_as_an_outage() -> None:
    before = (count("unavailable"), count("client_gone"))
    there = Upstream("there")
    async with upstream(there), behind([source(there.origin)]) as found:
        url = URL(found.url)
        _, writer = await asyncio.open_connection(url.host, url.port)
        head = b"POST /plugin/a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
        writer.write(head)
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.transport.abort()
        async with asyncio.timeout(5):
            while count("client_gone") == before[1]:  # noqa: ASYNC110 (counted by the front)
                await asyncio.sleep(0.02)
    assert count("unavailable") == before[0]


async def test_one_that_took_no_connection_is_tried_last() -> None:
    there, away = Upstream("there"), closed_origin()
    async with upstream(there), aiohttp.ClientSession() as http:
        found = Backends([source(away), source(there.origin)], http)
        await found.look()
        found._ready = frozenset(found.choose())
        choose = lambda _service: found.choose()  # noqa: E731
        fails = lambda _service, one: found.fails(one)  # noqa: E731
        async with _front("127.0.0.1", 0, choose, Stop(), fails=fails) as port:
            for _ in range(2):
                async with http.get(f"http://127.0.0.1:{port}/plugin/a") as answer:
                    assert answer.status == 201
        assert {one.origin for one in found._ready} == {there.origin}


async def test_a_name_is_looked_up_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = ["127.0.0.1"]

    async def resolved(*_args: object, **_more: object) -> list[object]:
        if not addresses:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 0)) for a in addresses]

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", resolved, raising=False)
    async with aiohttp.ClientSession() as http:
        found = Backends([source("http://ingest:8080#9090")], http)
        monkeypatch.setattr(found, "_is_ready", _yes)
        await found.look()
        assert {one.probe for one in found.choose()} == {"http://127.0.0.1:9090/readyz"}
        addresses.append("127.0.0.2")
        await found.look()
        assert {one.origin for one in found.choose()} == {
            "http://127.0.0.1:8080",
            "http://127.0.0.2:8080",
        }
        addresses.clear()
        await found.look()
        assert found.known == 2, "a name server that is away takes nobody out"


async def _yes(_one: object) -> bool:
    return True


WRONG = [
    "nats://i:1",
    "http://i:1/x",
    "desk:8080",
    "http://i:1#0",
    "http://i:1#x",
    "http://i#70000",
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_replica_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        source(text)


def test_a_replica_is_an_origin_and_a_port_to_ask() -> None:
    assert source("http://ingest:8080#9090") == Source(URL("http://ingest:8080"), 9090)
    assert source("https://desk") == Source(URL("https://desk"), None)


STREAMS = {
    "between two events it says when to come back": ([b"id: 1\n\n"], True),
    "within an event it only ends": ([b"id: 1\n"], False),
}


@pytest.mark.parametrize(("pieces", "said"), STREAMS.values(), ids=STREAMS)
async def test_streams_end_with_the_front(pieces: list[bytes], said: bool) -> None:
    closing = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        closing.set()
        await asyncio.sleep(30)

    told = [piece async for piece in until(closing, endless())]
    assert told[: len(pieces)] == pieces
    assert bool(told[len(pieces) :]) == said
    assert all(piece.startswith(b"retry: ") for piece in told[len(pieces) :])


def test_a_replica_is_asked_twice_a_second() -> None:
    assert module.LOOK_EVERY_S <= 0.5
