"""The one public port: what it passes on, to whom, and what it says when nobody is there."""

from __future__ import annotations

import asyncio
import gzip
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from yarl import URL

from libs.common.admin import listening
from libs.common.cli.front import front

ODD_BYTES = b'\xff\x00\r\n\r\n{"text": "\\ud83d"}' * 5000


class Upstream:
    """Stands where a service stands: keeps what arrives, byte for byte, and says who it is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.origin = ""
        self.seen: list[tuple[str, str, list[tuple[str, str]], bytes]] = []
        self.next_piece = asyncio.Event()

    async def take(self, request: web.Request) -> web.StreamResponse:
        headers = [(key.lower(), value) for key, value in request.headers.items()]
        self.seen.append((request.method, request.raw_path, headers, await request.read()))
        if request.path.endswith("/stream"):
            return await self._stream(request)
        if request.path.endswith("/cut"):
            return await self._cut(request)
        if request.path.endswith("/moved"):
            return web.Response(status=302, headers={"Location": f"{self.origin}/elsewhere"})
        if request.path.endswith("/login"):
            return web.Response(headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        if request.path.endswith("/packed"):
            packed = {"Content-Encoding": "gzip"}
            return web.Response(body=gzip.compress(b"packed"), headers=packed)
        return web.Response(status=201, text=self.name)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"id: 1\ndata: first\n\n")
        await asyncio.wait_for(self.next_piece.wait(), 30)
        await response.write(b"id: 2\ndata: second\n\n")
        return response

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        told = {"Content-Length": "100"} if request.query_string == "told" else {}
        response = web.StreamResponse(headers=told)
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response


class World:
    """The front before two stand-ins, and a client that follows and unpacks nothing."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.ingest = Upstream("ingest")
        self.desk = Upstream("desk")
        self.url = ""


@asynccontextmanager
async def upstream(found: Upstream) -> AsyncIterator[Upstream]:
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", found.take)
    async with listening(app, "127.0.0.1", 0) as port:
        found.origin = f"http://127.0.0.1:{port}"
        yield found


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as opened:
        http = await opened.enter_async_context(
            aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(10))
        )
        found = World(http)
        for service in (found.ingest, found.desk):
            await opened.enter_async_context(upstream(service))
        origins = {"ingest": found.ingest.origin, "desk": found.desk.origin}
        port = await opened.enter_async_context(front("127.0.0.1", 0, lambda: origins))
        found.url = f"http://127.0.0.1:{port}"
        yield found


WAYS = {
    "a provider's webhook goes to ingest": ("/webhooks/line/acme", "ingest"),
    "a visitor's stream goes to ingest": ("/webhooks/web/acme/events?token=x", "ingest"),
    "the plugin's script goes to ingest": ("/plugin/acme.js", "ingest"),
    "the console goes to desk": ("/", "desk"),
    "the API goes to desk": ("/api/v1/sessions?list=assigned", "desk"),
    "a name that only begins like a webhook goes to desk": ("/webhooksx", "desk"),
    "a query that names a webhook goes to desk": ("/?next=/webhooks/line/acme", "desk"),
    "a path that climbs out of the API goes to desk as it is": ("/api/%2e%2e/webhooks/x", "desk"),
}


@pytest.mark.parametrize(("path", "service"), WAYS.values(), ids=WAYS)
async def test_the_path_says_who_answers(world: World, path: str, service: str) -> None:
    async with world.http.get(URL(world.url + path, encoded=True)) as answer:
        assert (answer.status, await answer.text()) == (201, service)
    chosen = getattr(world, service)
    assert [seen[1] for seen in chosen.seen] == [path]
    assert len(world.ingest.seen + world.desk.seen) == 1


BODIES = {
    "bytes that are no text": (ODD_BYTES, {}),
    "a compressed body stays compressed": (gzip.compress(b"x"), {"Content-Encoding": "gzip"}),
    "an empty body": (b"", {}),
}


@pytest.mark.parametrize(("body", "extra"), BODIES.values(), ids=BODIES)
async def test_what_a_signature_covers_arrives_unchanged(
    world: World, body: bytes, extra: dict[str, str]
) -> None:
    path = "/webhooks/wechat/acme?signature=a%2Bb&nonce=%E4%BD%A0&empty="
    headers = {"X-Line-Signature": "c2ln+/=", "Content-Type": "application/json", **extra}
    url = URL(world.url + path, encoded=True)
    async with world.http.post(url, data=body, headers=headers) as answer:
        assert answer.status == 201
    method, raw_path, seen, arrived = world.ingest.seen[0]
    assert (method, raw_path, arrived) == ("POST", path, body)
    for name, value in headers.items():
        assert (name.lower(), value) in seen
    assert ("host", world.url.removeprefix("http://")) in seen


FORWARDED = {
    "a peer is named": ([], "127.0.0.1"),
    "a peer is named after those that were named before": (
        ["203.0.113.9"],
        "203.0.113.9, 127.0.0.1",
    ),
    "one list comes of several": (["1.1.1.1", "2.2.2.2"], "1.1.1.1, 2.2.2.2, 127.0.0.1"),
}


