"""One public port: webhooks and the plugin go to ingest, everything else to desk.

`relaydesk up` and the compose file use it; a cluster's ingress does the same. Bytes pass unchanged,
since signatures cover them; event streams are passed on piece by piece. It ends no TLS and keeps
no limits, which is the work of what stands before it, but one: readers who do not read must not
fill our memory.

Of several replicas the ready ones are used in turn. Where one takes no connection the next is
tried, as nothing was sent; what was sent is never sent again but for a GET or HEAD that was not
answered, which change nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import uvloop
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from libs.common.admin import listening, serve_admin
from libs.common.backends import Backend, Backends, Source, source
from libs.common.cli import front_answers as answers
from libs.common.cli import front_metrics as metrics
from libs.common.config import refuse_unknown
from libs.common.files.links import PREFIX as FILES_PREFIX
from libs.common.lifecycle import asked_to_stop
from libs.common.outflow import PIECE_BYTES, STALL_S, FullError, Room, cut_off, send
from libs.common.stopping import Stop, come_back, finish_s, is_leaving, leaving
from libs.common.targets import AddressInfo

INGEST_PATHS = ("/webhooks/", "/plugin/", "/chat/")
MAX_BODY = 20 * 1024 * 1024
MAX_PORT = 65535
MAX_DRAIN_S = 8
SERVICES = ("ingest", "desk")
EVENT_STREAM = "text/event-stream"
CONNECT_WITHIN_S = 1.0
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

_AHEAD_BYTES = 64 * 1024
"""What is taken of an answer before its reader has what came before."""

Origins = Callable[[], Mapping[str, str]]
"""Where the services answer now, `http://host:port` by name; one that is down is missing."""
Choose = Callable[[str], Sequence[Backend]]
"""Returns the replicas of a service in the order in which they are to be tried."""
Fails = Callable[[str, Backend], None]
"""Told of a replica of a service that took no connection."""


def add_parser(commands: Any) -> None:
    """Add the sub-command."""
    parser = commands.add_parser("front", help="one public port before ingest and desk")
    setting = os.environ.get
    parser.add_argument("--host", default=setting("RELAYDESK_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=port_number, default=setting("RELAYDESK_PORT", "8080"))
    admin_port = setting("RELAYDESK_ADMIN_PORT", "0")
    parser.add_argument("--admin-port", type=port_number, default=admin_port)
    for service in SERVICES:
        parser.add_argument(
            f"--{service}",
            required=True,
            type=source,
            action="append",
            metavar="URL[#PORT]",
            help="a replica, http://host:port; may be given again, and the host have several "
            "addresses; PORT: where that host serves /readyz",
        )
    parser.add_argument(
        "--drain-s",
        type=_drain,
        default=setting("RELAYDESK_DRAIN_S", "0"),
        help="seconds to serve on after SIGTERM while /readyz says no, 0 to 8",
    )
    parser.set_defaults(run=lambda args: uvloop.run(_run(args)))


def port_number(text: str) -> int:
    """Read an argument that is a port, 0 for any free one."""
    if not text.isdecimal() or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to {MAX_PORT}")
    return int(text)


def _drain(text: str) -> float:
    """Read the seconds to drain."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= MAX_DRAIN_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {MAX_DRAIN_S}")
    return seconds


async def _run(args: argparse.Namespace) -> int:
    """Serve until a signal. It is ready as soon as it listens: who is away is answered 503."""
    refuse_unknown(os.environ)
    stop = Stop(args.drain_s)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop, stop, number)

    async def checks() -> Mapping[str, bool]:
        return {"serving": not is_leaving(stop)}

    async with (
        aiohttp.ClientSession() as http,
        _looking({"ingest": args.ingest, "desk": args.desk}, http) as found,
        _front(
            *(args.host, args.port, lambda service: found[service].choose(), stop),
            fails=lambda service, one: found[service].fails(one),
        ) as port,
        serve_admin(args.host, args.admin_port, checks) as admin,
    ):
        print(f"relaydesk front port={port} admin_port={admin}", flush=True)
        await stop.wait()
    return 0


@asynccontextmanager
async def _looking(
    sources: Mapping[str, Sequence[Source]], http: aiohttp.ClientSession
) -> AsyncIterator[Mapping[str, Backends]]:
    """Know the replicas of each service until the block ends."""
    found = {service: Backends(given, http) for service, given in sources.items()}
    for service, backends in found.items():
        metrics.BACKENDS.labels(service, "ready").set_function(partial(_ready, backends))
        metrics.BACKENDS.labels(service, "not_ready").set_function(partial(_unready, backends))
    await asyncio.gather(*(backends.look() for backends in found.values()))
    tasks = [asyncio.create_task(backends.run()) for backends in found.values()]
    try:
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _ready(backends: Backends) -> int:
    return backends.ready


def _unready(backends: Backends) -> int:
    return backends.known - backends.ready


@asynccontextmanager
async def front(host: str, port: int, origins: Origins) -> AsyncIterator[int]:
    """Serve one replica of each service until the block ends; yields the bound port."""

    def choose(service: str) -> list[Backend]:
        origin = origins().get(service)
        return [Backend(origin)] if origin else []

    async with _front(host, port, choose, Stop()) as own:
        yield own


@asynccontextmanager
async def _front(
    host: str, port: int, choose: Choose, stop: Stop, *, fails: Fails = lambda *_: None
) -> AsyncIterator[int]:
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_WITHIN_S)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4, socket_factory=_dialled)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        # What may be sent again is decided by us: aiohttp would repeat PUT and DELETE as well.
        session._retry_connection = False  # noqa: SLF001
        relay = Relay(session, choose, fails)

        async def end_streams(_app: web.Application) -> None:
            relay.closing.set()

        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", relay.serve)
        app.on_shutdown.append(end_streams)
        own_limit_s = finish_s(stop.drain_s)
        async with listening(app, host, port, leaving=leaving(stop), finish_s=own_limit_s) as own:
            yield own


