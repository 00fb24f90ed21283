"""One public port: webhooks and the plugin go to ingest, everything else to desk.

`relaydesk up` and the compose file use it; a cluster's ingress does the same. Bytes pass unchanged,
since signatures cover them; event streams are passed on piece by piece. It ends no TLS and keeps
no limits, which is the work of what stands before it, but one: readers who do not read must not
fill our memory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import uvloop
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from libs.common.admin import listening, serve_admin
from libs.common.config import refuse_unknown
from libs.common.files.links import PREFIX as FILES_PREFIX
from libs.common.outflow import PIECE_BYTES, STALL_S, FullError, Room, cut_off, send
from libs.common.targets import AddressInfo

INGEST_PATHS = ("/webhooks/", "/plugin/", "/chat/")
MAX_BODY = 20 * 1024 * 1024
MAX_PORT = 65535
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


def add_parser(commands: Any) -> None:
    """Add the sub-command."""
    parser = commands.add_parser("front", help="one public port before ingest and desk")
    setting = os.environ.get
    parser.add_argument("--host", default=setting("RELAYDESK_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=port_number, default=setting("RELAYDESK_PORT", "8080"))
    admin_port = setting("RELAYDESK_ADMIN_PORT", "0")
    parser.add_argument("--admin-port", type=port_number, default=admin_port)
    parser.add_argument("--ingest", required=True, type=_origin, metavar="URL")
    parser.add_argument("--desk", required=True, type=_origin, metavar="URL")
    parser.set_defaults(run=lambda args: uvloop.run(_run(args)))


def port_number(text: str) -> int:
    """Read an argument that is a port, 0 for any free one."""
    if not text.isdecimal() or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to {MAX_PORT}")
    return int(text)


def _origin(text: str) -> str:
    """Read an argument `http://host:port`; argparse turns a ValueError into a message."""
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host or url.path_qs != "/":
        raise ValueError(text)
    return str(url.origin())


async def _run(args: argparse.Namespace) -> int:
    """Serve until a signal. It is ready as soon as it listens: who is away is answered 503."""
    refuse_unknown(os.environ)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    origins = {"ingest": args.ingest, "desk": args.desk}

    async def checks() -> Mapping[str, bool]:
        return {"serving": not stop.is_set()}

    async with (
        front(args.host, args.port, lambda: origins) as port,
        serve_admin(args.host, args.admin_port, checks) as admin,
    ):
        print(f"relaydesk front port={port} admin_port={admin}", flush=True)
        await stop.wait()
    return 0


@asynccontextmanager
async def front(host: str, port: int, origins: Origins) -> AsyncIterator[int]:
    """Serve until the block ends; yields the bound port."""
    timeout = aiohttp.ClientTimeout(total=None, connect=1.0)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4, socket_factory=_dialled)
    room = Room()
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:

        async def relay(request: web.Request) -> web.StreamResponse:
            target = _target(request)
            if target is None:
                return web.Response(status=400, text="the request's target is not a path\n")
            service = "ingest" if request.path.startswith(INGEST_PATHS) else "desk"
            origin = origins().get(service)
            if origin is None:
                return _unavailable(f"{service} is restarting")
            try:
                if request.method == "GET" and request.path.startswith(FILES_PREFIX):
                    async with room.place(request.path):
                        return await _pass_on(session, request, origin + target)
                return await _pass_on(session, request, origin + target)
            except FullError:
                return _unavailable("Too many files are being read; try again.", retry_after_s=5)
            except (aiohttp.ClientConnectionError, TimeoutError):
                return _unavailable(f"{service} is restarting")

        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", relay)
        async with listening(app, host, port) as own:
            yield own


def _target(request: web.Request) -> str | None:
    """Return path and query as they were sent; a proxy's absolute form loses its origin."""
    scheme, absolute, rest = request.raw_path.partition("://")
    if absolute and scheme.lower() in {"http", "https"}:
        return "/" + rest.partition("/")[2]
    return request.raw_path if request.raw_path.startswith("/") else None


async def _pass_on(
    session: aiohttp.ClientSession, request: web.Request, address: str
) -> web.StreamResponse:
    url = URL(address, encoded=True)
    headers = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP)
    if request.remote:  # our own word is the last one, which is where believers begin to read
        before = headers.popall("X-Forwarded-For", [])
        headers["X-Forwarded-For"] = ", ".join([*before, request.remote])
    async with session.request(
        request.method,
        url,
        headers=headers,
        data=request.content if request.body_exists else None,
        allow_redirects=False,
        skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
    ) as answer:
        response = web.StreamResponse(status=answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP:
                response.headers.add(name, value)
        await response.prepare(request)
        try:
            await _copy(request, response, answer)
        except (aiohttp.ClientError, OSError):  # either side went away, or the reader does not read
            cut_off(request, response)
        return response


async def _copy(
    request: web.Request, response: web.StreamResponse, answer: aiohttp.ClientResponse
) -> None:
    """Pass the body on: a file no faster than it is read, anything else as soon as it comes."""
    pieces = answer.content.iter_chunked(PIECE_BYTES)
    if request.path.startswith(FILES_PREFIX):
        await send(request, response, pieces)
        return
    async for piece in pieces:
        async with asyncio.timeout(STALL_S):
            await response.write(piece)
    await response.write_eof()


def _dialled(address: AddressInfo) -> socket.socket:
    """Return a socket that takes little ahead, so that a file waits where it is stored."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * _AHEAD_BYTES)
    return made


def _unavailable(why: str, *, retry_after_s: int = 1) -> web.Response:
    headers = {"Retry-After": str(retry_after_s)}
    return web.Response(status=503, text=f"{why}\n", headers=headers)