@pytest.mark.parametrize(("given", "expected"), FORWARDED.values(), ids=FORWARDED)
async def test_the_peer_is_the_last_name_forwarded(
    world: World, given: list[str], expected: str
) -> None:
    headers = [("X-Forwarded-For", name) for name in given]
    async with world.http.get(f"{world.url}/webhooks/web/acme", headers=headers):
        pass
    names = [value for key, value in world.ingest.seen[0][2] if key == "x-forwarded-for"]
    assert names == [expected]


async def test_a_stream_is_passed_on_piece_by_piece(world: World) -> None:
    async with world.http.get(f"{world.url}/webhooks/web/acme/stream") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        first = await asyncio.wait_for(answer.content.readany(), 30)
        assert first == b"id: 1\ndata: first\n\n"  # the second is not yet written
        world.ingest.next_piece.set()
        assert await answer.content.read() == b"id: 2\ndata: second\n\n"


async def test_a_redirect_is_passed_on_and_not_followed(world: World) -> None:
    async with world.http.get(f"{world.url}/moved", allow_redirects=False) as answer:
        assert answer.status == 302
        assert answer.headers["Location"] == f"{world.desk.origin}/elsewhere"
    assert len(world.desk.seen) == 1


async def test_cookies_are_the_clients_alone(world: World) -> None:
    async with world.http.get(f"{world.url}/login") as answer:
        assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    async with aiohttp.ClientSession() as another, another.get(world.url):
        pass
    assert "cookie" not in {key for key, _ in world.desk.seen[1][2]}


async def test_a_packed_answer_stays_packed(world: World) -> None:
    async with world.http.get(f"{world.url}/packed") as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await answer.read()) == b"packed"


@pytest.mark.parametrize("length", ["told", "open"])
async def test_an_answer_that_breaks_off_is_not_made_to_look_whole(
    world: World, length: str
) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        async with world.http.get(f"{world.url}/cut?{length}") as answer:
            await answer.read()


def closed_origin() -> str:
    """Return an address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


DEAD = {
    "a service whose port is closed": {"desk": closed_origin()},
    "a service that is not there yet": {},
}


@pytest.mark.parametrize("origins", DEAD.values(), ids=DEAD)
async def test_a_dead_service_is_told_with_a_time_to_come_back(origins: dict[str, str]) -> None:
    async with (
        front("127.0.0.1", 0, lambda: origins) as port,
        aiohttp.ClientSession() as http,
        http.post(f"http://127.0.0.1:{port}/api/v1/login", data=b"{}") as answer,
    ):
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert await answer.text() == "desk is restarting\n"


async def test_a_dead_service_does_not_touch_the_other(world: World) -> None:
    origins = {"ingest": world.ingest.origin}
    async with front("127.0.0.1", 0, lambda: origins) as port:
        url = f"http://127.0.0.1:{port}"
        async with world.http.get(f"{url}/") as answer:
            assert answer.status == 503
        async with world.http.get(f"{url}/webhooks/line/acme") as answer:
            assert answer.status == 201


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "libs.common.cli.main", "front", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_the_command_serves_both_ports_and_ends_at_a_signal(world: World) -> None:
    process = await start(
        *("--port", "0", "--ingest", world.ingest.origin, "--desk", world.desk.origin)
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        port, admin = re.findall(r"port=(\d+)", line)
        async with world.http.get(f"http://127.0.0.1:{port}/plugin/a.js") as answer:
            assert await answer.text() == "ingest"
        for path in ("livez", "readyz"):
            async with world.http.get(f"http://127.0.0.1:{admin}/{path}") as answer:
                assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


REFUSED = {
    "no address of desk": (["--ingest", "http://ingest:8080"], "--desk"),
    "an address that is no http": (["--ingest", "nats://i:1", "--desk", "http://d:1"], "--ingest"),
    "an address with a path": (["--ingest", "http://i:1/x", "--desk", "http://d:1"], "--ingest"),
    "an address without a host": (["--ingest", "http://i:1", "--desk", "desk:8080"], "--desk"),
}


@pytest.mark.parametrize(("arguments", "named"), REFUSED.values(), ids=REFUSED)
async def test_a_wrong_argument_stops_the_command(arguments: list[str], named: str) -> None:
    process = await start(*arguments)
    _, told = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert named in told.decode().splitlines()[-1]


TARGETS = {
    "a proxy's absolute form is routed by its path": (
        "http://elsewhere.example/webhooks/line/acme?a=1",
        (201, "/webhooks/line/acme?a=1"),
    ),
    "an absolute form without a path is no address": ("http://elsewhere.example", (404, None)),
    "a target that is no path is refused": ("elsewhere", (400, None)),
}


@pytest.mark.parametrize(("target", "expected"), TARGETS.values(), ids=TARGETS)
async def test_any_form_of_target_has_an_answer(
    world: World, target: str, expected: tuple[int, str | None]
) -> None:
    port = int(world.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head = (await asyncio.wait_for(reader.read(), 10)).split(b"\r\n")[0]
    writer.close()
    await writer.wait_closed()
    seen = [*world.ingest.seen, *world.desk.seen]
    assert (int(head.split()[1]), seen[0][1] if seen else None) == expected