class Relay:
    """Passes each request to a replica of the service that its path names.

    Args:
        session: Calls the replicas.
        choose: Names them, in the order to be tried.
        fails: Told of one that took no connection, so that the others are tried before it.
    """

    def __init__(self, session: aiohttp.ClientSession, choose: Choose, fails: Fails) -> None:
        self._session = session
        self._choose = choose
        self._fails = fails
        self._room = Room()
        self.closing = asyncio.Event()
        """Set when event streams are to end."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer *request*."""
        target = _target(request)
        if target is None:
            return web.Response(status=400, text="the request's target is not a path\n")
        service = "ingest" if request.path.startswith(INGEST_PATHS) else "desk"
        answer, outcome = await self._answer(service, request, target)
        metrics.REQUESTS.labels(service, outcome).inc()
        return answer

    async def _answer(
        self, service: str, request: web.Request, target: str
    ) -> tuple[web.StreamResponse, str]:
        """Return the answer, and what became of the request."""
        try:
            if request.method == "GET" and request.path.startswith(FILES_PREFIX):
                async with self._room.place(request.path):
                    found = await self._from_any(service, request, target)
            else:
                found = await self._from_any(service, request, target)
        except FullError:
            full = _unavailable("Too many files are being read; try again.", retry_after_s=5)
            return full, "full"
        except answers.GoneError:
            return web.Response(status=400, text="the request is cut\n"), "client_gone"
        if found is None:
            return _unavailable(f"{service} is restarting"), "unavailable"
        return found, f"{found.status // 100}xx"

    async def _from_any(
        self, service: str, request: web.Request, target: str
    ) -> web.StreamResponse | None:
        """Return the answer of the first replica that gives one; None: none does."""
        chosen = list(self._choose(service))
        if len(chosen) == 1 and answers.changes_nothing(request):
            chosen *= 2  # a kept connection may have been closed in the same moment
        for backend in chosen:
            try:
                return await self._pass_on(request, backend, target)
            except (aiohttp.ClientError, TimeoutError) as error:
                if answers.has_left(request):
                    raise answers.GoneError from error
                if answers.took_none(error):
                    self._fails(service, backend)
                elif (wrong := answers.unusable(request, error)) is not None:
                    return wrong
                elif not answers.changes_nothing(request):
                    return None
                metrics.TRIED_NEXT.labels(service).inc()
        return None

    async def _pass_on(
        self, request: web.Request, backend: Backend, target: str
    ) -> web.StreamResponse:
        """Return the answer of *backend*, passed on.

        Raises:
            ClientError: Nothing of an answer came, or what is none.
            TimeoutError: It took no connection in time, or did not answer in time.
        """
        async with asyncio.timeout(answers.ANSWERS_WITHIN_S) as limit:
            answer = await self._session.request(
                request.method,
                URL(backend.origin + target, encoded=True),
                headers=_headers(request),
                data=answers.body(request, limit) if request.body_exists else None,
                allow_redirects=False,
                skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
                server_hostname=backend.server_name,
            )
        async with answer:
            response = web.StreamResponse(status=answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    response.headers.add(name, value)
            try:
                await response.prepare(request)
                await self._copy(request, response, answer)
            except (aiohttp.ClientError, OSError):  # either side went away, or does not read
                cut_off(request, response)
            return response

    async def _copy(
        self, request: web.Request, response: web.StreamResponse, answer: aiohttp.ClientResponse
    ) -> None:
        """Pass the body on: a file no faster than it is read, anything else as soon as it comes."""
        pieces: AsyncIterator[bytes] = aiter(answer.content.iter_chunked(PIECE_BYTES))
        if request.path.startswith(FILES_PREFIX):
            await send(request, response, pieces)
            return
        if answer.content_type == EVENT_STREAM:
            pieces = until(self.closing, pieces)
        async for piece in pieces:
            async with asyncio.timeout(STALL_S):
                await response.write(piece)
        await response.write_eof()


async def until(closing: asyncio.Event, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass the pieces of an event stream on until *closing*; then say when to come back.

    That is said between two events only: within one it would be taken for a part of it.
    """
    ended = asyncio.create_task(closing.wait())
    between = True
    try:
        while True:
            piece = asyncio.ensure_future(anext(pieces, b""))
            await asyncio.wait({piece, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not piece.done():
                piece.cancel()
                if between:
                    yield come_back()
                return
            if not piece.result():
                return
            between = piece.result().endswith(b"\n\n")
            yield piece.result()
    finally:
        ended.cancel()


def _target(request: web.Request) -> str | None:
    """Return path and query as they were sent; a proxy's absolute form loses its origin."""
    scheme, absolute, rest = request.raw_path.partition("://")
    if absolute and scheme.lower() in {"http", "https"}:
        return "/" + rest.partition("/")[2]
    return request.raw_path if request.raw_path.startswith("/") else None


def _headers(request: web.Request) -> CIMultiDict[str]:
    headers = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP)
    if request.remote:  # our own word is the last one, which is where believers begin to read
        before = headers.popall("X-Forwarded-For", [])
        headers["X-Forwarded-For"] = ", ".join([*before, request.remote])
    return headers


def _dialled(address: AddressInfo) -> socket.socket:
    """Return a socket that takes little ahead, so that a file waits where it is stored."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * _AHEAD_BYTES)
    return made


def _unavailable(why: str, *, retry_after_s: int = 1) -> web.Response:
    headers = {"Retry-After": str(retry_after_s)}
    return web.Response(status=503, text=f"{why}\n", headers=headers)
